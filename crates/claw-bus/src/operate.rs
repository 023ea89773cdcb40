//! What the operator's command needs of the transport: reading stored events and replaying them. Its consumers on the
//! server are deleted after use.

mod dead_letters;
mod history;
mod replay;

pub use dead_letters::{DeadLetters, NewestLetters, StoredLetter};
pub use history::{StoredEvent, StreamExtent, StreamHistory, StreamPosition};
pub use replay::{InvalidReplayTicket, ReplayError, ReplayOutcome, ReplayTicket, Replayer};
