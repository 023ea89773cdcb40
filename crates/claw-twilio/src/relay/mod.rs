//! The messages of a `ConversationRelay` WebSocket: Twilio transcribes and speaks, and exchanges text with us.
//!
//! The shapes come from Twilio's page on `ConversationRelay` WebSocket messages.

mod from_twilio;
mod to_twilio;

pub use from_twilio::{FromTwilio, Interrupt, NotARelayMessage, Prompt, Setup};
pub use to_twilio::ToTwilio;
