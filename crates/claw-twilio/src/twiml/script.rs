use claw_domain::Sensitive;

use super::{
    gather::Gather,
    relay::Relay,
    xml::{MAX_BYTES, Xml},
};
use crate::voices::Language;

/// The type Twilio wants an answer to have; with another one it takes it for a failure.
pub const CONTENT_TYPE: &str = "text/xml; charset=utf-8";

/// A finished document: well-formed, at most 64 kB, and with an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twiml(Sensitive<String>);

/// What is said before a document's end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a script is nothing until it is ended"]
pub struct Script(Vec<Verb>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verb {
    Say {
        language: Language,
        text: Sensitive<String>,
    },
    Pause {
        seconds: u8,
    },
}

enum Ending<'a> {
    Listen(&'a Gather),
    Redirect(&'a str),
    Connect(&'a Relay),
    HangUp,
}

impl Twiml {
    /// The document, as the body of an answer. It holds what is said: never for a log.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The document, taken out.
    pub fn into_exposed(self) -> String {
        self.0.into_exposed()
    }

    /// The answer to a report, which asks for nothing: Twilio takes it and does nothing.
    pub fn acknowledged() -> Self {
        let mut xml = Xml::new(0);
        xml.open("Response");
        xml.close_empty();
        Self(xml.into_text().into())
    }
}

impl Script {
    /// Nothing is said.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Says something, to its end: the caller cannot speak over it. For what may be spoken over see
    /// [`Gather::say`].
    pub fn say(mut self, language: Language, text: &str) -> Self {
        self.0.push(Verb::Say {
            language,
            text: text.into(),
        });
        self
    }

    /// Is silent for a while.
    pub fn pause(mut self, seconds: u8) -> Self {
        self.0.push(Verb::Pause { seconds });
        self
    }

    /// Ends by listening.
    pub fn listen(self, gather: &Gather) -> Twiml {
        self.end(&Ending::Listen(gather))
    }

    /// Ends by asking this full URL of ours what comes next.
    pub fn redirect(self, url: &str) -> Twiml {
        self.end(&Ending::Redirect(url))
    }

    /// Ends by a streamed conversation.
    pub fn connect(self, relay: &Relay) -> Twiml {
        self.end(&Ending::Connect(relay))
    }

    /// Ends the call.
    pub fn hang_up(self) -> Twiml {
        self.end(&Ending::HangUp)
    }

    fn end(self, ending: &Ending<'_>) -> Twiml {
        let structure = self.rendered(ending, 0).len();
        let document = self.rendered(ending, MAX_BYTES.saturating_sub(structure));
        Twiml(document.into())
    }

    fn rendered(&self, ending: &Ending<'_>, room_for_speech: usize) -> String {
        let mut xml = Xml::new(room_for_speech);
        xml.open("Response");
        xml.begin_content();
        for verb in &self.0 {
            verb.write(&mut xml);
        }
        match ending {
            Ending::Listen(gather) => gather.write(&mut xml),
            Ending::Redirect(url) => {
                xml.open("Redirect");
                xml.attribute("method", "POST");
                xml.begin_content();
                xml.content(url);
                xml.close("Redirect");
            }
            Ending::Connect(relay) => relay.write(&mut xml),
            Ending::HangUp => {
                xml.open("Hangup");
                xml.close_empty();
            }
        }
        xml.close("Response");
        xml.into_text()
    }
}

impl Verb {
    pub(super) fn write(&self, xml: &mut Xml) {
        match self {
            Self::Say { language, text } => xml.say(*language, text.expose()),
            Self::Pause { seconds } => {
                xml.open("Pause");
                xml.attribute("length", &seconds.to_string());
                xml.close_empty();
            }
        }
    }
}
