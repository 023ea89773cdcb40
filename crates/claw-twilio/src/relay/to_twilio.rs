use claw_domain::Sensitive;
use serde::Serialize;

/// A message to Twilio.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum ToTwilio {
    /// The next words to speak.
    Text {
        /// The words; they may be empty in order to end an utterance.
        token: Sensitive<String>,
        /// Whether the utterance ends here.
        last: bool,
        /// Whether later text may cut these words off.
        #[serde(skip_serializing_if = "Option::is_none")]
        preemptible: Option<bool>,
    },
    /// Ends the session. The call goes on with the answer of the `action` of `<Connect>`.
    End {
        /// The data that Twilio adds to its request for `action`.
        #[serde(skip_serializing_if = "Option::is_none")]
        handoff_data: Option<Sensitive<String>>,
    },
}

impl ToTwilio {
    /// Words of an utterance; `last` ends it.
    pub fn words(words: &str, last: bool) -> Self {
        Self::Text {
            token: words.into(),
            last,
            preemptible: None,
        }
    }

    /// The last words of an utterance; they may be empty.
    pub fn last_token(words: &str) -> Self {
        Self::words(words, true)
    }

    /// A whole utterance that later text cuts off.
    pub fn filler(words: &str) -> Self {
        Self::Text {
            token: words.into(),
            last: true,
            preemptible: Some(true),
        }
    }

    /// The message as JSON, for one WebSocket text frame.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and flags can be written as JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_documented_shape() {
        for (message, expected) in [
            (
                ToTwilio::words("Life is", false),
                r#"{"type":"text","token":"Life is","last":false}"#,
            ),
            (
                ToTwilio::last_token(""),
                r#"{"type":"text","token":"","last":true}"#,
            ),
            (
                ToTwilio::filler("One moment."),
                r#"{"type":"text","token":"One moment.","last":true,"preemptible":true}"#,
            ),
            (
                ToTwilio::End {
                    handoff_data: Some("{}".into()),
                },
                r#"{"type":"end","handoffData":"{}"}"#,
            ),
            (ToTwilio::End { handoff_data: None }, r#"{"type":"end"}"#),
        ] {
            assert_eq!(message.to_json(), expected);
        }
    }

    #[test]
    fn debug_output_hides_speech() {
        let message = ToTwilio::last_token("secret");

        assert!(!format!("{message:?}").contains("secret"));
    }
}
