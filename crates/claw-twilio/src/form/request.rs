use std::str::FromStr;

use claw_domain::Sensitive;
use strum::EnumString;

use super::{CallSid, CallSidError, Caller, Form, TwilioCallStatus};

/// How a `ConversationRelay` session ended, as told to the `action` of `<Connect>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumString)]
#[strum(serialize_all = "lowercase")]
pub enum SessionStatus {
    /// The caller hung up.
    Completed,
    /// We ended the session.
    Ended,
    /// The socket broke or could not be opened; the caller is still on the line.
    Failed,
    /// A status that Twilio introduced after this was written.
    Other,
}

/// The end of a `ConversationRelay` session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayEnd {
    /// Whether the session ended as planned, or broke.
    pub status: SessionStatus,
    /// The data that we attached when we ended the session.
    pub handoff: Option<Sensitive<String>>,
}

/// One request from Twilio about a call. Only the call's id is always present. Unknown fields are ignored,
/// because Twilio adds fields at any time.
#[derive(Debug, Clone, PartialEq)]
pub struct VoiceRequest {
    /// Twilio's id of the call.
    pub sid: CallSid,
    /// The number that the caller shows, and how far it is trusted.
    pub caller: Caller,
    /// The status of the call.
    pub status: Option<TwilioCallStatus>,
    /// The recognized speech; `None` if nothing was recognized.
    pub speech: Option<Sensitive<String>>,
    /// The keys that were pressed.
    pub digits: Option<Sensitive<String>>,
    /// How long the call lasted; sent with the final status only.
    pub duration_seconds: Option<u32>,
    /// How a `ConversationRelay` session ended, if one did.
    pub relay_end: Option<RelayEnd>,
    /// Twilio's error code, sent to the fallback URL and after a broken session.
    pub error_code: Option<u32>,
    /// Our URL that failed, sent to the fallback URL.
    pub error_url: Option<String>,
}

impl VoiceRequest {
    /// Reads a form. A field that cannot be parsed counts as absent, except the call's id.
    pub fn read(form: &Form) -> Result<Self, CallSidError> {
        let text = |name: &str| form.get_filled(name).map(|value| value.trim().to_owned());
        Ok(Self {
            sid: text("CallSid").ok_or(CallSidError)?.parse()?,
            caller: Caller::read(text("From").as_deref(), text("StirVerstat").as_deref()),
            status: text("CallStatus").map(|name| TwilioCallStatus::from_name(&name)),
            speech: text("SpeechResult").map(Sensitive::from),
            digits: text("Digits").map(Sensitive::from),
            duration_seconds: number(form, "CallDuration"),
            relay_end: relay_end(form),
            error_code: number(form, "ErrorCode"),
            error_url: text("ErrorUrl"),
        })
    }
}

fn relay_end(form: &Form) -> Option<RelayEnd> {
    form.get_filled("SessionId")?;
    let status = form.get("SessionStatus").unwrap_or_default();
    Some(RelayEnd {
        status: status.parse().unwrap_or(SessionStatus::Other),
        handoff: form
            .get_filled("HandoffData")
            .map(|data| Sensitive::from(data.as_ref())),
    })
}

fn number<N: FromStr>(form: &Form, name: &str) -> Option<N> {
    form.get(name)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use claw_domain::{Attestation, PhoneNumber};

    use super::*;

    fn read(body: &str) -> VoiceRequest {
        VoiceRequest::read(&Form::parse(body.as_bytes())).unwrap()
    }

    #[test]
    fn only_the_call_id_is_required() {
        let request = read("CallSid=CA1&Brand=new&Brand=newer");

        assert_eq!(request.sid.as_str(), "CA1");
        assert_eq!(
            request.caller,
            Caller::Hidden {
                attestation: Attestation::Hidden
            }
        );
        assert_eq!((request.status, request.speech), (None, None));
        for body in ["", "CallSid=", "CallSid=+", "CallSid=CA%2F1", "Callsid=CA1"] {
            assert!(
                VoiceRequest::read(&Form::parse(body.as_bytes())).is_err(),
                "{body:?}"
            );
        }
    }

    #[test]
    fn an_utterance_comes_with_its_caller() {
        let request = read(
            "CallSid=CA1&From=%2B14155550101&CallStatus=in-progress&SpeechResult=What%27s+on+today%3F",
        );

        assert_eq!(request.speech, Some("What's on today?".into()));
        assert_eq!(
            request.caller,
            Caller::Known {
                phone: PhoneNumber::try_from("+14155550101").unwrap(),
                attestation: Attestation::NoVerdict
            }
        );
    }

    #[test]
    fn an_empty_result_or_an_invalid_number_counts_as_absent() {
        let request = read("CallSid=CA1&SpeechResult=+&CallDuration=-1&Digits=");

        assert_eq!((request.speech, request.digits), (None, None));
        assert_eq!(request.duration_seconds, None);
    }

    #[test]
    fn the_final_status_comes_with_the_duration() {
        let request = read("CallSid=CA1&CallStatus=completed&CallDuration=42");

        assert_eq!(request.status, Some(TwilioCallStatus::Completed));
        assert_eq!(request.duration_seconds, Some(42));
    }

    #[test]
    fn a_broken_session_comes_with_its_error_code() {
        let request = read("CallSid=CA1&SessionId=VX1&SessionStatus=failed&ErrorCode=64105");

        assert_eq!(request.relay_end.unwrap().status, SessionStatus::Failed);
        assert_eq!(request.error_code, Some(64105));
    }

    #[test]
    fn an_unknown_session_status_is_other() {
        let request = read("CallSid=CA1&SessionId=VX1&SessionStatus=teleported");

        assert_eq!(request.relay_end.unwrap().status, SessionStatus::Other);
    }

    #[test]
    fn debug_output_hides_speech_keys_and_numbers() {
        let request = read(
            "CallSid=CA1&From=%2B14155550101&SpeechResult=secret&Digits=4711\
             &SessionId=VX1&HandoffData=secret",
        );
        let printed = format!("{request:?}");
        for word in ["secret", "4711", "415555"] {
            assert!(!printed.contains(word), "{printed}");
        }
    }
}
