use claw_domain::Sensitive;
use serde::Serialize;

/// What we tell Twilio.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum ToTwilio {
    /// The next words to speak.
    Text {
        /// The words; they may be empty to end an utterance.
        token: Sensitive<String>,
        /// Whether the utterance ends here.
        last: bool,
        /// Their language, if not that of the session.
        #[serde(skip_serializing_if = "Option::is_none")]
        lang: Option<String>,
        /// Whether the caller may speak over them, if not as set for the session.
        #[serde(skip_serializing_if = "Option::is_none")]
        interruptible: Option<bool>,
        /// Whether what comes after may cut them off, as is right for a filler.
        #[serde(skip_serializing_if = "Option::is_none")]
        preemptible: Option<bool>,
    },
    /// A recording to play.
    Play {
        /// Its https address.
        source: String,
        /// How many times.
        #[serde(rename = "loop", skip_serializing_if = "Option::is_none")]
        times: Option<u32>,
        /// Whether what comes after may cut it off.
        #[serde(skip_serializing_if = "Option::is_none")]
        preemptible: Option<bool>,
        /// Whether the caller may speak over it.
        #[serde(skip_serializing_if = "Option::is_none")]
        interruptible: Option<bool>,
    },
    /// Keys to press for us.
    SendDigits {
        /// `0` to `9`, `#`, `*`, and `w` for a pause of half a second.
        digits: Sensitive<String>,
    },
    /// The languages from here on.
    Language {
        /// What we speak.
        tts_language: String,
        /// What we expect to hear.
        transcription_language: String,
    },
    /// The end of the session; the call goes on with the answer of `<Connect>`'s `action`.
    End {
        /// What that request is to bring.
        #[serde(skip_serializing_if = "Option::is_none")]
        handoff_data: Option<Sensitive<String>>,
    },
}

impl ToTwilio {
    /// More words of the same utterance.
    pub fn token(words: &str) -> Self {
        Self::words(words, false)
    }

    /// The last words of an utterance; none are needed.
    pub fn last_token(words: &str) -> Self {
        Self::words(words, true)
    }

    /// A whole utterance that gives way as soon as there is something better to say.
    pub fn filler(words: &str) -> Self {
        Self::Text {
            token: words.into(),
            last: true,
            lang: None,
            interruptible: None,
            preemptible: Some(true),
        }
    }

    /// The text frame.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts, numbers and flags can be written as JSON")
    }

    /// Words of an utterance, and whether they are its last.
    pub fn words(words: &str, last: bool) -> Self {
        Self::Text {
            token: words.into(),
            last,
            lang: None,
            interruptible: None,
            preemptible: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_say_has_the_documented_shape() {
        for (message, expected) in [
            (
                ToTwilio::token("Life is"),
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
                ToTwilio::Play {
                    source: "https://example.com/a.mp3".into(),
                    times: Some(1),
                    preemptible: Some(false),
                    interruptible: Some(true),
                },
                r#"{"type":"play","source":"https://example.com/a.mp3","loop":1,"preemptible":false,"interruptible":true}"#,
            ),
            (
                ToTwilio::SendDigits {
                    digits: "9www4".into(),
                },
                r#"{"type":"sendDigits","digits":"9www4"}"#,
            ),
            (
                ToTwilio::Language {
                    tts_language: "sv-SE".into(),
                    transcription_language: "en-US".into(),
                },
                r#"{"type":"language","ttsLanguage":"sv-SE","transcriptionLanguage":"en-US"}"#,
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
    fn no_message_prints_what_is_said() {
        let said = ToTwilio::token("secret");

        assert!(!format!("{said:?}").contains("secret"));
    }
}
