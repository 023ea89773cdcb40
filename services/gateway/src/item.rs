use claw_chat::{Item, Notice, Plan};
use claw_domain::{CallId, MessageContent, Origin, Sensitive, VoiceKind};
use claw_events::{CallerInput, Utterance};
use claw_store::{Call, VoiceMessage, WaitingMessage};

/// `WaitingMessage::content_kind` of a message whose content is stored as text, not as JSON.
const TEXT: &str = "text";

/// A message read from the database, which may have been sent to the assistant before.
pub(crate) fn item_of_stored(message: &WaitingMessage) -> Item {
    let (heard, mut plan) = match message.origin {
        Origin::WhatsApp { .. } => (None, Plan::of_content(&content_of(message))),
        Origin::Voice { call, turn, kind } => plan_stored_call(call, turn, kind, message),
    };
    // A message that was sent to the assistant was not a command.
    if let Plan::Obey(_, text) = &plan
        && message.batch.is_some()
    {
        plan = Plan::Ask(text.clone());
    }
    Item {
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

/// An event of a call that was just stored.
pub(crate) fn item_of_call(
    message: &VoiceMessage,
    plan: Plan,
    heard: Option<Sensitive<String>>,
) -> Item {
    Item {
        id: message.id,
        origin: Origin::Voice {
            call: message.call,
            turn: message.turn,
            kind: message.kind,
        },
        heard,
        sequence: message.sequence,
        taken_at: message.now,
        plan,
        batch: None,
        may_have_been_sent: false,
    }
}

/// A caller's input goes to their assistant.
pub(crate) fn plan_spoken(utterance: &Utterance) -> Plan {
    match &utterance.words {
        CallerInput::Words(text) => Plan::asking(text.expose()),
        CallerInput::Keys(keys) => {
            Plan::asking(&format!("(I pressed {} on the phone.)", keys.expose()))
        }
        // Intake opens it first.
        CallerInput::Sealed(_) => Plan::NoAnswer,
    }
}

/// The plan for the end of a call. A caller we could not connect is told that they can call again: this
/// queues behind their [`Plan::PutThrough`], so their assistant is ready then.
pub(crate) fn plan_call_end(call: &Call) -> Plan {
    if call.is_open_to_its_user() && call.turns > 0 {
        Plan::WrapUp(call.id)
    } else if call.setup_awaited {
        Plan::Say(Notice::AssistantReady)
    } else {
        Plan::NoAnswer
    }
}

/// The plan for a stored event of a call, and the part of an interrupted answer that the caller had heard.
fn plan_stored_call(
    call: CallId,
    turn: u32,
    kind: VoiceKind,
    message: &WaitingMessage,
) -> (Option<Sensitive<String>>, Plan) {
    let plan = match kind {
        VoiceKind::CallStarted => Plan::PutThrough(call),
        VoiceKind::Speech => {
            let utterance = serde_json::from_str::<Utterance>(message.content.expose());
            return utterance.map_or((None, Plan::NoAnswer), |utterance| {
                let plan = plan_spoken(&utterance);
                (utterance.heard, plan)
            });
        }
        // The caller has said something.
        VoiceKind::CallEnded if turn > 0 => Plan::WrapUp(call),
        VoiceKind::CallEnded => Plan::Say(Notice::AssistantReady),
    };
    (None, plan)
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
