use serde_json::{Value, json};

use super::{line::Line, relay_settings::Interruptible, world::World};

/// What an application tells the relay.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    Text(TextToken),
    Play(String),
    /// With `handoffData`.
    End(Option<String>),
    /// Something that changes nothing a caller of ours would notice.
    Setting,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TextToken {
    pub(crate) text: String,
    pub(crate) last: bool,
    pub(crate) interruptible: Option<Interruptible>,
}

/// Reads a frame of the application; `Err` is what Twilio reports as 64107.
pub(crate) fn read(frame: &str) -> Result<Said, ()> {
    let frame: Value = serde_json::from_str(frame).map_err(drop)?;
    let text_of = |field: &str| frame[field].as_str().map(str::to_owned);
    match frame["type"].as_str() {
        Some("text") => Ok(Said::Text(TextToken {
            text: text_of("token").ok_or(())?,
            last: optional(&frame["last"], Value::as_bool)?.unwrap_or(false),
            interruptible: optional(&frame["interruptible"], interruptible)?,
        })),
        Some("play") => Ok(Said::Play(text_of("source").ok_or(())?)),
        Some("end") => {
            let handoff = optional(&frame["handoffData"], Value::as_str)?;
            Ok(Said::End(handoff.map(str::to_owned)))
        }
        Some("sendDigits") => text_of("digits").map(|_| Said::Setting).ok_or(()),
        Some("language" | "config") => Ok(Said::Setting),
        _ => Err(()),
    }
}

/// A field that may be absent, but not be anything.
fn optional<'a, T>(
    field: &'a Value,
    read: impl Fn(&'a Value) -> Option<T>,
) -> Result<Option<T>, ()> {
    if field.is_null() {
        return Ok(None);
    }
    read(field).map(Some).ok_or(())
}

fn interruptible(field: &Value) -> Option<Interruptible> {
    let of_bool = field.as_bool().map(|any| if any { "any" } else { "none" });
    of_bool.or(field.as_str()).map(Interruptible::named)
}

/// The first frame of every connection.
pub(crate) fn setup(world: &World, line: &Line, session: &str, parameters: &Value) -> Value {
    let caller = &line.caller;
    json!({
        "type": "setup",
        "sessionId": session,
        "accountSid": world.config.account_sid,
        "parentCallSid": "",
        "callSid": line.sid,
        "from": caller.from,
        "to": world.config.number,
        "forwardedFrom": caller.forwarded_from.as_deref().unwrap_or_default(),
        "callType": "PSTN",
        "callerName": caller.name.as_deref().unwrap_or_default(),
        "direction": "inbound",
        "callStatus": "RINGING",
        "customParameters": parameters,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_frame_of_the_protocol_is_refused() {
        for wrong in [
            "Bad Gateway",
            "{}",
            r#"{"type":"sing"}"#,
            r#"{"type":"text","last":true}"#,
            r#"{"type":"text","token":"a","last":"yes"}"#,
            r#"{"type":"end","handoffData":{}}"#,
        ] {
            assert_eq!(read(wrong), Err(()), "{wrong}");
        }
    }

    #[test]
    fn a_token_without_last_leaves_the_utterance_open() {
        let Ok(Said::Text(token)) = read(r#"{"type":"text","token":"Hi"}"#) else {
            panic!("a token");
        };

        assert!(!token.last);
        assert_eq!(token.interruptible, None);
    }
}
