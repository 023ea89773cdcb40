//! The messages of a ConversationRelay WebSocket: Twilio hears and speaks, we exchange text with it.
//!
//! The shapes are those of Twilio's page on ConversationRelay's WebSocket messages.

mod heard;
mod said;

pub use heard::{FromTwilio, Interrupt, NotARelayMessage, Prompt, Setup};
pub use said::ToTwilio;
