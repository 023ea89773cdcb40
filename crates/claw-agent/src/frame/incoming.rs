use std::{borrow::Cow, time::Duration};

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{AgentEvent, lenient, read_event, shortened};
use crate::{Refusal, connection::LongMessagePermit};

/// The longest advised pause we follow. A sandbox must not be able to keep us away for good.
const LONGEST_ADVICE: Duration = Duration::from_mins(10);

/// A frame from OpenClaw.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// The answer to one of our requests. Answers may come out of order.
    Response(Response),
    Event(AgentEvent),
}

/// The answer to one request.
#[derive(Debug)]
pub(crate) struct Response {
    /// The id of the request.
    pub(crate) id: String,
    /// The body, or the refusal.
    pub(crate) outcome: Result<Payload, Refusal>,
}

/// The body of an answer, not yet decoded. Not printed, because it may contain messages of users.
pub(crate) struct Payload {
    raw: Option<Box<RawValue>>,
    /// Held as long as the body is in memory, if it is long.
    _permit: Option<LongMessagePermit>,
}

impl Payload {
    /// Decodes the body as the answer to a certain request.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(self.raw().get())
    }

    /// The body as received.
    pub(crate) fn raw(&self) -> &RawValue {
        self.raw.as_deref().unwrap_or(RawValue::NULL)
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// Decodes a text frame, for which `permit` was taken if it is long. `None` if it is not a frame of this protocol:
/// ignore it.
pub(crate) fn decode(text: &str, permit: Option<LongMessagePermit>) -> Option<Incoming> {
    let envelope: Envelope<'_> = serde_json::from_str(text).ok()?;
    match envelope.kind.as_ref() {
        "res" => Some(Incoming::Response(Response {
            id: envelope.id?.into_owned(),
            outcome: if envelope.ok.unwrap_or(false) {
                Ok(Payload {
                    raw: envelope.payload.map(ToOwned::to_owned),
                    _permit: permit,
                })
            } else {
                Err(refusal(envelope.error))
            },
        })),
        "event" => Some(Incoming::Event(read_event::read(
            envelope.event?.as_ref(),
            envelope.payload,
        ))),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    ok: Option<bool>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireError {
    #[serde(deserialize_with = "lenient")]
    code: Option<String>,
    #[serde(deserialize_with = "lenient")]
    message: Option<String>,
    #[serde(deserialize_with = "lenient")]
    retryable: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    retry_after_ms: Option<f64>,
    #[serde(deserialize_with = "lenient")]
    details: Option<WireDetails>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct WireDetails {
    #[serde(deserialize_with = "lenient")]
    code: Option<String>,
    #[serde(deserialize_with = "lenient")]
    reason: Option<String>,
}

fn refusal(error: Option<&RawValue>) -> Refusal {
    let wire: WireError = error
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .unwrap_or_default();
    let details = wire.details.unwrap_or_default();
    let reason = details.reason.map(shortened);
    Refusal {
        code: wire.code.map_or_else(|| "UNKNOWN".to_owned(), shortened),
        message: wire.message.map(shortened).unwrap_or_default(),
        detail: details.code.map(shortened).or_else(|| reason.clone()),
        reason,
        retryable: wire.retryable.unwrap_or(false),
        retry_after: wire.retry_after_ms.map(advice),
    }
}

fn advice(milliseconds: f64) -> Duration {
    let seconds = (milliseconds / 1000.0).clamp(0.0, LONGEST_ADVICE.as_secs_f64());
    Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_ADVICE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_a_frame_is_ignored() {
        for text in [
            "",
            "hello",
            "[]",
            "7",
            "{}",
            r#"{"type":"res"}"#,
            r#"{"type":"new"}"#,
        ] {
            assert!(decode(text, None).is_none(), "{text}");
        }
    }

    #[test]
    fn a_refusal_without_any_known_field_is_still_a_refusal() {
        let error = refused(r#"{"type":"res","id":"1","ok":false,"error":{"code":5}}"#);

        assert_eq!((error.code.as_str(), error.retryable), ("UNKNOWN", false));
    }

    #[test]
    fn an_advised_pause_is_capped_at_ten_minutes() {
        let error = refused(
            r#"{"type":"res","id":"1","ok":false,"error":{"code":"X","retryAfterMs":1e300}}"#,
        );

        assert_eq!(error.retry_after, Some(LONGEST_ADVICE));
    }

    #[test]
    fn the_body_of_an_answer_is_not_printed() {
        let Some(Incoming::Response(response)) = decode(
            r#"{"type":"res","id":"1","ok":true,"payload":{"text":"the door code"}}"#,
            None,
        ) else {
            panic!("no response");
        };

        assert!(!format!("{response:?}").contains("door"));
    }

    fn refused(text: &str) -> Refusal {
        match decode(text, None) {
            Some(Incoming::Response(response)) => response.outcome.unwrap_err(),
            Some(Incoming::Event(_)) | None => panic!("no response: {text}"),
        }
    }
}
