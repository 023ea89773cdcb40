//! The gateway: takes what a person wrote to their assistant, one turn at a time, and says on the
//! bus what the assistant answered, or said by itself. Knows nothing of WhatsApp's API, of containers
//! or of model keys.

mod actor;
mod actors;
mod agents;
mod app;
mod call_intake;
mod commands;
mod config;
mod context;
mod guard;
mod intake;
mod lost_calls;
mod mailbox;
mod notice;
mod plan;
mod preferences;
mod proactive;
mod provisioning;
mod queue;
mod reply;
mod session;
mod turn;
mod watches;
mod zones;

pub use app::App;
pub use config::Config;
