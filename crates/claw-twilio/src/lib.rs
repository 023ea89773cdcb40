//! Twilio Voice: verifies and reads Twilio's requests, and writes our answers.
//!
//! Twilio's forms, XML and JSON stay inside: other crates see [`form::VoiceRequest`], [`twiml::Script`] and
//! [`relay::FromTwilio`]. The crate performs no I/O and knows no clock and no environment.

pub mod form;
pub mod phrases;
pub mod relay;
pub mod signature;
pub mod speech;
pub mod twiml;
pub mod voices;
