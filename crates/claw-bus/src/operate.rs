//! Reads stored events and replays them, for the operator's command. The consumers created for this are deleted after
//! use.

mod dead_letters;
mod history;
mod operator_events;
mod replay;

pub use dead_letters::{DeadLetters, NewestLetters, StoredLetter};
pub use history::{StoredEvent, StreamExtent, StreamHistory, StreamPosition};
pub use operator_events::{NewestOperatorEvents, OperatorEvents, ToldEvent};
pub use replay::{InvalidReplayTicket, ReplayError, ReplayOutcome, ReplayTicket, Replayer};
