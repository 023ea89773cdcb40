use std::{fmt, str::FromStr};

use claw_domain::CallId;

/// Twilio's id of a call: `CA` and 32 hex digits as documented; any short token is accepted, because
/// only sameness counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallSid(String);

/// Longest id we accept: Twilio's own have 34 characters.
const MAX_SID_CHARS: usize = 64;

/// Why a text is no id of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a call's id has 1 to {MAX_SID_CHARS} letters and digits")]
pub struct CallSidError;

impl CallSid {
    /// The id as Twilio wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Our own id of the call: the same for everything Twilio says about it.
    pub fn call(&self) -> CallId {
        CallId::derived_from(&self.0)
    }
}

impl FromStr for CallSid {
    type Err = CallSidError;

    fn from_str(text: &str) -> Result<Self, CallSidError> {
        let is_token = (1..=MAX_SID_CHARS).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_token {
            Ok(Self(text.to_owned()))
        } else {
            Err(CallSidError)
        }
    }
}

impl fmt::Display for CallSid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far a call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallStatus {
    /// Waiting to be made.
    Queued,
    /// Being made.
    Initiated,
    /// Ringing; also what the first request of an incoming call says.
    Ringing,
    /// Someone is on the line.
    InProgress,
    /// Over, after a conversation.
    Completed,
    /// The other side was on the phone.
    Busy,
    /// It could not be put through.
    Failed,
    /// Nobody answered.
    NoAnswer,
    /// Given up before anybody answered.
    Canceled,
    /// A word Twilio did not have when this was written.
    Other,
}

impl CallStatus {
    /// The status of this name.
    pub fn from_name(name: &str) -> Self {
        match name {
            "queued" => Self::Queued,
            "initiated" => Self::Initiated,
            "ringing" => Self::Ringing,
            "in-progress" => Self::InProgress,
            "completed" => Self::Completed,
            "busy" => Self::Busy,
            "failed" => Self::Failed,
            "no-answer" => Self::NoAnswer,
            "canceled" => Self::Canceled,
            _ => Self::Other,
        }
    }

    /// Whether the call is over for good. Reports may arrive out of order: a final one wins.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Busy | Self::Failed | Self::NoAnswer | Self::Canceled => true,
            Self::Queued | Self::Initiated | Self::Ringing | Self::InProgress | Self::Other => {
                false
            }
        }
    }
}

/// Who called whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// A person called us.
    Inbound,
    /// We called a person.
    Outbound,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_calls_id_is_a_short_token() {
        let sid = "CAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
        assert_eq!(sid.parse::<CallSid>().unwrap().to_string(), sid);

        for text in [
            "",
            "CA 1",
            "CA/1",
            "CA.1",
            "é",
            &"A".repeat(MAX_SID_CHARS + 1),
        ] {
            assert_eq!(text.parse::<CallSid>(), Err(CallSidError), "{text:?}");
        }
    }

    #[test]
    fn only_an_ended_call_is_final() {
        for (name, is_final) in [
            ("queued", false),
            ("initiated", false),
            ("ringing", false),
            ("in-progress", false),
            ("completed", true),
            ("busy", true),
            ("failed", true),
            ("no-answer", true),
            ("canceled", true),
            ("teleported", false),
        ] {
            assert_eq!(CallStatus::from_name(name).is_final(), is_final, "{name}");
        }
    }
}
