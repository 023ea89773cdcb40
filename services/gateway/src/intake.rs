use std::{borrow::Cow, sync::Arc};

use anyhow::anyhow;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claw_bus::{Attempt, Handler, HandlerError};
use claw_chat::{Item, Plan};
use claw_domain::{InviteCode, MessageContent, Origin, Pin, UserId};
use claw_events::MessageReceived;
use claw_metrics::BLOCKED;
use claw_store::{InboundMessage, Receipt, Received, StoreError};

use crate::{
    actors::UserActors, admission::AdmissionControl, context::Context, sealed::OpenedMessage,
};

/// Stores every message of a user and wakes their actor. From then on the database is the queue: a message that
/// waits for its answer occupies nothing on the bus.
pub(crate) struct Intake {
    pub(crate) context: Arc<Context>,
    pub(crate) admission: AdmissionControl,
    pub(crate) actors: UserActors,
}

#[async_trait]
impl Handler for Intake {
    type Event = MessageReceived;

    async fn handle(
        &self,
        message: &MessageReceived,
        attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        let now = self.context.clock.now();
        let OpenedMessage { content, pin } = OpenedMessage::of(&self.context.pins, message)?;
        let (code, content) = without_code(&content);
        let plan = plan_of(message, &content);
        let inbound = record(message, &content, &plan, attempt, now);
        let pin = pin.filter(|_| plan != Plan::NoAnswer);
        let Some(received) = self.receive(message, code, pin.as_ref(), &inbound).await? else {
            return Ok(());
        };
        if received.complete || plan == Plan::NoAnswer {
            return Ok(());
        }
        let item = Item {
            id: message.id,
            origin: Origin::WhatsApp {
                wamid: message.wamid.clone(),
            },
            heard: None,
            sequence: attempt.sequence,
            taken_at: now,
            plan,
            batch: None,
            may_have_been_sent: false,
        };
        deliver(&self.actors, message.user, item, received, attempt)
    }
}

impl Intake {
    /// Stores a message, once its sender has come in; `None` if it is nobody's who has.
    async fn receive(
        &self,
        message: &MessageReceived,
        code: Option<InviteCode>,
        pin: Option<&Pin>,
        inbound: &InboundMessage,
    ) -> Result<Option<Received>, HandlerError> {
        let messages = self.context.store.messages();
        self.set_pin(message, pin).await?;
        match messages.receive(inbound).await? {
            Receipt::Stored(received) => return Ok(Some(*received)),
            Receipt::Blocked => {
                BLOCKED.increment([]);
                return Ok(None);
            }
            Receipt::Newcomer => {}
        }
        // Nobody comes in by what needs no answer, such as a message in a group or a reaction.
        if !inbound.needs_answer || !self.admission.admits_sender(message, code.as_ref()).await? {
            return Ok(None);
        }
        self.set_pin(message, pin).await?;
        let received = messages.receive(inbound).await?.stored();
        let received = received.ok_or_else(|| HandlerError::retry(anyhow!("blocked meanwhile")));
        received.map(Some)
    }

    /// Sets the PIN before the message is stored without it: as soon as it is stored, an actor may say that the PIN is
    /// set. A repeated message does not replace a newer PIN. Does nothing for a newcomer.
    async fn set_pin(
        &self,
        message: &MessageReceived,
        pin: Option<&Pin>,
    ) -> Result<(), HandlerError> {
        let store = &self.context.store;
        let Some(pin) = pin else { return Ok(()) };
        if store.messages().exists(message.user, message.id).await? {
            return Ok(());
        }
        let keyring = self.context.agents.keyring();
        match store.users().set_pin(message.user, pin, keyring).await {
            Ok(()) | Err(StoreError::Missing { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Hands a stored message to its user's actor. Fails if another replica owns the user now: it may have read
/// the database before the message was there. The event is not acknowledged, and is redelivered to that
/// replica.
pub(crate) fn deliver(
    actors: &UserActors,
    user: UserId,
    item: Item,
    received: Received,
    attempt: &Attempt,
) -> Result<(), HandlerError> {
    if !attempt.tenure.may_act() {
        return Err(HandlerError::retry(anyhow!(
            "another replica owns this user now"
        )));
    }
    let item = received.fresh.then_some(item);
    actors.deliver(&attempt.tenure, user, item, received.sandbox);
    Ok(())
}

/// A message in a group gets no answer: the answer would go to the user's own chat, where nobody asked.
fn plan_of(message: &MessageReceived, content: &MessageContent) -> Plan {
    if message.group.is_some() {
        return Plan::NoAnswer;
    }
    Plan::of_content(content)
}

/// The invite code in a text, and the content without it: a code is for us, and neither stored nor sent to an
/// assistant. A text with nothing else opens the chat.
fn without_code(content: &MessageContent) -> (Option<InviteCode>, Cow<'_, MessageContent>) {
    if let MessageContent::Text(text) = content
        && let Some((code, rest)) = InviteCode::take_from(text.expose())
    {
        let rest = if rest.is_empty() {
            MessageContent::RequestWelcome
        } else {
            MessageContent::Text(rest.into())
        };
        return (Some(code), Cow::Owned(rest));
    }
    (None, Cow::Borrowed(content))
}

/// The row of a message: text is stored as it is, other content as JSON.
fn record(
    message: &MessageReceived,
    content: &MessageContent,
    plan: &Plan,
    attempt: &Attempt,
    now: DateTime<Utc>,
) -> InboundMessage {
    let stored = if let MessageContent::Text(text) = content {
        text.clone()
    } else {
        // Cannot fail: contents hold only strings and numbers.
        serde_json::to_string(content).unwrap_or_default().into()
    };
    InboundMessage {
        id: message.id,
        user: message.user,
        address: message.address.clone(),
        wa_user_id: message.wa_user_id.clone(),
        name: message.name.clone(),
        wamid: message.wamid.clone(),
        content_kind: content.kind().to_owned(),
        content: stored,
        sequence: attempt.sequence,
        needs_answer: *plan != Plan::NoAnswer,
        is_replay: attempt.is_replay,
        sent_at: message.sent_at,
        now,
    }
}
