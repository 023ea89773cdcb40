use claw_domain::Sensitive;

use super::xml::Xml;
use crate::voices::{Language, relay_voice};

/// A `<ConversationRelay>`: Twilio transcribes and speaks, and exchanges text with our WebSocket. When the
/// session is over, however it ended, Twilio asks `action` how the call goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relay {
    action: String,
    url: String,
    language: Language,
    greeting: Option<Sensitive<String>>,
    parameters: Vec<(String, Sensitive<String>)>,
}

impl Relay {
    /// A session over the WebSocket at `url`, a `wss://` URL; `action` is a full URL.
    pub fn new(action: impl Into<String>, url: impl Into<String>, language: Language) -> Self {
        Self {
            action: action.into(),
            url: url.into(),
            language,
            greeting: None,
            parameters: Vec::new(),
        }
    }

    /// The text that Twilio speaks first.
    #[must_use]
    pub fn greeting(mut self, text: &str) -> Self {
        self.greeting = Some(text.into());
        self
    }

    /// A value of ours that Twilio returns in its setup message.
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
        if let Some(greeting) = &self.greeting {
            xml.attribute("welcomeGreeting", greeting.expose());
        }
        xml.attribute("language", self.language.tag());
        xml.attribute("ttsProvider", "Amazon");
        xml.attribute("voice", relay_voice(self.language));
        xml.attribute("interruptible", "any");
        xml.attribute("dtmfDetection", "true");
        xml.attribute("profanityFilter", "false");
        // Twilio reopens a lost WebSocket. The attribute is new (October 2026), so nothing may depend on it.
        xml.attribute("applicationReconnect", "true");
        xml.begin_content();
        for (name, value) in &self.parameters {
            xml.open("Parameter");
            xml.attribute("name", name);
            xml.attribute("value", value.expose());
            xml.close_empty();
        }
        xml.close("ConversationRelay");
        xml.close("Connect");
    }
}
