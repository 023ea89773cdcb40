use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::CallId;

/// Why a reply is sent to a user.
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
    /// The assistant's answer to a message.
    Chat,
    /// A text of Clawkaka itself, not of the assistant: about the set-up, a failure, or an unreadable message.
    Notice,
    /// A proactive message from one of the assistant's regular checks (OpenClaw's heartbeat).
    Heartbeat,
    /// A proactive message from a scheduled task of the assistant, such as a reminder.
    Cron,
    /// A text of the assistant in the chat after a phone call: an answer that the caller did not hear, or the outcome
    /// of what they asked for.
    VoiceFollowup,
    /// Clawkaka's line that tells a user that they are suspended.
    Suspension,
}

impl ReplySource {
    /// The name in storage and metrics, which is the same as on the wire.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether the assistant wrote the reply unprompted. Such replies are limited in number, and held in quiet hours.
    pub const fn is_proactive(self) -> bool {
        match self {
            Self::Heartbeat | Self::Cron => true,
            Self::Chat | Self::Notice | Self::VoiceFollowup | Self::Suspension => false,
        }
    }
}

/// The channel on which a reply is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The user's WhatsApp chat.
    #[serde(rename = "whatsapp")]
    WhatsApp,
    /// A phone call; the reply answers one utterance of the caller.
    Voice {
        /// The id of the call.
        call: CallId,
        /// The number of the utterance within the call.
        turn: u32,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_heartbeat_and_cron_are_proactive() {
        let proactive = ReplySource::VARIANTS
            .iter()
            .filter(|source| source.is_proactive());

        assert!(proactive.eq(&[ReplySource::Heartbeat, ReplySource::Cron]));
    }
}
