use strum::{EnumString, IntoStaticStr};

use crate::{CallId, Wamid};

/// The channel a message arrived on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The user wrote it in the WhatsApp chat.
    WhatsApp {
        /// WhatsApp's id of the message.
        wamid: Wamid,
    },
    /// It is an event of a phone call.
    Voice {
        /// The id of the call.
        call: CallId,
        /// The number of the utterance within the call; 0 for the ringing phone.
        turn: u32,
        /// The kind of the event.
        kind: VoiceKind,
    },
}

impl Origin {
    /// Whether the message was written in the chat.
    pub const fn is_written(&self) -> bool {
        matches!(self, Self::WhatsApp { .. })
    }

    /// The call and the number of an utterance; `None` for all other messages, whose answers go to the chat.
    pub const fn call_turn(&self) -> Option<(CallId, u32)> {
        match *self {
            Self::Voice {
                call,
                turn,
                kind: VoiceKind::Speech,
            } => Some((call, turn)),
            Self::WhatsApp { .. } | Self::Voice { .. } => None,
        }
    }
}

/// The kind of a phone call's event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum VoiceKind {
    /// The call arrived; the phone is ringing.
    CallStarted,
    /// The caller said something.
    Speech,
    /// The call is over, with any outcome.
    CallEnded,
    /// After the call: its caller may not have been the user, who has to be told.
    CallWarning,
}

impl VoiceKind {
    /// The name in storage, in the column that holds `MessageContent::kind` for a written message.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
