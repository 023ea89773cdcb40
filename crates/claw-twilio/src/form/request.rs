use std::str::FromStr;

use chrono::{DateTime, Utc};
use claw_domain::Sensitive;

use super::{CallSid, CallSidError, CallStatus, Caller, Direction, Form};

/// How a streamed conversation ended, as told to the `action` of `<Connect>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionStatus {
    /// The caller hung up.
    Completed,
    /// We ended it.
    Ended,
    /// The socket broke or could not be opened: the caller is still there.
    Failed,
    /// A word Twilio did not have when this was written.
    Other,
}

/// What is told when a streamed conversation is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayEnd {
    /// Twilio's id of the session.
    pub session: String,
    /// How it ended.
    pub status: SessionStatus,
    /// What we handed over when we ended it.
    pub handoff: Option<Sensitive<String>>,
}

/// One request Twilio makes about a call. Only the call's id is certain to be there; fields we do not
/// know are passed over, as Twilio adds some at any time.
#[derive(Debug, Clone, PartialEq)]
pub struct VoiceRequest {
    /// The call.
    pub sid: CallSid,
    /// Who calls.
    pub caller: Caller,
    /// Whom they called, or we call.
    pub to: Option<Sensitive<String>>,
    /// How far the call has come.
    pub status: Option<CallStatus>,
    /// Who called whom; as inbound if it is not said.
    pub direction: Direction,
    /// What was understood; `None` if nothing was.
    pub speech: Option<Sensitive<String>>,
    /// How sure Twilio is of it, from 0 to 1; not always there.
    pub confidence: Option<f32>,
    /// The keys that were pressed.
    pub digits: Option<Sensitive<String>>,
    /// The language it was heard in, as a tag.
    pub language: Option<String>,
    /// How long the call lasted; with the final status only.
    pub duration_seconds: Option<u32>,
    /// The place of a status report among those of its call, from 0.
    pub sequence: Option<u32>,
    /// When what a status report tells happened.
    pub timestamp: Option<DateTime<Utc>>,
    /// How a streamed conversation ended.
    pub relay_end: Option<RelayEnd>,
    /// Twilio's number of what went wrong, at the fallback URL and after a broken stream.
    pub error_code: Option<u32>,
    /// The URL of ours that did not answer well.
    pub error_url: Option<String>,
}

impl VoiceRequest {
    /// Reads a form. A field that cannot be understood counts as absent.
    pub fn read(form: &Form) -> Result<Self, CallSidError> {
        let text = |name: &str| form.get_filled(name).map(|value| value.trim().to_owned());
        Ok(Self {
            sid: text("CallSid").ok_or(CallSidError)?.parse()?,
            caller: Caller::read(text("From").as_deref(), text("StirVerstat").as_deref()),
            to: text("To").map(Sensitive::from),
            status: text("CallStatus").map(|name| CallStatus::from_name(&name)),
            direction: direction(text("Direction").as_deref()),
            speech: text("SpeechResult").map(Sensitive::from),
            confidence: number(form, "Confidence").filter(|sure| (0.0..=1.0).contains(sure)),
            digits: text("Digits").map(Sensitive::from),
            language: text("Language"),
            duration_seconds: number(form, "CallDuration"),
            sequence: number(form, "SequenceNumber"),
            timestamp: text("Timestamp")
                .and_then(|text| DateTime::parse_from_rfc2822(&text).ok())
                .map(|time| time.to_utc()),
            relay_end: relay_end(form),
            error_code: number(form, "ErrorCode"),
            error_url: text("ErrorUrl"),
        })
    }
}

fn direction(name: Option<&str>) -> Direction {
    if name.is_some_and(|name| name.starts_with("outbound")) {
        Direction::Outbound
    } else {
        Direction::Inbound
    }
}

