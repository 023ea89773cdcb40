//! The gateway sends users' messages to their assistants, one turn at a time, and publishes the answers
//! and the assistants' proactive messages on the bus. It knows nothing of WhatsApp's API, containers and
//! model keys.

mod actor;
mod actors;
mod admission;
mod agents;
mod app;
mod call_intake;
mod config;
mod context;
mod intake;
mod item;
mod lost_calls;
mod mailbox;
mod proactive;
mod provisioning;
mod reply;
mod sealed;
mod session;
mod suspensions;
mod turn;
mod watches;

pub use app::App;
pub use config::Config;
