//! Real NATS and Postgres servers for tests, as `./dev` installs them. Each server has its own directory and ports, and
//! is removed when the test ends. Also the users of tests. Only tests and the harness in `e2e` use this crate.

mod eventually;
mod nats;
mod port;
mod postgres;
mod settings;
mod tools;
mod users;

pub use eventually::eventually;
pub use nats::{TestNats, dump_streams};
pub use port::ReservedPort;
pub use postgres::TestPostgres;
pub use settings::lines_of_refusal;
pub use users::{USER_ID_KEY, user, user_id_key, user_of};
