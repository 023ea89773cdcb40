use crate::CallId;
use serde::{
    Deserialize, Serialize,
    de::{
        IntoDeserializer,
        value::{Error, StrDeserializer},
    },
};

/// Why something is said to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// The name used in storage and metrics: the same as on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Notice => "notice",
            Self::Heartbeat => "heartbeat",
            Self::Cron => "cron",
            Self::VoiceFollowup => "voice_followup",
        }
    }

    /// The source of this name, if there is one. It is read as from the wire, so that no list of sources
    /// can lag behind the sources.
    pub fn from_name(name: &str) -> Option<Self> {
        let name: StrDeserializer<'_, Error> = name.into_deserializer();
        Self::deserialize(name).ok()
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
    fn every_source_is_found_again_by_its_name() {
        use ReplySource::{Chat, Cron, Heartbeat, Notice, VoiceFollowup};
        for source in [Chat, Notice, Heartbeat, Cron, VoiceFollowup] {
            assert_eq!(ReplySource::from_name(source.as_str()), Some(source));
        }
        assert_eq!(ReplySource::from_name("whatsapp"), None);
    }

    #[test]
    fn only_what_nobody_asked_for_is_proactive() {
        let proactive = ["chat", "notice", "heartbeat", "cron", "voice_followup"]
            .into_iter()
            .filter_map(ReplySource::from_name)
            .filter(|source| source.is_proactive());

        assert!(proactive.eq([ReplySource::Heartbeat, ReplySource::Cron]));
    }
}
