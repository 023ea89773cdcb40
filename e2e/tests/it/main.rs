//! System tests: all services as processes or containers, observed through the simulated phones, assistants and providers, and
//! through logs, metrics, and dumps of Postgres and NATS.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod attacks;
mod calls;
mod chat_rules;
mod containers;
mod crowd;
mod engine;
mod failures;
mod load;
mod proactive;
mod reminders;
mod replicas;
mod scaled;
mod secrets;
mod sleep;
