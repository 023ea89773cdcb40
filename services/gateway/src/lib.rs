//! The gateway: takes what a person wrote to their assistant, one turn at a time, and says on the
//! bus what the assistant answered. Knows nothing of WhatsApp's API, of containers or of model keys.

mod agents;
mod answer_message;
mod app;
mod config;
mod nudges;
mod plan;
mod record;
mod session;
mod setup;
mod tell;
mod turn;
mod words;

pub use agents::Agents;
pub use answer_message::AnswerMessage;
pub use app::App;
pub use config::Config;
