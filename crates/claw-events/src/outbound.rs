use claw_domain::{Channel, MessageId, ReplyId, ReplySource, ReplyText, UserId};
use serde::{Deserialize, Serialize};

use crate::{Event, Stream};

/// A reply to a user was produced, and has not been sent yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyProduced {
    /// Derived from the reply's cause, so that the reply is sent once.
    pub id: ReplyId,
    /// The recipient. The address is read from the database, never from the text.
    pub user: UserId,
    /// The message that the reply answers; `None` for other replies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<MessageId>,
    /// Why the reply is sent.
    pub source: ReplySource,
    /// The channel on which the reply is sent.
    pub channel: Channel,
    /// The text, in the assistant's Markdown.
    pub text: ReplyText,
}

impl Event for ReplyProduced {
    const STREAM: Stream = Stream::Outbound;
    const FACT: &'static str = "reply";

    fn user(&self) -> UserId {
        self.user
    }

    fn dedup_key(&self) -> String {
        format!("reply:{}", self.id)
    }
}

/// The channel accepted every piece of a reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyDelivered {
    /// The id of the delivered reply.
    pub reply: ReplyId,
    /// The recipient of the reply.
    pub user: UserId,
    /// The message that the reply answers; `None` for other replies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<MessageId>,
    /// The number of messages into which the reply was split.
    pub pieces: u32,
}

impl Event for ReplyDelivered {
    const STREAM: Stream = Stream::Receipts;
    const FACT: &'static str = "delivered";

    fn user(&self) -> UserId {
        self.user
    }

    fn dedup_key(&self) -> String {
        format!("delivered:{}", self.reply)
    }
}

/// A reply will not reach its recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyFailed {
    /// The id of the failed reply.
    pub reply: ReplyId,
    /// The recipient of the reply.
    pub user: UserId,
    /// The channel's error code, if it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
}

impl Event for ReplyFailed {
    const STREAM: Stream = Stream::Receipts;
    const FACT: &'static str = "failed";

    fn user(&self) -> UserId {
        self.user
    }

    fn dedup_key(&self) -> String {
        format!("failed:{}", self.reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_and_receipts_keep_their_shapes() {
        let user = "usr_18acce9cb8d55882a19accce2dfb9f91".parse().unwrap();
        let reply = ReplyId::derived_from("row");
        let cause = Some(MessageId::derived_from("wamid.A"));

        insta::assert_json_snapshot!((
            ReplyProduced {
                id: reply,
                user,
                cause,
                source: ReplySource::Chat,
                channel: Channel::WhatsApp,
                text: "Logged.".into(),
            },
            ReplyDelivered { reply, user, cause, pieces: 1 },
            ReplyFailed { reply, user, code: Some(131_026) },
        ), @r#"
        [
          {
            "id": "rpl_b1d1e9be550d58cca744338a97e76d4f",
            "user": "usr_18acce9cb8d55882a19accce2dfb9f91",
            "cause": "msg_b770c499ef95559caa8b6be4ed65f7c8",
            "source": "chat",
            "channel": "whatsapp",
            "text": "Logged."
          },
          {
            "reply": "rpl_b1d1e9be550d58cca744338a97e76d4f",
            "user": "usr_18acce9cb8d55882a19accce2dfb9f91",
            "cause": "msg_b770c499ef95559caa8b6be4ed65f7c8",
            "pieces": 1
          },
          {
            "reply": "rpl_b1d1e9be550d58cca744338a97e76d4f",
            "user": "usr_18acce9cb8d55882a19accce2dfb9f91",
            "code": 131026
          }
        ]
        "#);
    }
}
