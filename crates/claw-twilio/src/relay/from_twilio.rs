use std::collections::BTreeMap;

use claw_domain::Sensitive;
use serde::{Deserialize, Deserializer};

use crate::form::{CallSid, Caller};

/// What Twilio tells us. What it may tell us in later years is [`FromTwilio::Other`] and to be passed over.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum FromTwilio {
    /// The first message: which call this is.
    Setup(Setup),
    /// The caller said something.
    Prompt(Prompt),
    /// The caller pressed a key.
    Dtmf {
        /// Which one.
        digit: Sensitive<String>,
    },
    /// The caller spoke while we did.
    Interrupt(Interrupt),
    /// A message of ours was not understood; the session goes on.
    Error {
        /// Twilio's words. They repeat our message, so they hold speech.
        #[serde(default)]
        description: Option<Sensitive<String>>,
    },
    /// Something to know when looking for a fault.
    Info {},
    /// A kind that did not exist when this was written.
    #[serde(other)]
    Other,
}

/// Which call a socket is for. Everything but the call's id may be missing or null.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Setup {
    /// Twilio's id of the session.
    #[serde(default)]
    pub session_id: Option<String>,
    call_sid: String,
    #[serde(default)]
    from: Option<Sensitive<String>>,
    /// What we put into the TwiML's `<Parameter>`s.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub custom_parameters: BTreeMap<String, Sensitive<String>>,
}

impl Setup {
    /// The call, if its id is one.
    pub fn call_sid(&self) -> Option<CallSid> {
        self.call_sid.parse().ok()
    }

    /// Who calls. What carriers say about the number does not come this way, only with the first request
    /// of the call.
    pub fn caller(&self) -> Caller {
        Caller::read(self.from.as_ref().map(|from| from.expose().as_str()), None)
    }
}

/// What the caller said.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prompt {
    /// The words.
    pub voice_prompt: Sensitive<String>,
    /// The language, as a tag.
    #[serde(default)]
    pub lang: Option<String>,
    /// Whether the sentence is over. Partial ones come only if they were asked for.
    #[serde(default = "yes")]
    pub last: bool,
}

/// How far our speech came before the caller spoke.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Interrupt {
    /// What was heard of what we said.
    #[serde(default)]
    pub utterance_until_interrupt: Sensitive<String>,
    /// For how long it was spoken. A number; older documents have it as a text.
    #[serde(default, deserialize_with = "number_or_text")]
    pub duration_until_interrupt_ms: Option<u64>,
}

/// A frame that is no message of ConversationRelay. It does not say what stood there: that may be speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a message of ConversationRelay")]
pub struct NotARelayMessage;

impl FromTwilio {
    /// Reads a text frame.
    pub fn parse(frame: &str) -> Result<Self, NotARelayMessage> {
        serde_json::from_str(frame).map_err(|_| NotARelayMessage)
    }
}

const fn yes() -> bool {
    true
}

fn null_is_empty<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Sensitive<String>>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Duration {
        Number(u64),
        Text(String),
        Other(serde::de::IgnoredAny),
    }
    Ok(match Duration::deserialize(deserializer)? {
        Duration::Number(number) => Some(number),
        Duration::Text(text) => text.trim().parse().ok(),
        Duration::Other(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use claw_domain::PhoneNumber;

    use super::*;

    fn parse(frame: &str) -> FromTwilio {
        FromTwilio::parse(frame).unwrap()
    }

    fn setup(frame: &str) -> Setup {
        let FromTwilio::Setup(setup) = parse(frame) else {
            panic!("{frame}");
        };
        setup
    }

    #[test]
    fn a_setup_names_call_caller_and_our_own_parameters() {
        let setup = setup(
            r#"{"type":"setup","sessionId":"VX0","callSid":"CA1","parentCallSid":"","from":"+14155550101",
                "to":"+14155550199","callStatus":"RINGING","customParameters":{"ticket":"abc"},"new":[1]}"#,
        );

        assert_eq!(setup.call_sid().unwrap().as_str(), "CA1");
        assert_eq!(
            setup.caller().trusted_phone(),
            Some(&PhoneNumber::try_from("+14155550101").unwrap())
        );
        assert_eq!(setup.custom_parameters["ticket"], "abc".into());
    }

    #[test]
    fn a_setup_without_a_caller_and_with_nulls_is_read() {
        let setup =
            setup(r#"{"type":"setup","callSid":"CA1","from":null,"customParameters":null}"#);

        assert_eq!(setup.caller(), Caller::Hidden);
        assert!(setup.custom_parameters.is_empty());
    }

    #[test]
    fn a_prompt_is_whole_unless_it_says_otherwise() {
        for (last, expected) in [
            ("", true),
            (r#","last":false"#, false),
            (r#","last":true"#, true),
        ] {
            let frame = format!(r#"{{"type":"prompt","voicePrompt":"Hi!","lang":"en-US"{last}}}"#);
            let FromTwilio::Prompt(prompt) = parse(&frame) else {
                panic!("{frame}");
            };
            assert_eq!((prompt.last, prompt.voice_prompt), (expected, "Hi!".into()));
        }
    }

    #[test]
    fn an_interrupt_gives_its_duration_as_number_as_text_or_not_at_all() {
        for (duration, expected) in [
            (r#","durationUntilInterruptMs":460"#, Some(460)),
            (r#","durationUntilInterruptMs":"460""#, Some(460)),
            (r#","durationUntilInterruptMs":null"#, None),
            (r#","durationUntilInterruptMs":"long""#, None),
            (r#","durationUntilInterruptMs":-1"#, None),
            ("", None),
        ] {
            let frame =
                format!(r#"{{"type":"interrupt","utteranceUntilInterrupt":"Life is"{duration}}}"#);
            let FromTwilio::Interrupt(interrupt) = parse(&frame) else {
                panic!("{frame}");
            };
            assert_eq!(interrupt.duration_until_interrupt_ms, expected, "{frame}");
            assert_eq!(interrupt.utterance_until_interrupt, "Life is".into());
        }
    }

    #[test]
    fn keys_errors_notes_and_what_is_new_are_told_apart() {
        assert_eq!(
            parse(r#"{"type":"dtmf","digit":"1"}"#),
            FromTwilio::Dtmf { digit: "1".into() }
        );
        assert_eq!(
            parse(r#"{"type":"error","description":"Invalid message"}"#),
            FromTwilio::Error {
                description: Some("Invalid message".into())
            }
        );
        assert_eq!(
            parse(r#"{"type":"info","name":"tokensPlayed","value":"x"}"#),
            FromTwilio::Info {}
        );
        assert_eq!(parse(r#"{"type":"hologram","size":3}"#), FromTwilio::Other);
    }

    #[test]
    fn a_frame_that_is_no_message_is_refused_without_telling_what_it_says() {
        for frame in [
            "",
            "secret",
            "{}",
            r#"{"type":"prompt"}"#,
            r#"{"type":"prompt","voicePrompt":["secret"]}"#,
        ] {
            let error = FromTwilio::parse(frame).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("secret"));
        }
    }

    #[test]
    fn no_message_prints_what_was_heard() {
        let heard = parse(r#"{"type":"prompt","voicePrompt":"secret"}"#);

        assert!(!format!("{heard:?}").contains("secret"));
    }
}
