//! The bus on a real NATS server.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod calling;
mod consuming;
mod owning;
mod publishing;
mod replaying;
mod wire;
mod world;
