use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::IntoStaticStr;

use crate::{SealedText, Sensitive, Wamid, WhatsAppUserId};

/// The content of a user's message. Each kind that WhatsApp documents has a variant. A newer kind is kept whole in
/// [`MessageContent::Unknown`], so that it is not lost before we can read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr)]
#[serde(tag = "type", content = "content", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum MessageContent {
    /// A text of at most 4,096 characters, which is Meta's limit.
    Text(Sensitive<String>),
    /// A text that sets a PIN, sealed for the gateway.
    SealedPin(SealedText),
    /// An image, video, document, sticker or sound file.
    Media(Media),
    /// The user's position, or a place they chose.
    Location(Location),
    /// Cards from the user's address book.
    Contacts(Vec<ContactCard>),
    /// The user's answer to our interactive message.
    Interactive(Interactive),
    /// The user tapped a quick-reply button of a template.
    Button {
        /// The payload that we gave the button.
        payload: Sensitive<String>,
        /// The label of the button.
        text: Sensitive<String>,
    },
    /// The user put an emoji on a message, or removed one.
    Reaction(Reaction),
    /// A shopping cart, as the JSON received.
    Order(Sensitive<Value>),
    /// A change of the user's account, sent by WhatsApp and not by the user.
    System(SystemNotice),
    /// The user opened the chat for the first time and has not written yet.
    RequestWelcome,
    /// A message that WhatsApp could not pass on.
    Unsupported(Unsupported),
    /// The user edited an earlier message (only for numbers that are also used in the Business app).
    Edit {
        /// The edited message, if WhatsApp named it.
        original: Option<Wamid>,
        /// The new form of the message, as the JSON received.
        raw: Sensitive<Value>,
    },
    /// The user deleted an earlier message (only for numbers that are also used in the Business app).
    Revoke {
        /// The deleted message, if WhatsApp named it.
        original: Option<Wamid>,
    },
    /// A message of a kind that we do not know, kept whole.
    Unknown {
        /// WhatsApp's name of the kind.
        kind: String,
        /// The message as the JSON received.
        raw: Sensitive<Value>,
    },
}

impl MessageContent {
    /// The name of the kind in metrics and storage, from a closed set.
    pub fn kind(&self) -> &'static str {
        if let Self::Media(media) = self {
            media.kind.as_str()
        } else {
            self.into()
        }
    }

    /// Whether this is a placeholder (error 131060): the real message may follow under the same id.
    pub const fn is_placeholder(&self) -> bool {
        matches!(
            self,
            Self::Unsupported(Unsupported {
                code: Some(Unsupported::UNAVAILABLE),
                ..
            })
        )
    }
}

/// The kind of a file, as WhatsApp shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum MediaKind {
    /// A JPEG or PNG picture, shown in the chat.
    Image,
    /// A video, shown in the chat.
    Video,
    /// A file of any type, offered for download.
    Document,
    /// A sticker, still or animated.
    Sticker,
    /// A sound file that the user attached or forwarded.
    Audio,
    /// A voice note that the user recorded in the chat.
    Voice,
}

impl MediaKind {
    /// The name in storage and metrics, which is the same as on the wire.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A file that WhatsApp keeps for 7 days under `id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// The kind of the file.
    pub kind: MediaKind,
    /// Meta's id, needed to download the file; absent if the message contains an error in its place.
    pub id: Option<String>,
    /// The MIME type from Meta, with its parameters (`audio/ogg; codecs=opus`).
    pub mime_type: Option<String>,
    /// The text that the user wrote under the file.
    pub caption: Option<Sensitive<String>>,
    /// The file's name as sent. It may contain path separators, so never use it as a path.
    pub filename: Option<Sensitive<String>>,
    /// Meta's digest as sent (base64 in practice). Treat a malformed digest as absent.
    pub sha256: Option<String>,
    /// Meta's error code (such as 131052) if Meta could not store the file.
    pub error_code: Option<i64>,
}

/// A point on the map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// The latitude in degrees, negative in the south.
    pub latitude: Sensitive<f64>,
    /// The longitude in degrees, negative in the west.
    pub longitude: Sensitive<f64>,
    /// The name of a chosen place; absent for the user's own position.
    pub name: Option<Sensitive<String>>,
    /// The address of a chosen place; absent for the user's own position.
    pub address: Option<Sensitive<String>>,
}

