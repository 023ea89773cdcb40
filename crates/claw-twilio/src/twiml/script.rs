use claw_domain::Sensitive;

use super::{
    gather::Gather,
    relay::Relay,
    xml::{MAX_BYTES, Xml},
};
use crate::voices::Language;

/// The content type of an answer to Twilio, which treats any other one as a failure.
pub const CONTENT_TYPE: &str = "text/xml; charset=utf-8";

/// A complete document: well-formed, at most 64 kB, and with an ending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twiml(Sensitive<String>);

/// The texts that are spoken before a document's ending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a script becomes a document only through its ending"]
pub struct Script(Vec<(Language, Sensitive<String>)>);

enum Ending<'a> {
    Listen(&'a Gather),
    Redirect(&'a str),
    Connect(&'a Relay),
    HangUp,
}

impl Twiml {
    /// The document. It contains speech, so it must not be logged.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The document as an owned string.
    pub fn into_exposed(self) -> String {
        self.0.into_exposed()
    }
}

impl Script {
    /// A script that says nothing yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Says a text to its end: the caller cannot speak over it, as they can over [`Gather::say`].
    pub fn say(mut self, language: Language, text: &str) -> Self {
        self.0.push((language, text.into()));
        self
    }

    /// Ends by listening for speech or keys; Twilio sends them to the address in `gather`.
    pub fn listen(self, gather: &Gather) -> Twiml {
        self.end(&Ending::Listen(gather))
    }

    /// Ends by sending Twilio to this full URL, which is ours, for the next document.
    pub fn redirect(self, url: &str) -> Twiml {
        self.end(&Ending::Redirect(url))
    }

    /// Ends by opening a `ConversationRelay` session.
    pub fn connect(self, relay: &Relay) -> Twiml {
        self.end(&Ending::Connect(relay))
    }

    /// Ends the call once everything is said.
    pub fn hang_up(self) -> Twiml {
        self.end(&Ending::HangUp)
    }

    fn end(self, ending: &Ending<'_>) -> Twiml {
        let structure = self.rendered(ending, 0).len();
        let document = self.rendered(ending, MAX_BYTES.saturating_sub(structure));
        Twiml(document.into())
    }

    fn rendered(&self, ending: &Ending<'_>, speech_bytes: usize) -> String {
        let mut xml = Xml::new(speech_bytes);
        xml.open("Response");
        xml.begin_content();
        for (language, text) in &self.0 {
            xml.say(*language, text.expose());
        }
        match ending {
            Ending::Listen(gather) => gather.write(&mut xml),
            Ending::Redirect(url) => xml.redirect(url),
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
