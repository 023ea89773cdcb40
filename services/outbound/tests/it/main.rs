//! Outbound on a real bus and database, with a fake WhatsApp.
#![expect(clippy::unwrap_used, reason = "test helpers may panic as tests may")]

mod calling;
mod delivering;
mod refusals;
mod reports;
mod settings;
mod suspension;
mod templates;
mod typing;
mod unknown_outcomes;
mod world;
