//! The only service that the internet reaches. It verifies that a webhook comes from Meta or Twilio, and publishes
//! its content as events, on which other services act. Meta gets a 200 only when the events are on disk. A caller
//! always hears an answer, if only an apology. It decides nothing except what callers hear, and has no database.

mod app;
mod config;
mod event_sink;
mod intake;
mod keys;
mod operator_notice;
mod refusal;
mod request_id;
mod unverified;
mod voice;
mod whatsapp;

pub use app::App;
pub use config::{Config, VoiceConfig, VoiceMode};
pub use keys::Keys;
pub use unverified::{InvalidNetworks, TrustedProxies};
