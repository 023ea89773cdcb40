//! The bus on a real NATS server.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod captured;
mod consuming;
mod hand_over;
mod owners;
mod ownership;
mod parking;
mod poison;
mod publishing;
mod replaying;
mod signals;
mod slow_disk;
mod starting;
mod wire;
mod world;
