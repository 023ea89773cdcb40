use serde_json::{Map, Value};

use super::xml::Element;

/// The attributes of a ConversationRelay element.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the attributes of an element are bools"
)]
pub(crate) struct RelaySettings {
    pub(crate) url: String,
    pub(crate) greeting: Option<String>,
    pub(crate) greeting_interruptible: Interruptible,
    pub(crate) interruptible: Interruptible,
    /// Whether the caller's words are reported while the agent speaks and cannot be interrupted.
    pub(crate) reports_input: bool,
    pub(crate) partial_prompts: bool,
    pub(crate) keys: bool,
    pub(crate) reconnects: bool,
    pub(crate) language: String,
    pub(crate) parameters: Value,
}

/// The actions of the caller that interrupt the agent's speech.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Interruptible {
    pub(crate) speech: bool,
    pub(crate) keys: bool,
}

impl Interruptible {
    /// `any`, `none`, `dtmf` or `speech`; the older `true` and `false` mean any and none.
    pub(crate) fn named(name: &str) -> Self {
        Self {
            speech: matches!(name, "any" | "speech" | "true"),
            keys: matches!(name, "any" | "dtmf" | "true"),
        }
    }
}

impl RelaySettings {
    pub(crate) fn of(relay: &Element) -> Self {
        let attribute = |name| relay.attribute(name);
        let is_true = |name| attribute(name) == Some("true");
        let interruptible = |name| Interruptible::named(relay.attribute(name).unwrap_or("any"));
        let parameters = relay
            .children
            .iter()
            .filter(|child| child.name == "Parameter")
            .filter_map(|child| {
                let value = child.attribute("value").unwrap_or_default();
                Some((child.attribute("name")?.to_owned(), Value::from(value)))
            });
        Self {
            url: attribute("url").unwrap_or_default().to_owned(),
            greeting: attribute("welcomeGreeting")
                .filter(|greeting| !greeting.is_empty())
                .map(str::to_owned),
            greeting_interruptible: interruptible("welcomeGreetingInterruptible"),
            interruptible: interruptible("interruptible"),
            reports_input: matches!(
                attribute("reportInputDuringAgentSpeech"),
                Some("any" | "speech")
            ),
            partial_prompts: is_true("partialPrompts"),
            keys: is_true("dtmfDetection"),
            reconnects: is_true("applicationReconnect"),
            language: attribute("transcriptionLanguage")
                .or(attribute("language"))
                .unwrap_or("en-US")
                .to_owned(),
            parameters: Value::Object(parameters.collect::<Map<_, _>>()),
        }
    }
}
