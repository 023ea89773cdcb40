//! The TwiML documents we answer Twilio with. A [`Script`] becomes a document only through an ending: it
//! listens, redirects Twilio, opens a `ConversationRelay` session, or hangs up. Twilio would cut the caller off
//! after a document without one.
//!
//! The rules and limits come from Twilio's pages on TwiML for voice and from its error pages 11750, 12100,
//! 12300 and 13521.

mod gather;
mod relay;
mod script;
mod xml;

pub use gather::Gather;
pub use relay::Relay;
pub use script::{CONTENT_TYPE, Script, Twiml};

#[cfg(test)]
mod tests;
