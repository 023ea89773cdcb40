use chrono::{DateTime, Utc};
use claw_domain::{
    Address, DeliveryId, DeliveryState, MessageContent, MessageContext, Referral, Sensitive, Wamid,
    WhatsAppUserId,
};
use serde_json::Value;
use strum::IntoStaticStr;

/// The contents of one webhook body, which may contain up to 1,000 updates.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Notification {
    /// The updates, in their order. Empty only if Meta sent none.
    pub items: Vec<Item>,
}

/// One update of a webhook body: a message, a status, or news about our account.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A message from a user.
    Message(Box<InboundMessage>),
    /// The delivery status of one of our messages.
    Status(Box<Status>),
    /// An error of the account or the number, for the operator.
    AccountError(AccountError),
    /// An update of another kind: acknowledged and counted, but not acted upon.
    Other(OtherField),
    /// A message or status that cannot be acted upon.
    Unattributable(Unattributable),
}

/// A message from a user.
#[derive(Debug, Clone, PartialEq)]
pub struct InboundMessage {
    /// Meta's id of our number that received it. Route by this id, never by the displayed number.
    pub phone_number_id: Option<String>,
    /// The sender: their number if known, otherwise WhatsApp's id of them.
    pub address: Address,
    /// WhatsApp's id of the sender, also if the number is known.
    pub wa_user_id: Option<WhatsAppUserId>,
    /// The sender's profile name.
    pub name: Option<Sensitive<String>>,
    /// WhatsApp's id of the message, the same in repeated deliveries.
    pub wamid: Wamid,
    /// When it was sent, in whole seconds; `None` if Meta did not say (use the time of arrival).
    pub sent_at: Option<DateTime<Utc>>,
    /// The content: a text, media, a reaction or something else.
    pub content: MessageContent,
    /// The message or product it refers to, if any.
    pub context: Option<MessageContext>,
    /// The advertisement through which the user came, if any.
    pub referral: Option<Referral>,
    /// The id of the group it was sent to, if any.
    pub group: Option<String>,
}

/// The delivery status of one of our messages.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Meta's id of our number that sent it.
    pub phone_number_id: Option<String>,
    /// The recipient, if Meta says so. Only a hint: a message to a number may be reported under WhatsApp's id, so the
    /// record of the send is authoritative.
    pub recipient: Option<Address>,
    /// WhatsApp's id of the recipient, also if the number is known.
    pub wa_user_id: Option<WhatsAppUserId>,
    /// WhatsApp's id of our message.
    pub wamid: Wamid,
    /// The state; `None` for an unknown status.
    pub state: Option<DeliveryState>,
    /// WhatsApp's name of the status, or `other` if that is not a short lowercase word.
    pub status: String,
    /// When it was reached, in whole seconds; `None` if Meta did not say.
    pub at: Option<DateTime<Utc>>,
    /// The data that we attached to the send (`biz_opaque_callback_data`), as received.
    pub tracker: Option<String>,
    /// The reasons for a failure. Meta sends one.
    pub errors: Vec<ApiError>,
}

impl Status {
    /// Our id of the piece, if we sent it.
    pub fn delivery(&self) -> Option<DeliveryId> {
        self.tracker.as_deref()?.parse().ok()
    }
}

/// An error in Meta's description. Only the code is stable enough for decisions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// Meta's error code, which [`ErrorClass::of`](crate::send::ErrorClass::of) classifies.
    pub code: i64,
    /// Meta's description of the code, which changes without notice.
    pub title: Option<String>,
    /// Meta's description of this case, which may name the recipient.
    pub details: Option<Sensitive<String>>,
}

/// An error of the account or the number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountError {
    /// Meta's id of the number, if Meta names one.
    pub phone_number_id: Option<String>,
    /// The error; it belongs to no message.
    pub error: ApiError,
}

/// An update of another kind.
#[derive(Debug, Clone, PartialEq)]
pub struct OtherField {
    /// Meta's name of the field if it is a documented one, otherwise `other`: a closed set.
    pub field: &'static str,
    /// The value, as received.
    pub value: Sensitive<Value>,
}

impl OtherField {
    /// Whether the operator should be alerted at once, because the account or the number may have been restricted.
    pub fn is_alarming(&self) -> bool {
        matches!(
            self.field,
            "account_update" | "account_alerts" | "phone_number_quality_update" | "security"
        )
    }
}

/// A message or status that cannot be acted upon.
#[derive(Debug, Clone, PartialEq)]
pub struct Unattributable {
    /// Meta's id of our number that received it.
    pub phone_number_id: Option<String>,
    /// The reason why it cannot be acted upon.
    pub lack: Lack,
    /// The JSON, as received.
    pub raw: Sensitive<Value>,
}

/// The part that an unattributable message or status lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Lack {
    /// The sender: there is neither a number nor an id.
    Sender,
    /// A usable id, without which a repeated delivery cannot be recognized.
    Id,
    /// A shape that we can read, such as an object where one is expected.
    Shape,
}

impl Lack {
    /// The name used in metrics.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
