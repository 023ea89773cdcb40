//! The only service that the internet reaches. It verifies that a webhook comes from Meta or Twilio, publishes
//! its content as events, and answers 200 only when they are on disk. It has no database, and starts and
//! decides nothing: other services act on the events.

mod app;
mod body_budget;
mod config;
mod event_sink;
mod intake;
mod operator_notice;
mod refusal;
mod voice;
mod whatsapp;

pub use app::App;
pub use config::{Config, VoiceConfig, VoiceMode};
