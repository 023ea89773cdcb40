//! The command as an operator runs it, on real servers.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod ada;
mod dead;
mod events;
mod people;
mod prepare;
mod replay;
mod sandbox;
mod suspension;
mod world;