fn relay_end(form: &Form) -> Option<RelayEnd> {
    let session = form.get_filled("SessionId")?.into_owned();
    let status = match form.get("SessionStatus").unwrap_or_default().as_ref() {
        "completed" => SessionStatus::Completed,
        "ended" => SessionStatus::Ended,
        "failed" => SessionStatus::Failed,
        _ => SessionStatus::Other,
    };
    let handoff = form
        .get_filled("HandoffData")
        .map(|data| Sensitive::from(data.as_ref()));
    Some(RelayEnd {
        session,
        status,
        handoff,
    })
}

fn number<N: FromStr>(form: &Form, name: &str) -> Option<N> {
    form.get(name)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use claw_domain::PhoneNumber;

    use super::*;

    fn read(body: &str) -> VoiceRequest {
        VoiceRequest::read(&Form::parse(body.as_bytes())).unwrap()
    }

    #[test]
    fn nothing_but_the_calls_id_is_needed() {
        let request = read("CallSid=CA1&Brand=new&Brand=newer");

        assert_eq!(request.sid.as_str(), "CA1");
        assert_eq!(request.caller, Caller::Hidden);
        assert_eq!((request.status, request.speech), (None, None));
        for body in ["", "CallSid=", "CallSid=+", "CallSid=CA%2F1", "Callsid=CA1"] {
            assert!(
                VoiceRequest::read(&Form::parse(body.as_bytes())).is_err(),
                "{body:?}"
            );
        }
    }

    #[test]
    fn a_sentence_is_read_with_how_sure_it_is() {
        let request = read(
            "CallSid=CA1&From=%2B14155550101&CallStatus=in-progress&Direction=inbound\
             &SpeechResult=What%27s+on+today%3F&Confidence=0.9135&Language=en-US",
        );

        assert_eq!(request.speech, Some("What's on today?".into()));
        assert_eq!(request.confidence, Some(0.9135));
        assert_eq!(request.language.as_deref(), Some("en-US"));
        assert_eq!(
            request.caller.trusted_phone(),
            Some(&PhoneNumber::try_from("+14155550101").unwrap())
        );
    }

    #[test]
    fn an_empty_result_is_no_sentence_and_a_strange_number_no_number() {
        let request = read("CallSid=CA1&SpeechResult=+&Confidence=high&CallDuration=-1&Digits=");

        assert_eq!((request.speech, request.confidence), (None, None));
        assert_eq!((request.duration_seconds, request.digits), (None, None));
        assert_eq!(read("CallSid=CA1&Confidence=NaN").confidence, None);
    }

    #[test]
    fn a_report_of_the_end_says_when_and_how_long() {
        let request = read(
            "CallSid=CA1&CallStatus=completed&CallDuration=42&SequenceNumber=3\
             &Timestamp=Mon%2C+02+Nov+2026+09%3A30%3A00+%2B0000&Direction=outbound-api",
        );

        assert_eq!(request.status, Some(CallStatus::Completed));
        assert_eq!(
            (request.duration_seconds, request.sequence),
            (Some(42), Some(3))
        );
        assert_eq!(
            request.timestamp.unwrap().to_rfc3339(),
            "2026-11-02T09:30:00+00:00"
        );
        assert_eq!(request.direction, Direction::Outbound);
    }

    #[test]
    fn a_broken_stream_is_told_with_its_error() {
        let request = read("CallSid=CA1&SessionId=VX1&SessionStatus=failed&ErrorCode=64105");

        assert_eq!(request.relay_end.unwrap().status, SessionStatus::Failed);
        assert_eq!(request.error_code, Some(64105));
    }

    #[test]
    fn what_a_person_said_and_who_they_are_does_not_print() {
        let request = read(
            "CallSid=CA1&From=%2B14155550101&To=%2B14155550199&SpeechResult=secret&Digits=4711\
             &SessionId=VX1&HandoffData=secret",
        );
        let printed = format!("{request:?}");
        for word in ["secret", "4711", "415555"] {
            assert!(!printed.contains(word), "{printed}");
        }
    }
}
