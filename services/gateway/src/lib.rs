//! The gateway: takes what a person wrote to their assistant, one turn at a time, and says on the
//! bus what the assistant answered, or said by itself. Knows nothing of WhatsApp's API, of containers
//! or of model keys.

mod agents;
mod app;
mod commands;
mod config;
mod desk;
mod guard;
mod habits;
mod intake;
mod lost_calls;
mod mailbox;
mod news;
mod people;
mod person;
mod plan;
mod queue;
mod session;
mod setup;
mod take_call;
mod tell;
mod turn;
mod unasked;
mod words;
mod zones;

pub use app::App;
pub use config::Config;
