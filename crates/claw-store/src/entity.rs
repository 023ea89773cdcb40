//! The rows of the tables, private to this crate. `Debug` shows neither message texts nor secrets.

pub(crate) mod call;
pub(crate) mod delivery;
pub(crate) mod message;
pub(crate) mod pin_guesses;
pub(crate) mod sandbox;
pub(crate) mod sandbox_secrets;
pub(crate) mod user;
pub(crate) mod user_pin;
