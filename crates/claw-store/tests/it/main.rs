//! The store on a real Postgres; each test starts its own server.

#![expect(clippy::unwrap_used, reason = "tests may unwrap, in their helpers too")]

mod calls;
mod deliveries;
mod engines;
mod held;
mod inbox;
mod messages;
mod migrations;
mod newcomers;
mod outage;
mod pins;
mod places;
mod roles;
mod sandboxes;
mod secrets;
mod sleep;
mod spares;
mod suspensions;
mod throughput;
mod users;
mod voice;
mod world;
