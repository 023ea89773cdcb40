//! Reads stored events and replays them, for the operator's command. The consumers created for this are deleted after
//! use.

mod dead_letters;
mod history;
mod replay;

pub use dead_letters::{DeadLetters, NewestLetters, StoredLetter};
pub use history::{StoredEvent, StreamExtent, StreamHistory, StreamPosition};
pub use replay::{InvalidReplayTicket, ReplayError, ReplayOutcome, ReplayTicket, Replayer};
