//! The tables as rows, for this crate only. `Debug` leaves out what people wrote and what is secret.

pub(crate) mod call;
pub(crate) mod delivery;
pub(crate) mod message;
pub(crate) mod sandbox;
pub(crate) mod sandbox_secrets;
pub(crate) mod user;
pub(crate) mod user_pin;