/// One card from an address book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactCard {
    /// The full name as the address book shows it.
    pub name: Option<Sensitive<String>>,
    /// Phone numbers in the spelling of the card, not normalized.
    pub phones: Vec<Sensitive<String>>,
    /// Mail addresses in the spelling of the card.
    pub emails: Vec<Sensitive<String>>,
}

/// The user's answer to an interactive message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "content", rename_all = "snake_case")]
pub enum Interactive {
    /// The user tapped one of up to three buttons.
    ButtonReply {
        /// The id that we gave the button.
        id: Sensitive<String>,
        /// The label of the button.
        title: Sensitive<String>,
    },
    /// The user chose a row of a list.
    ListReply {
        /// The id that we gave the row.
        id: Sensitive<String>,
        /// The first line of the row.
        title: Sensitive<String>,
        /// The smaller text below the title.
        description: Option<Sensitive<String>>,
    },
    /// The user filled in a form.
    Flow(Flow),
    /// The user answered our request for permission to call.
    CallPermission {
        /// Whether the user gave permission.
        accepted: bool,
    },
    /// An answer of a kind that we do not know, kept whole.
    Unknown(Sensitive<Value>),
}

/// A form ("flow") that the user filled in and sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// The name of the form at Meta, usually `flow`.
    pub name: Option<String>,
    /// The text that the chat shows for the sent form.
    pub body: Option<Sensitive<String>>,
    /// The answers. Meta documents this text as JSON; we do not check it.
    pub response_json: Option<Sensitive<String>>,
}

/// An emoji that the user put on a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// The message that has the emoji, ours or the user's.
    pub message: Wamid,
    /// `None` if the user removed the emoji.
    pub emoji: Option<Sensitive<String>>,
}

/// A change of the user's WhatsApp account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "content", rename_all = "snake_case")]
pub enum SystemNotice {
    /// The user has a new number; this notice still comes from the old one.
    NumberChanged {
        /// The new number as Meta wrote it.
        new_number: Option<Sensitive<String>>,
    },
    /// The user's business-scoped id changed.
    UserIdChanged {
        /// The new id, if Meta names it.
        new_id: Option<WhatsAppUserId>,
    },
    /// The user's device or encryption identity changed.
    IdentityChanged,
    /// A change of a kind that we do not know.
    Other {
        /// WhatsApp's name of the kind.
        kind: String,
    },
}

/// A message that WhatsApp could not pass on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsupported {
    /// Meta's error code, such as [`Unsupported::UNAVAILABLE`].
    pub code: Option<i64>,
    /// The kind of the message (`poll`, `edit`, …), if WhatsApp named it.
    pub kind: Option<String>,
}

impl Unsupported {
    /// "Message unavailable". The real message may follow about 200 ms later under the same id, or never (reported by
    /// integrators, not documented by Meta).
    pub const UNAVAILABLE: i64 = 131_060;
}

/// Other things that a message refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageContext {
    /// The message that the user quoted.
    pub quoted: Option<Wamid>,
    /// Whether the user forwarded the message from another chat.
    pub forwarded: bool,
    /// Whether the message was forwarded many times.
    pub frequently_forwarded: bool,
    /// The catalogue product that the message asks about, as the JSON received.
    pub referred_product: Option<Sensitive<Value>>,
}

/// The advertisement through which a user opened the chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referral {
    /// `ad` or `post`, in Meta's spelling.
    pub source_type: Option<String>,
    /// Meta's id of the advertisement.
    pub source_id: Option<String>,
    /// The headline of the advertisement.
    pub headline: Option<Sensitive<String>>,
    /// Meta's id of the click on the advertisement.
    pub ctwa_clid: Option<Sensitive<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_unavailable_code_is_a_placeholder() {
        let with = |code| MessageContent::Unsupported(Unsupported { code, kind: None });

        assert!(with(Some(131_060)).is_placeholder());
        assert!(!with(Some(131_051)).is_placeholder());
        assert!(!with(None).is_placeholder());
    }

    #[test]
    fn debug_output_hides_what_the_user_wrote() {
        let content = MessageContent::Text("my pin is 1234".into());

        assert_eq!(format!("{content:?}"), "Text(…)");
    }
}
