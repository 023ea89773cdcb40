use std::sync::Arc;

use anyhow::anyhow;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use claw_bus::{Attempt, Handler, HandlerError};
use claw_chat::{Command, PIN_PLACEHOLDER, pin_of};
use claw_domain::MessageContent;
use claw_events::MessageReceived;
use claw_store::InboundMessage;

use crate::{
    actors::UserActors,
    context::Context,
    plan::{Plan, plan},
    queue::{Item, Way},
};

/// Writes every message down and wakes its person's actor. From then on the database is the queue: who
/// waits, for an answer or for room, holds nothing on the bus.
pub(crate) struct Intake {
    pub(crate) context: Arc<Context>,
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
        let plan = plan_of(message);
        let inbound = record(message, &plan, attempt, now);
        let received = self.context.store.messages().receive(&inbound).await?;
        if received.complete || plan == Plan::Keep {
            return Ok(());
        }
        if let Plan::Obey(Command::SetPin, text) = &plan
            && let Some(pin) = pin_of(text.expose())
        {
            let (users, keyring) = (self.context.store.users(), self.context.agents.keyring());
            users.set_pin(message.user, &pin, keyring).await?;
        }
        // Whoever has this person by now may have looked before the row was there. What is not
        // acknowledged comes to them.
        if !attempt.tenure.may_act() {
            return Err(HandlerError::retry(anyhow!(
                "this person is another replica's now"
            )));
        }
        let item = received.fresh.then(|| Item {
            id: message.id,
            way: Way::Chat(message.wamid.clone()),
            sequence: attempt.sequence,
            taken_at: now,
            plan,
            batch: None,
            may_have_been_sent: false,
        });
        self.actors
            .deliver(&attempt.tenure, message.user, item, received.sandbox);
        Ok(())
    }
}

/// What is written in a group gets no answer: it would go to the person's own chat, where nobody asked.
fn plan_of(message: &MessageReceived) -> Plan {
    if message.group.is_some() {
        return Plan::Keep;
    }
    plan(&message.content)
}

/// The row of a message: words as they are, anything else as JSON.
fn record(
    message: &MessageReceived,
    plan: &Plan,
    attempt: &Attempt,
    now: DateTime<Utc>,
) -> InboundMessage {
    let content = if let Plan::Obey(Command::SetPin, _) = plan {
        // It is kept sealed, and nowhere else.
        PIN_PLACEHOLDER.into()
    } else if let MessageContent::Text(text) = &message.content {
        text.clone()
    } else {
        // Contents hold strings and numbers only, which cannot fail to be written.
        serde_json::to_string(&message.content)
            .unwrap_or_default()
            .into()
    };
    InboundMessage {
        id: message.id,
        user: message.user,
        address: message.address.clone(),
        wa_user_id: message.wa_user_id.clone(),
        name: message.name.clone(),
        wamid: message.wamid.clone(),
        content_kind: message.content.kind().to_owned(),
        content,
        sequence: attempt.sequence,
        needs_answer: *plan != Plan::Keep,
        is_replay: attempt.is_replay,
        sent_at: message.sent_at,
        now,
    }
}
