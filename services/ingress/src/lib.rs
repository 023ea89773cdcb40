//! The public door: checks that a webhook comes from Meta, puts what it tells on the bus, and answers
//! 200 only when that is on disk. It has no database and starts nothing: what a message means is for
//! others to find out.

mod app;
mod config;
mod intake;
mod news;
mod publish;
mod refusal;
mod room;
mod voice;
mod webhook;

pub use app::App;
pub use config::{Config, VoiceConfig, VoiceMode};
