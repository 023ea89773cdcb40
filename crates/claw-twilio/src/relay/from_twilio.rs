use std::collections::BTreeMap;

use claw_domain::Sensitive;
use serde::{Deserialize, Deserializer};

use crate::form::CallSid;

/// A message from Twilio. Callers ignore [`FromTwilio::Other`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum FromTwilio {
    /// The first message: names the call.
    Setup(Setup),
    /// The caller said something.
    Prompt(Prompt),
    /// The caller pressed a key.
    Dtmf {
        /// The key: one of `0` to `9`, `*` and `#`.
        digit: Sensitive<String>,
    },
    /// The caller spoke over us.
    Interrupt(Interrupt),
    /// Twilio did not understand a message of ours; the session goes on. The description repeats our message, so
    /// it contains speech and is not read.
    Error,
    /// A message we have no use for, or of a kind that did not exist when this was written.
    #[serde(other)]
    Other,
}

/// The call that a socket belongs to. Everything but the call's id may be missing or null.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Setup {
    /// Twilio's id of the session.
    #[serde(default)]
    pub session_id: Option<String>,
    call_sid: String,
    /// The values of the TwiML's `<Parameter>` elements.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub custom_parameters: BTreeMap<String, Sensitive<String>>,
}

impl Setup {
    /// The call's id, if it is a valid one.
    pub fn call_sid(&self) -> Option<CallSid> {
        self.call_sid.parse().ok()
    }
}

/// An utterance of the caller.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Prompt {
    /// The caller's words, as Twilio transcribed them.
    pub voice_prompt: Sensitive<String>,
    /// The BCP 47 tag of the language that Twilio recognized.
    #[serde(default)]
    pub lang: Option<String>,
    /// Whether the utterance is complete. Twilio sends partial ones only on request.
    #[serde(default = "yes")]
    pub last: bool,
}

/// The caller spoke over us.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Interrupt {
    /// The part of our utterance that was played before the interruption.
    #[serde(default)]
    pub utterance_until_interrupt: Sensitive<String>,
}

/// The frame is not a `ConversationRelay` message. The error does not quote the frame, which may contain speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the frame is not a ConversationRelay message")]
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

#[cfg(test)]
mod tests {
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
    fn a_setup_names_the_call_and_returns_our_parameters() {
        let setup = setup(
            r#"{"type":"setup","sessionId":"VX0","callSid":"CA1","parentCallSid":"","from":"+14155550101",
                "to":"+14155550199","callStatus":"RINGING","customParameters":{"ticket":"abc"},"new":[1]}"#,
        );

        assert_eq!(setup.call_sid().unwrap().as_str(), "CA1");
        assert_eq!(setup.session_id.as_deref(), Some("VX0"));
        assert_eq!(setup.custom_parameters["ticket"], "abc".into());
    }

    #[test]
    fn a_setup_with_nulls_is_read() {
        let setup =
            setup(r#"{"type":"setup","callSid":"CA1","from":null,"customParameters":null}"#);

        assert_eq!(setup.session_id, None);
        assert!(setup.custom_parameters.is_empty());
    }

    #[test]
    fn a_prompt_is_complete_unless_it_says_otherwise() {
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
    fn an_interrupt_contains_the_words_that_were_played() {
        let interrupt = parse(
            r#"{"type":"interrupt","utteranceUntilInterrupt":"Life is","durationUntilInterruptMs":"460"}"#,
        );

        assert_eq!(
            interrupt,
            FromTwilio::Interrupt(Interrupt {
                utterance_until_interrupt: "Life is".into()
            })
        );
    }

    #[test]
    fn keys_errors_and_other_messages_are_distinguished() {
        assert_eq!(
            parse(r#"{"type":"dtmf","digit":"1"}"#),
            FromTwilio::Dtmf { digit: "1".into() }
        );
        assert_eq!(
            parse(r#"{"type":"error","description":"Invalid message"}"#),
            FromTwilio::Error
        );
        for other in [
            r#"{"type":"info","name":"tokensPlayed","value":"x"}"#,
            r#"{"type":"hologram","size":3}"#,
        ] {
            assert_eq!(parse(other), FromTwilio::Other);
        }
    }

    #[test]
    fn an_invalid_frame_is_refused_without_being_quoted() {
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
    fn debug_output_hides_speech() {
        let prompt = parse(r#"{"type":"prompt","voicePrompt":"secret"}"#);

        assert!(!format!("{prompt:?}").contains("secret"));
    }
}
