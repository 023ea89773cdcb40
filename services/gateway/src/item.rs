use chrono::{DateTime, Utc};
use claw_chat::{Command, Notice};
use claw_domain::{CallId, MessageContent, MessageId, Sensitive};
use claw_events::Utterance;
use claw_store::{Origin, VoiceKind, WaitingMessage};

use crate::plan::{Plan, plan, plan_spoken};

/// `WaitingMessage::content_kind` of a message whose content is stored as text, not as JSON.
const TEXT: &str = "text";

/// An unanswered message in a user's queue.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Our id, derived from the channel's.
    pub(crate) id: MessageId,
    /// The channel the message arrived on; its answer is sent on the same channel.
    pub(crate) origin: Origin,
    /// The part of the previous answer that the caller had heard when they spoke over it.
    pub(crate) heard: Option<Sensitive<String>>,
    /// The sequence number of its event in the stream `INBOUND`.
    pub(crate) sequence: u64,
    /// When intake stored it.
    pub(crate) taken_at: DateTime<Utc>,
    pub(crate) plan: Plan,
    /// The first message of the batch it was sent to the assistant with; `None` if the database knows of
    /// no batch.
    pub(crate) batch: Option<MessageId>,
    /// It may have been sent to the assistant already, by an earlier process.
    pub(crate) may_have_been_sent: bool,
}

impl Item {
    /// A message read from the database, which may have been sent to the assistant before.
    pub(crate) fn stored(message: &WaitingMessage) -> Self {
        let (heard, mut plan) = match message.origin {
            Origin::WhatsApp { .. } => (None, plan(&content_of(message))),
            Origin::Voice { call, turn, kind } => plan_stored_call(call, turn, kind, message),
        };
        // A message that was sent to the assistant was not a command.
        if let Plan::Obey(_, text) = &plan
            && message.batch.is_some()
        {
            plan = Plan::Ask(text.clone());
        }
        Self {
            id: message.id,
            origin: message.origin.clone(),
            heard,
            sequence: message.sequence,
            taken_at: message.taken_at,
            plan,
            batch: message.batch,
            may_have_been_sent: true,
        }
    }

    /// Whether the message was written in the chat, not spoken in a call.
    pub(crate) const fn is_written(&self) -> bool {
        is_written(&self.origin)
    }

    /// Whether the message is the command "stop".
    pub(crate) const fn is_stop(&self) -> bool {
        matches!(self.plan, Plan::Obey(Command::Stop, _))
    }

    /// Whether the message was never sent to the assistant.
    pub(crate) const fn is_unsent(&self) -> bool {
        self.batch.is_none() && !self.may_have_been_sent
    }
}

/// Whether this is the origin of a message in the chat.
pub(crate) const fn is_written(origin: &Origin) -> bool {
    matches!(origin, Origin::WhatsApp { .. })
}

/// The call and the turn in which the answer is spoken; `None` if the answer is written in the chat.
pub(crate) const fn call_turn(origin: &Origin) -> Option<(CallId, u32)> {
    match *origin {
        Origin::Voice {
            call,
            turn,
            kind: VoiceKind::Speech,
        } => Some((call, turn)),
        Origin::WhatsApp { .. } | Origin::Voice { .. } => None,
    }
}

/// The plan for an event of a call as the database has it, and what the caller had heard.
fn plan_stored_call(
    call: CallId,
    turn: u32,
    kind: VoiceKind,
    message: &WaitingMessage,
) -> (Option<Sensitive<String>>, Plan) {
    match kind {
        VoiceKind::CallStarted => (None, Plan::PutThrough(call)),
        VoiceKind::Speech => match serde_json::from_str::<Utterance>(message.content.expose()) {
            Ok(utterance) => {
                let plan = plan_spoken(&utterance);
                (utterance.heard, plan)
            }
            Err(_) => (None, Plan::NoAnswer),
        },
        // The caller has said something.
        VoiceKind::CallEnded if turn > 0 => (None, Plan::WrapUp(call)),
        VoiceKind::CallEnded => (None, Plan::Say(Notice::AssistantReady)),
    }
}

/// Text is stored as it is, other content as JSON: see `intake`.
fn content_of(message: &WaitingMessage) -> MessageContent {
    if message.content_kind == TEXT {
        return MessageContent::Text(message.content.clone());
    }
    serde_json::from_str(message.content.expose()).unwrap_or_else(|_| MessageContent::Unknown {
        kind: message.content_kind.clone(),
        raw: Sensitive::new(serde_json::Value::Null),
    })
}
