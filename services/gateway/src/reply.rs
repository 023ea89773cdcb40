use chrono::{DateTime, Utc};
use claw_agent::RunFailure;
use claw_bus::{HandlerError, Publisher};
use claw_chat::Notice;
use claw_domain::{Channel, MessageId, ReplyId, ReplySource, UserId};
use claw_events::ReplyProduced;
use claw_store::{Disposition, NewReply};

/// Publishes a reply. Its id makes repetitions harmless.
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

/// The reply that gives a notice because of the message `cause`. The same notice for the same message has
/// the same id, so it is sent once however often it is decided on.
pub(crate) fn notice_reply(notice: Notice, cause: MessageId) -> NewReply {
    NewReply {
        id: ReplyId::derived_from(&format!("notice:{}:{cause}", notice.name())),
        text: notice.text().into(),
        source: ReplySource::Notice,
        run_id: None,
        cause: Some(cause),
        disposition: Disposition::Published,
    }
}

/// The notice that tells a user of a suspension. Its id depends on the suspension, so the user is told once.
pub(crate) fn suspension_reply(user: UserId, since: DateTime<Utc>) -> NewReply {
    let since = since.timestamp_micros();
    NewReply {
        id: ReplyId::derived_from(&format!("suspended:{user}:{since}")),
        text: Notice::Suspended.text().into(),
        source: ReplySource::Suspension,
        run_id: None,
        cause: None,
        disposition: Disposition::Published,
    }
}

/// The notice for a failed run. A used-up spending limit reads differently from a provider that is down.
pub(crate) const fn notice_of_failure(failure: RunFailure) -> Notice {
    match failure {
        RunFailure::Billing => Notice::LimitReached,
        RunFailure::Auth | RunFailure::ModelNotFound => Notice::ModelUnavailable,
        RunFailure::RateLimit | RunFailure::ServerError | RunFailure::Timeout => Notice::ModelBusy,
        RunFailure::Other => Notice::LostThread,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_notice_for_the_same_message_is_one_reply() {
        let cause = MessageId::derived_from("wamid.A");
        let other = MessageId::derived_from("wamid.B");

        let id = notice_reply(Notice::SettingUp, cause).id;

        assert_eq!(id, notice_reply(Notice::SettingUp, cause).id);
        assert_ne!(id, notice_reply(Notice::SettingUp, other).id);
        assert_ne!(id, notice_reply(Notice::NoRoom, cause).id);
    }

    #[test]
    fn a_used_up_limit_reads_differently_from_a_provider_that_is_down() {
        assert_eq!(notice_of_failure(RunFailure::Billing), Notice::LimitReached);
        assert_eq!(
            notice_of_failure(RunFailure::ServerError),
            Notice::ModelBusy
        );
    }
}
