use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::CallId;

/// Why something is said to a person.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum ReplySource {
    /// The assistant answers a message.
    Chat,
    /// We, not the assistant, say something: set-up, trouble, what cannot be read.
    Notice,
    /// The assistant speaks first: it looked around, as it does now and then, and found something.
    Heartbeat,
    /// The assistant speaks first: something it was to do at this time, a reminder for example.
    Cron,
    /// The assistant says in the chat what a phone call left open, once it is over.
    VoiceFollowup,
}

impl ReplySource {
    /// The name in storage and metrics: the same as on the wire.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether nobody asked for it: such texts are limited in number and kept from the night.
    pub const fn is_proactive(self) -> bool {
        match self {
            Self::Heartbeat | Self::Cron => true,
            Self::Chat | Self::Notice | Self::VoiceFollowup => false,
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
    /// In a phone call, as the answer to one turn of the caller.
    Voice {
        /// Which call.
        call: CallId,
        /// Which turn.
        turn: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_asked_for_is_proactive() {
        let proactive = ReplySource::VARIANTS
            .iter()
            .filter(|source| source.is_proactive());

        assert!(proactive.eq(&[ReplySource::Heartbeat, ReplySource::Cron]));
    }
}
