//! Real servers for tests, each with its own directory and ports, gone when the test ends: NATS and
//! Postgres as `./dev` installs them. A dev-dependency only.

mod eventually;
mod nats;
mod port;
mod postgres;
mod settings;
mod tools;

pub use eventually::eventually;
pub use nats::TestNats;
pub use port::ReservedPort;
pub use postgres::TestPostgres;
pub use settings::lines_of_refusal;
