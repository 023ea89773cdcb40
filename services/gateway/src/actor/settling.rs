use claw_bus::HandlerError;
use claw_domain::Channel;
use claw_store::{Disposition, NewReply, Settled, Settlement};

use crate::{context::Context, reply::publish_reply};

/// Replies on their way to the user and into the database.
pub(super) struct Settling {
    pub(super) settlement: Settlement,
    /// Number of replies that are on the bus already.
    pub(super) published: usize,
    /// The channel of the replies to answered messages; all other replies go to the chat.
    pub(super) channel: Channel,
}

impl Settling {
    /// Publishes the replies in order, then records them. If it fails, calling it again resumes where it
    /// stopped.
    ///
    /// Publishing comes first: after a crash in between, the replies are published again under the same ids,
    /// which are derived from their causes. The other way round they would be lost.
    pub(super) async fn finish(&mut self, context: &Context) -> Result<Settled, HandlerError> {
        while let Some(reply) = self.settlement.replies.get(self.published) {
            if reply.disposition == Disposition::Published {
                let (user, channel) = (self.settlement.user, self.channel_of(reply));
                publish_reply(&context.publisher, user, reply, channel).await?;
            }
            self.published += 1;
        }
        Ok(context.store.messages().settle(&self.settlement).await?)
    }

    fn channel_of(&self, reply: &NewReply) -> Channel {
        let answered = &self.settlement.answered;
        match reply.cause {
            Some(cause) if answered.contains(&cause) => self.channel,
            Some(_) | None => Channel::WhatsApp,
        }
    }
}
