//! The whole system, seen from the phones and from the assistants.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod calls;
mod containers;
mod crowd;
mod failures;
mod load;
mod manners;
mod proactive;
mod reminders;
mod replicas;
mod secrets;
