//! Twilio Voice: proof that a request is Twilio's, what it says, and what we answer.
//!
//! Their forms, XML and JSON stay inside: others see [`form::VoiceRequest`], [`twiml::Script`] and
//! [`relay::FromTwilio`], all in our own words. The crate does nothing by itself: no socket, no clock, no
//! environment.

pub mod form;
pub mod phrases;
pub mod relay;
pub mod signature;
pub mod speech;
pub mod twiml;
pub mod voices;
