use serde::{Deserialize, Serialize};
use serde_json::Value;
use strum::IntoStaticStr;

use crate::{Sensitive, Wamid, WhatsAppUserId};

/// What a person sent. One variant for each kind WhatsApp documents; anything newer is kept whole in
/// [`MessageContent::Unknown`], so that nothing is lost before we learn to read it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr)]
#[serde(tag = "type", content = "content", rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum MessageContent {
    /// Words. At most 4,096 characters by Meta's limit.
    Text(Sensitive<String>),
    /// A picture, film, document, sticker, or sound.
    Media(Media),
    /// A place, chosen or current.
    Location(Location),
    /// Cards from the address book.
    Contacts(Vec<ContactCard>),
    /// A tap on something interactive we sent.
    Interactive(Interactive),
    /// A tap on a template's quick reply.
    Button {
        /// What we put behind the button.
        payload: Sensitive<String>,
        /// What the button said.
        text: Sensitive<String>,
    },
    /// An emoji on one of the messages.
    Reaction(Reaction),
    /// A shopping cart, as received.
    Order(Sensitive<Value>),
    /// News about the person's account rather than a message.
    System(SystemNotice),
    /// The chat was opened for the first time; nothing was written.
    RequestWelcome,
    /// WhatsApp could not give us the message.
    Unsupported(Unsupported),
    /// A message was changed afterwards (numbers shared with the Business app only).
    Edit {
        /// The message that was changed, if named.
        original: Option<Wamid>,
        /// Its new form, as received.
        raw: Sensitive<Value>,
    },
    /// A message was taken back (numbers shared with the Business app only).
    Revoke {
        /// The message that was taken back, if named.
        original: Option<Wamid>,
    },
    /// A kind we do not know, whole.
    Unknown {
        /// WhatsApp's name for it.
        kind: String,
        /// The message as received.
        raw: Sensitive<Value>,
    },
}

impl MessageContent {
    /// The name used in metrics and storage: from a closed set.
    pub fn kind(&self) -> &'static str {
        if let Self::Media(media) = self {
            media.kind.as_str()
        } else {
            self.into()
        }
    }

    /// Whether this only announces a message that may follow under the same id (error 131060).
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

/// Which sort of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A film.
    Video,
    /// Any file.
    Document,
    /// A sticker.
    Sticker,
    /// A sound file that was forwarded.
    Audio,
    /// A voice note the person spoke.
    Voice,
}

impl MediaKind {
    /// The name in storage and metrics: the same as on the wire.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A file held by WhatsApp for 7 days under `id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// Which sort of file.
    pub kind: MediaKind,
    /// Meta's id to fetch it by; absent when the message came with an error instead.
    pub id: Option<String>,
    /// As Meta states it, parameters included (`audio/ogg; codecs=opus`).
    pub mime_type: Option<String>,
    /// What the person wrote under it.
    pub caption: Option<Sensitive<String>>,
    /// The file's name as sent: may hold path parts, never use it as a path.
    pub filename: Option<Sensitive<String>>,
    /// Meta's digest as sent (base64 in practice); a malformed one means "unknown".
    pub sha256: Option<String>,
    /// Why Meta could not take the file (such as 131052), if it could not.
    pub error_code: Option<i64>,
}

/// A place on earth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Location {
    /// Degrees north.
    pub latitude: Sensitive<f64>,
    /// Degrees east.
    pub longitude: Sensitive<f64>,
    /// The place's name, absent for a current position.
    pub name: Option<Sensitive<String>>,
    /// The place's address, absent for a current position.
    pub address: Option<Sensitive<String>>,
}

/// One card from an address book.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactCard {
    /// The formatted name.
    pub name: Option<Sensitive<String>>,
    /// Numbers as written.
    pub phones: Vec<Sensitive<String>>,
    /// Mail addresses as written.
    pub emails: Vec<Sensitive<String>>,
}

/// A tap on something interactive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "content", rename_all = "snake_case")]
pub enum Interactive {
    /// One of up to three buttons.
    ButtonReply {
        /// What we put behind it.
        id: Sensitive<String>,
        /// What it said.
        title: Sensitive<String>,
    },
    /// One row of a list.
    ListReply {
        /// What we put behind it.
        id: Sensitive<String>,
        /// What it said.
        title: Sensitive<String>,
        /// The smaller text below it.
        description: Option<Sensitive<String>>,
    },
    /// A form was filled in.
    Flow(Flow),
    /// The person answered whether we may call.
    CallPermission {
        /// Whether they agreed.
        accepted: bool,
    },
    /// A kind we do not know, whole.
    Unknown(Sensitive<Value>),
}

/// A filled-in form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// The form's name.
    pub name: Option<String>,
    /// What the chat shows.
    pub body: Option<Sensitive<String>>,
    /// The answers: a JSON text by Meta's word, unchecked.
    pub response_json: Option<Sensitive<String>>,
}

/// An emoji on a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// The message it sits on.
    pub message: Wamid,
    /// The emoji; `None` when it was taken away.
    pub emoji: Option<Sensitive<String>>,
}

/// News about the person's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", content = "content", rename_all = "snake_case")]
pub enum SystemNotice {
    /// They have a new number; the message came from the old one.
    NumberChanged {
        /// The new number as Meta wrote it.
        new_number: Option<Sensitive<String>>,
    },
    /// Their business-scoped id changed.
    UserIdChanged {
        /// The new id.
        new_id: Option<WhatsAppUserId>,
    },
    /// Their device or encryption identity changed.
    IdentityChanged,
    /// Anything else.
    Other {
        /// WhatsApp's name for it.
        kind: String,
    },
}

/// A message WhatsApp could not give us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsupported {
    /// Meta's code.
    pub code: Option<i64>,
    /// What it would have been (`poll`, `edit`, …), when told.
    pub kind: Option<String>,
}

impl Unsupported {
    /// "Message unavailable": the real message may follow some 200 ms later under the same id, or
    /// never (reported by integrators, not documented by Meta).
    pub const UNAVAILABLE: i64 = 131_060;
}

/// What a message refers to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageContext {
    /// The message it quotes.
    pub quoted: Option<Wamid>,
    /// It was forwarded.
    pub forwarded: bool,
    /// It was forwarded many times.
    pub frequently_forwarded: bool,
    /// The catalogue product it asks about, as received.
    pub referred_product: Option<Sensitive<Value>>,
}

/// The advertisement a person came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Referral {
    /// `ad` or `post`.
    pub source_type: Option<String>,
    /// Meta's id of the advertisement.
    pub source_id: Option<String>,
    /// Its headline.
    pub headline: Option<Sensitive<String>>,
    /// Meta's click id.
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
    fn contents_print_without_what_the_person_wrote() {
        let content = MessageContent::Text("my pin is 1234".into());

        assert_eq!(format!("{content:?}"), "Text(…)");
    }
}
