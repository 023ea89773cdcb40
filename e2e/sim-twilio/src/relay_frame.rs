use serde_json::{Value, json};

use super::{line::Line, relay_settings::Interruptible, world::World};

/// A message of the application to the relay.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum AppMessage {
    Text(TextToken),
    Play(String),
    /// Ends the session, with this `handoffData`.
    End(Option<String>),
    /// A message without an effect that a simulated caller notices.
    Setting,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TextToken {
    pub(crate) text: String,
    pub(crate) last: bool,
    pub(crate) interruptible: Option<Interruptible>,
}

/// Parses a frame of the application; `Err` is Twilio's error 64107.
pub(crate) fn read(frame: &str) -> Result<AppMessage, ()> {
    let frame: Value = serde_json::from_str(frame).map_err(drop)?;
    let text_of = |field: &str| frame[field].as_str().map(str::to_owned);
    match frame["type"].as_str() {
        Some("text") => Ok(AppMessage::Text(TextToken {
            text: text_of("token").ok_or(())?,
            last: optional(&frame["last"], Value::as_bool)?.unwrap_or(false),
            interruptible: optional(&frame["interruptible"], interruptible)?,
        })),
        Some("play") => Ok(AppMessage::Play(text_of("source").ok_or(())?)),
        Some("end") => {
            let handoff = optional(&frame["handoffData"], Value::as_str)?;
            Ok(AppMessage::End(handoff.map(str::to_owned)))
        }
        Some("sendDigits") => text_of("digits").map(|_| AppMessage::Setting).ok_or(()),
        Some("language" | "config") => Ok(AppMessage::Setting),
        _ => Err(()),
    }
}

/// A field that can be absent but must be valid if present.
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
    fn frames_outside_the_protocol_are_refused() {
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
    fn a_token_without_last_leaves_the_speech_open() {
        let Ok(AppMessage::Text(token)) = read(r#"{"type":"text","token":"Hi"}"#) else {
            panic!("the frame is not a text token");
        };

        assert!(!token.last);
        assert_eq!(token.interruptible, None);
    }
}
