//! The transport under the operator's command: reading what a stream stores, and replaying events.
//! Leaves no consumer behind on the server.

mod dead_letters;
mod history;
mod replay;

pub use dead_letters::{DeadLetters, NewestLetters, StoredLetter};
pub use history::{StoredEvent, StreamExtent, StreamHistory, StreamPosition};
pub use replay::{InvalidReplayTicket, ReplayError, ReplayOutcome, ReplayTicket, Replayer};
