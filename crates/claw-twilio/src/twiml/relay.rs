use claw_domain::Sensitive;

use super::xml::Xml;
use crate::voices::{Language, relay_voice};

/// What may cut our speech off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interruptible {
    /// Nothing.
    None,
    /// Keys.
    Keys,
    /// Words.
    Speech,
    /// Either.
    Any,
}

/// A streamed conversation: Twilio hears and speaks, and exchanges text with our WebSocket. When it is
/// over, however it ended, `action` is asked how the call goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    action: String,
    url: String,
    language: Language,
    greeting: Option<Sensitive<String>>,
    hints: Option<Sensitive<String>>,
    interruptible: Interruptible,
    reconnects: bool,
    parameters: Vec<(String, Sensitive<String>)>,
}

impl Relay {
    /// Over this `wss://` URL; `action` is a full URL.
    pub fn new(action: impl Into<String>, url: impl Into<String>, language: Language) -> Self {
        Self {
            action: action.into(),
            url: url.into(),
            language,
            greeting: None,
            hints: None,
            interruptible: Interruptible::Any,
            reconnects: false,
            parameters: Vec::new(),
        }
    }

    /// What is said first.
    #[must_use]
    pub fn greeting(mut self, text: &str) -> Self {
        self.greeting = Some(text.into());
        self
    }

    /// Phrases likely to be heard, parted by commas.
    #[must_use]
    pub fn hints(mut self, hints: &str) -> Self {
        self.hints = Some(hints.into());
        self
    }

    /// What may cut our speech off; words and keys unless set.
    #[must_use]
    pub const fn interruptible(mut self, by: Interruptible) -> Self {
        self.interruptible = by;
        self
    }

    /// Lets Twilio open a lost socket again and tell us what happened meanwhile. New in October 2026:
    /// nothing may depend on it.
    #[must_use]
    pub const fn reconnecting(mut self) -> Self {
        self.reconnects = true;
        self
    }

    /// Something of ours that comes back with the setup message.
    #[must_use]
    pub fn parameter(mut self, name: impl Into<String>, value: &str) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    pub(super) fn write(&self, xml: &mut Xml) {
        xml.open("Connect");
        xml.attribute("action", &self.action);
        xml.attribute("method", "POST");
        xml.begin_content();
        xml.open("ConversationRelay");
        xml.attribute("url", &self.url);
        xml.optional("welcomeGreeting", exposed(self.greeting.as_ref()));
        xml.attribute("language", self.language.tag());
        xml.attribute("ttsProvider", "Amazon");
        xml.attribute("voice", relay_voice(self.language));
        xml.attribute("interruptible", interruptible(self.interruptible));
        xml.attribute("dtmfDetection", "true");
        xml.attribute("profanityFilter", "false");
        xml.optional("hints", exposed(self.hints.as_ref()));
        if self.reconnects {
            xml.attribute("applicationReconnect", "true");
        }
        if self.parameters.is_empty() {
            xml.close_empty();
        } else {
            self.write_parameters(xml);
        }
        xml.close("Connect");
    }

    fn write_parameters(&self, xml: &mut Xml) {
        xml.begin_content();
        for (name, value) in &self.parameters {
            xml.open("Parameter");
            xml.attribute("name", name);
            xml.attribute("value", value.expose());
            xml.close_empty();
        }
        xml.close("ConversationRelay");
    }
}

fn exposed(text: Option<&Sensitive<String>>) -> Option<&str> {
    text.map(|text| text.expose().as_str())
}

const fn interruptible(by: Interruptible) -> &'static str {
    match by {
        Interruptible::None => "none",
        Interruptible::Keys => "dtmf",
        Interruptible::Speech => "speech",
        Interruptible::Any => "any",
    }
}
