use chrono::{DateTime, Utc};
use claw_domain::{
    Address, DeliveryId, DeliveryState, MessageContent, MessageContext, MessageId, Referral,
    Sensitive, UserId, Wamid, WhatsAppUserId,
};
use serde::{Deserialize, Serialize};

use crate::{Event, Stream};

/// A user sent a message on WhatsApp.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MessageReceived {
    /// Our id of the message, derived from WhatsApp's by [`MessageReceived::id_for`].
    pub id: MessageId,
    /// The user who sent the message.
    pub user: UserId,
    /// The address for the answer.
    pub address: Address,
    /// WhatsApp's own id of the user, if the webhook contains it in addition to the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wa_user_id: Option<WhatsAppUserId>,
    /// The name in the user's WhatsApp profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Sensitive<String>>,
    /// WhatsApp's id of the message, needed to mark it as read.
    pub wamid: Wamid,
    /// When the user sent it. Meta gives whole seconds only.
    pub sent_at: DateTime<Utc>,
    /// The text, file or other content of the message.
    pub content: MessageContent,
    /// The quoted message or product, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<MessageContext>,
    /// The advertisement through which the user opened the chat, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub referral: Option<Referral>,
    /// The id of the group in which it was written, if it was not written in a direct chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

impl MessageReceived {
    /// Our id of the message with this `wamid`. A placeholder gets an id of its own, so that the real message, which
    /// follows under the same `wamid`, is not taken for a repetition.
    pub fn id_for(wamid: &Wamid, content: &MessageContent) -> MessageId {
        if content.is_placeholder() {
            MessageId::derived_from(&format!("placeholder:{}", wamid.as_str()))
        } else {
            MessageId::derived_from(wamid.as_str())
        }
    }
}

impl Event for MessageReceived {
    const STREAM: Stream = Stream::Inbound;
    const FACT: &'static str = "message";

    fn user(&self) -> UserId {
        self.user
    }

    fn dedup_key(&self) -> String {
        self.id.to_string()
    }
}

/// WhatsApp reported the delivery state of one of our messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeliveryReported {
    /// The recipient of our message.
    pub user: UserId,
    /// WhatsApp's id of our message.
    pub wamid: Wamid,
    /// Our id, which we attach to every message; absent if another program sent the message over the same number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
    /// The reported state; `None` for a status that we do not know.
    pub state: Option<DeliveryState>,
    /// WhatsApp's name of the status.
    pub status: String,
    /// When the state was reached. Meta gives whole seconds only.
    pub at: DateTime<Utc>,
    /// The reason of a failed delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ReportedError>,
}

/// Meta's reason for a failed delivery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedError {
    /// Meta's code. Decisions may depend on this field only.
    pub code: i64,
    /// Meta's description of the failure, for the operator.
    pub title: Option<String>,
}

impl Event for DeliveryReported {
    const STREAM: Stream = Stream::Status;
    const FACT: &'static str = "reported";

    fn user(&self) -> UserId {
        self.user
    }

    /// Derived from WhatsApp's id, which contains the number: the key is in a header, which operators see.
    fn dedup_key(&self) -> String {
        format!(
            "status:{}:{}",
            MessageId::derived_from(self.wamid.as_str()),
            self.status
        )
    }
}

#[cfg(test)]
mod tests {
    use claw_domain::{PhoneNumber, Unsupported};

    use super::*;
    use crate::{stored_filter, subject_of};

    fn message() -> MessageReceived {
        let address = Address::Phone(PhoneNumber::try_from("15551234567").unwrap());
        let content = MessageContent::Text("hi".into());
        let wamid = Wamid::new("wamid.A");
        MessageReceived {
            id: MessageReceived::id_for(&wamid, &content),
            user: "usr_18acce9cb8d55882a19accce2dfb9f91".parse().unwrap(),
            address,
            wa_user_id: None,
            name: Some("Ada".into()),
            wamid,
            sent_at: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
            content,
            context: None,
            referral: None,
            group: None,
        }
    }

    #[test]
    fn a_message_keeps_its_shape() {
        insta::assert_json_snapshot!(message(), @r#"
        {
          "id": "msg_b770c499ef95559caa8b6be4ed65f7c8",
          "user": "usr_18acce9cb8d55882a19accce2dfb9f91",
          "address": {
            "phone": "+15551234567"
          },
          "name": "Ada",
          "wamid": "wamid.A",
          "sent_at": "2023-11-14T22:13:20Z",
          "content": {
            "type": "text",
            "content": "hi"
          }
        }
        "#);
    }

    #[test]
    fn the_subject_of_a_message_contains_only_the_user_id() {
        let message = message();

        assert_eq!(subject_of(&message), format!("in.message.{}", message.user));
        assert_eq!(stored_filter::<MessageReceived>(), "in.*.message.*");
    }

    #[test]
    fn a_placeholder_does_not_use_up_the_id_of_the_real_message() {
        let wamid = Wamid::new("wamid.A");
        let placeholder = MessageContent::Unsupported(Unsupported {
            code: Some(131_060),
            kind: None,
        });
        let real = MessageContent::Text("hi".into());

        assert_ne!(
            MessageReceived::id_for(&wamid, &placeholder),
            MessageReceived::id_for(&wamid, &real)
        );
    }

    #[test]
    fn a_report_keeps_its_shape() {
        let report = DeliveryReported {
            user: "usr_18acce9cb8d55882a19accce2dfb9f91".parse().unwrap(),
            wamid: Wamid::new("wamid.B"),
            delivery: Some(DeliveryId::derived_from("x")),
            state: Some(DeliveryState::Failed),
            status: "failed".into(),
            at: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
            error: Some(ReportedError {
                code: 131_049,
                title: None,
            }),
        };

        insta::assert_json_snapshot!(report, @r#"
        {
          "user": "usr_18acce9cb8d55882a19accce2dfb9f91",
          "wamid": "wamid.B",
          "delivery": "dlv_70308f52b3cf5bb5b7f6b40a6fc2bef6",
          "state": "failed",
          "status": "failed",
          "at": "2023-11-14T22:13:20Z",
          "error": {
            "code": 131049,
            "title": null
          }
        }
        "#);
    }
}
