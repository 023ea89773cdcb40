use std::sync::{Mutex, PoisonError};

use claw_bus::{HandlerError, Publisher};
use claw_domain::Channel;
use claw_events::{MessageReceived, ReplyProduced};
use claw_store::NewReply;
use metrics::counter;

use crate::words::Notice;

/// Puts a reply to `message` on the bus. Said once, however often this is called.
pub(crate) async fn say(
    publisher: &Publisher,
    message: &MessageReceived,
    reply: &NewReply,
) -> Result<(), HandlerError> {
    let reply = ReplyProduced {
        id: reply.id,
        user: message.user,
        cause: Some(message.id),
        source: reply.source,
        channel: Channel::WhatsApp,
        text: reply.text.clone(),
    };
    publisher.publish(&reply).await?;
    Ok(())
}

/// Says notices while a message waits, and remembers them for the record.
pub(crate) struct Teller<'a> {
    publisher: &'a Publisher,
    message: &'a MessageReceived,
    told: Mutex<Vec<NewReply>>,
}

impl<'a> Teller<'a> {
    pub(crate) const fn new(publisher: &'a Publisher, message: &'a MessageReceived) -> Self {
        Self {
            publisher,
            message,
            told: Mutex::new(Vec::new()),
        }
    }

    /// Says `notice` to the person whose message waits.
    pub(crate) async fn tell(&self, notice: Notice) -> Result<(), HandlerError> {
        counter!("claw_notices_total", "notice" => notice.name()).increment(1);
        let reply = notice.because_of(self.message.id);
        say(self.publisher, self.message, &reply).await?;
        self.told
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(reply);
        Ok(())
    }

    /// What was told, in order.
    pub(crate) fn into_told(self) -> Vec<NewReply> {
        self.told
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
