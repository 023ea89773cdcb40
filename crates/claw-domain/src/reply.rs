use serde::{Deserialize, Serialize};

/// Why something is said to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplySource {
    /// The assistant answers a message.
    Chat,
    /// We, not the assistant, say something: set-up, trouble, what cannot be read.
    Notice,
}

impl ReplySource {
    /// The name used in storage and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Notice => "notice",
        }
    }
}

/// Where something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// In the person's WhatsApp chat.
    #[serde(rename = "whatsapp")]
    WhatsApp,
}
