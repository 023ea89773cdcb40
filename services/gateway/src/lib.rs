//! The gateway: takes what a person wrote to their assistant, one turn at a time, and says on the
//! bus what the assistant answered, or said by itself. Knows nothing of WhatsApp's API, of containers
//! or of model keys.

mod actor;
mod actors;
mod agents;
mod app;
mod call_intake;
mod config;
mod context;
mod intake;
mod lost_calls;
mod mailbox;
mod plan;
mod proactive;
mod provisioning;
mod queue;
mod reply;
mod session;
mod turn;
mod watches;

pub use app::App;
pub use config::Config;
