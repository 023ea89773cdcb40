use std::{fmt, str::FromStr};

use claw_domain::CallId;
use strum::EnumString;

/// Twilio's id of a call. Documented as `CA` and 32 hex digits; we accept any short alphanumeric token, because
/// we only compare these ids.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallSid(String);

/// Longest id we accept; Twilio's have 34 characters.
const MAX_SID_CHARS: usize = 64;

/// The text is not a call id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a call id of 1 to {MAX_SID_CHARS} letters and digits")]
pub struct CallSidError;

impl CallSid {
    /// The id as Twilio wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Our id of the call, derived from Twilio's and so the same in every request about the call.
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

/// Twilio's status of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumString)]
#[strum(serialize_all = "kebab-case")]
pub enum TwilioCallStatus {
    /// The call waits to be placed.
    Queued,
    /// The call is being placed.
    Initiated,
    /// The phone rings; also the status in the first request of an incoming call.
    Ringing,
    /// The call was answered.
    InProgress,
    /// The call ended after a conversation.
    Completed,
    /// The called number was busy.
    Busy,
    /// The call could not be connected.
    Failed,
    /// The called number rang until Twilio gave up.
    NoAnswer,
    /// The call was cancelled before anybody answered.
    Canceled,
    /// A status that Twilio introduced after this was written.
    Other,
}

impl TwilioCallStatus {
    /// The status of this name; [`TwilioCallStatus::Other`] for an unknown name.
    pub fn from_name(name: &str) -> Self {
        name.parse().unwrap_or(Self::Other)
    }

    /// Whether the call is over. Status reports may arrive out of order: a final one wins.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Completed | Self::Busy | Self::Failed | Self::NoAnswer | Self::Canceled => true,
            Self::Queued | Self::Initiated | Self::Ringing | Self::InProgress | Self::Other => {
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_id_is_a_short_token() {
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
            assert_eq!(
                TwilioCallStatus::from_name(name).is_final(),
                is_final,
                "{name}"
            );
        }
    }
}
