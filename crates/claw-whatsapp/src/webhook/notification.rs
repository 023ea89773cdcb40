use chrono::{DateTime, Utc};
use claw_domain::{
    Address, DeliveryId, DeliveryState, MessageContent, MessageContext, Referral, Sensitive, Wamid,
    WhatsAppUserId,
};
use serde_json::Value;

/// One webhook body, read: everything in it, in the order it stands there. Meta may put up to 1,000
/// updates into one.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Notification {
    /// What it holds. Empty only when Meta sent nothing.
    pub items: Vec<Item>,
}

/// One thing Meta tells us.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A person sent something.
    Message(Box<InboundMessage>),
    /// One of our messages has come further, or failed.
    Status(Box<Status>),
    /// Something is wrong with the account or the number: for the operator.
    AccountError(AccountError),
    /// Another kind of news than messages and statuses: acknowledged, counted, not acted upon.
    Other(OtherField),
    /// A message or status that cannot be acted upon, whole.
    Unattributable(Unattributable),
}

/// Something a person sent.
#[derive(Debug, Clone, PartialEq)]
pub struct InboundMessage {
    /// Meta's id of the number of ours it came to; route by this, never by the displayed number.
    pub phone_number_id: Option<String>,
    /// Who sent it: their number when known, else WhatsApp's own id.
    pub address: Address,
    /// WhatsApp's own id of them, also when the number is known.
    pub wa_user_id: Option<WhatsAppUserId>,
    /// The name of their profile.
    pub name: Option<Sensitive<String>>,
    /// WhatsApp's id of the message. Repeated deliveries carry the same one.
    pub wamid: Wamid,
    /// When they sent it, in whole seconds; `None` when Meta left it out (take the time of arrival).
    pub sent_at: Option<DateTime<Utc>>,
    /// What they sent.
    pub content: MessageContent,
    /// What it refers to, if anything.
    pub context: Option<MessageContext>,
    /// The advertisement they came from, if any.
    pub referral: Option<Referral>,
    /// The group it was written in, if any.
    pub group: Option<String>,
}

/// How far one of our messages has come.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Meta's id of the number of ours it was sent from.
    pub phone_number_id: Option<String>,
    /// Whom it was for, if told. Only a hint: the send's own record knows better, since a message to a
    /// number may be reported under WhatsApp's own id.
    pub recipient: Option<Address>,
    /// WhatsApp's own id of them, also when the number is known.
    pub wa_user_id: Option<WhatsAppUserId>,
    /// WhatsApp's id of our message.
    pub wamid: Wamid,
    /// How far it has come; `None` for a status we do not know.
    pub state: Option<DeliveryState>,
    /// WhatsApp's own name of the status, or `other` when it is no short lower-case word.
    pub status: String,
    /// When, in whole seconds; `None` when Meta left it out.
    pub at: Option<DateTime<Utc>>,
    /// What we attached to the send (`biz_opaque_callback_data`), as received.
    pub tracker: Option<String>,
    /// Why it failed, if it did. Meta sends one.
    pub errors: Vec<ApiError>,
}

impl Status {
    /// Our own id of the send, if it was ours.
    pub fn delivery(&self) -> Option<DeliveryId> {
        self.tracker.as_deref()?.parse().ok()
    }
}

/// An error as Meta describes it. Decide by the code alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// Meta's code.
    pub code: i64,
    /// Meta's words for it; changes without notice.
    pub title: Option<String>,
    /// Meta's words for this case. May name the recipient.
    pub details: Option<Sensitive<String>>,
}

/// Something is wrong with the account or the number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountError {
    /// Meta's id of the number, if told.
    pub phone_number_id: Option<String>,
    /// What is wrong.
    pub error: ApiError,
}

/// News of another kind.
#[derive(Debug, Clone, PartialEq)]
pub struct OtherField {
    /// Meta's name of the field when it is a documented one, else `other`: from a closed set.
    pub field: &'static str,
    /// What it says, as received.
    pub value: Sensitive<Value>,
}

impl OtherField {
    /// Whether the operator should hear of it at once: the account, the number or a template may have
    /// been restricted.
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
    /// Meta's id of the number of ours it came to.
    pub phone_number_id: Option<String>,
    /// What it lacks.
    pub lack: Lack,
    /// The whole of it, as received.
    pub raw: Sensitive<Value>,
}

/// What an unattributable message or status lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// Neither a number nor an id tells who sent it.
    Sender,
    /// It has no usable id, so a repetition could not be told from news.
    Id,
    /// It is not a JSON object.
    Shape,
}

impl Lack {
    /// The name used in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Id => "id",
            Self::Shape => "shape",
        }
    }
}
