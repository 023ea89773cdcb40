//! The documents we answer Twilio with. A document is made by ending a [`Script`]: by listening, by
//! sending Twilio elsewhere, by a streamed conversation, or by hanging up. One without an end would cut the
//! caller off.
//!
//! Rules and limits are those of Twilio's pages on TwiML for voice and of its error pages 11750, 12100,
//! 12300 and 13521.

mod gather;
mod relay;
mod script;
mod xml;

pub use gather::{Gather, GatherInput, SpeechEnd};
pub use relay::{Interruptible, Relay};
pub use script::{CONTENT_TYPE, Script, Twiml};

#[cfg(test)]
mod tests;
