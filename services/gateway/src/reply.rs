use claw_bus::{HandlerError, Publisher};
use claw_domain::{Channel, UserId};
use claw_events::ReplyProduced;
use claw_store::NewReply;

/// Puts a reply on the bus. Said once, however often this is called.
pub(crate) async fn publish_reply(
    publisher: &Publisher,
    user: UserId,
    reply: &NewReply,
    channel: Channel,
) -> Result<(), HandlerError> {
    let reply = ReplyProduced {
        id: reply.id,
        user,
        cause: reply.cause,
        source: reply.source,
        channel,
        text: reply.text.clone(),
    };
    publisher.publish(&reply).await?;
    Ok(())
}
