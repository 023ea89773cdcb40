use claw_domain::Sensitive;

use super::{script::Verb, xml::Xml};
use crate::voices::Language;

/// What a caller may answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatherInput {
    /// Words.
    Speech,
    /// Keys.
    Keys,
    /// Either.
    Both,
}

/// When a sentence is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpeechEnd {
    /// At the first pause. Twilio refuses it together with some explicitly chosen models.
    Auto,
    /// After so many seconds of silence.
    Seconds(u8),
}

/// Twilio takes at most so many phrases …
const MAX_HINTS: usize = 500;

/// … of at most so many characters.
const MAX_HINT_CHARS: usize = 100;

/// What we give hints of a document that has room for 64 kB.
const MAX_HINTS_BYTES: usize = 8_000;

/// Listening: what is said in it may be spoken over, and what is heard is sent to `action`. Silence is
/// sent there, too, so that a call never falls off the end of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gather {
    input: GatherInput,
    action: String,
    language: Language,
    timeout_seconds: u8,
    speech_end: SpeechEnd,
    speech_model: Option<&'static str>,
    hints: Vec<Sensitive<String>>,
    digits: Option<u8>,
    verbs: Vec<Verb>,
}

impl Gather {
    /// Listens for this; the answer goes to this full URL.
    pub fn new(input: GatherInput, action: impl Into<String>, language: Language) -> Self {
        Self {
            input,
            action: action.into(),
            language,
            timeout_seconds: 5,
            speech_end: SpeechEnd::Auto,
            speech_model: None,
            hints: Vec::new(),
            digits: None,
            verbs: Vec::new(),
        }
    }

    /// How long to wait for the first word or key; 5 seconds unless set.
    #[must_use]
    pub const fn timeout_seconds(mut self, seconds: u8) -> Self {
        self.timeout_seconds = seconds;
        self
    }

    /// When a sentence is over; at the first pause unless set.
    #[must_use]
    pub const fn speech_end(mut self, end: SpeechEnd) -> Self {
        self.speech_end = end;
        self
    }

    /// Another model of recognition than Twilio's default, with its provider's prefix.
    #[must_use]
    pub const fn speech_model(mut self, model: &'static str) -> Self {
        self.speech_model = Some(model);
        self
    }

    /// Phrases likely to be heard: names, for example.
    #[must_use]
    pub fn hints<'a>(mut self, hints: impl IntoIterator<Item = &'a str>) -> Self {
        self.hints.extend(hints.into_iter().map(Sensitive::from));
        self
    }

    /// How many keys end the input without the hash key.
    #[must_use]
    pub const fn digits(mut self, count: u8) -> Self {
        self.digits = Some(count);
        self
    }

    /// Says something while listening, in the language that is listened for.
    #[must_use]
    pub fn say(mut self, text: &str) -> Self {
        self.verbs.push(Verb::Say {
            language: self.language,
            text: text.into(),
        });
        self
    }

    /// Is silent for a while; keeps listening.
    #[must_use]
    pub fn pause(mut self, seconds: u8) -> Self {
        self.verbs.push(Verb::Pause { seconds });
        self
    }

    pub(super) fn write(&self, xml: &mut Xml) {
        let (input, hears, keys) = match self.input {
            GatherInput::Speech => ("speech", true, false),
            GatherInput::Keys => ("dtmf", false, true),
            GatherInput::Both => ("dtmf speech", true, true),
        };
        xml.open("Gather");
        xml.attribute("input", input);
        xml.attribute("action", &self.action);
        xml.attribute("method", "POST");
        xml.attribute("timeout", &self.timeout_seconds.to_string());
        if hears {
            self.write_hearing(xml);
        }
        if keys {
            let digits = self.digits.map(|count| count.to_string());
            xml.optional("numDigits", digits.as_deref());
            xml.attribute("finishOnKey", "#");
        }
        xml.attribute("actionOnEmptyResult", "true");
        xml.begin_content();
        for verb in &self.verbs {
            verb.write(xml);
        }
        xml.close("Gather");
        // Reached only if Twilio could not listen at all.
        xml.open("Redirect");
        xml.attribute("method", "POST");
        xml.begin_content();
        xml.content(&self.action);
        xml.close("Redirect");
    }

    fn write_hearing(&self, xml: &mut Xml) {
        let speech_end = match self.speech_end {
            SpeechEnd::Auto => "auto".to_owned(),
            SpeechEnd::Seconds(seconds) => seconds.to_string(),
        };
        xml.attribute("language", self.language.tag());
        xml.attribute("speechTimeout", &speech_end);
        xml.optional("speechModel", self.speech_model);
        xml.attribute("profanityFilter", "false");
        let hints = joined_hints(&self.hints);
        if !hints.is_empty() {
            xml.attribute("hints", &hints);
        }
    }
}

/// The phrases that can be given: a comma parts them, so they have none of their own.
fn joined_hints(hints: &[Sensitive<String>]) -> String {
    let mut joined = String::new();
    for hint in hints.iter().take(MAX_HINTS) {
        let hint = hint.expose().replace(',', " ");
        let hint = hint.trim();
        let is_fitting = !hint.is_empty()
            && hint.chars().count() <= MAX_HINT_CHARS
            && joined.len() + hint.len() < MAX_HINTS_BYTES;
        if is_fitting {
            if !joined.is_empty() {
                joined.push(',');
            }
            joined.push_str(hint);
        }
    }
    joined
}
