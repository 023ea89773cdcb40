//! Outbound on a real bus and database, the phone faked.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as tests may"
)]

mod calling;
mod delivering;
mod doubt;
mod refusals;
mod reports;
mod templates;
mod typing;
mod world;
