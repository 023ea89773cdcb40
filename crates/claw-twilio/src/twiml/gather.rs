use claw_domain::Sensitive;

use super::xml::Xml;
use crate::voices::Language;

/// Twilio's own default for the wait before the first word or key.
const DEFAULT_TIMEOUT_SECONDS: u8 = 5;

/// A `<Gather>`: says its prompts, over which the caller may speak, and posts the recognized speech or the
/// pressed keys to `action`. Silence is posted there too, so that a call never runs off the end of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gather {
    action: String,
    language: Language,
    timeout_seconds: u8,
    prompts: Vec<Sensitive<String>>,
}

impl Gather {
    /// Listens for speech in `language` and for keys; `action` is a full URL.
    pub fn new(action: impl Into<String>, language: Language) -> Self {
        Self {
            action: action.into(),
            language,
            timeout_seconds: DEFAULT_TIMEOUT_SECONDS,
            prompts: Vec::new(),
        }
    }

    /// How long to wait for the first word or key; 5 seconds unless set.
    #[must_use]
    pub const fn timeout_seconds(mut self, seconds: u8) -> Self {
        self.timeout_seconds = seconds;
        self
    }

    /// Adds a prompt in the language that is listened for.
    #[must_use]
    pub fn say(mut self, text: &str) -> Self {
        self.prompts.push(text.into());
        self
    }

    pub(super) fn write(&self, xml: &mut Xml) {
        xml.open("Gather");
        xml.attribute("input", "dtmf speech");
        xml.attribute("action", &self.action);
        xml.attribute("method", "POST");
        xml.attribute("timeout", &self.timeout_seconds.to_string());
        xml.attribute("language", self.language.tag());
        xml.attribute("speechTimeout", "auto");
        xml.attribute("profanityFilter", "false");
        xml.attribute("finishOnKey", "#");
        xml.attribute("actionOnEmptyResult", "true");
        xml.begin_content();
        for prompt in &self.prompts {
            xml.say(self.language, prompt.expose());
        }
        xml.close("Gather");
        // Twilio gets here only if it could not listen at all.
        xml.redirect(&self.action);
    }
}
