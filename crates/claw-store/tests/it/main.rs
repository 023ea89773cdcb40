//! The store on a real Postgres: each test has a server of its own.

#![expect(clippy::unwrap_used, reason = "tests may unwrap, in their helpers too")]

mod calls;
mod deliveries;
mod held;
mod inbox;
mod messages;
mod migrations;
mod outage;
mod people;
mod pins;
mod sandboxes;
mod secrets;
mod throughput;
mod voice;
mod world;
