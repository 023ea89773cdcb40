//! The whole system seen from outside: simulators of Meta, Twilio, `OpenRouter` and `OpenClaw`, which count
//! exactly what reached them, and what the system tests, the demo and the load generator share.
//!
//! Each simulator is a struct with a handle (`start`, ask, `stop`) and a thin binary of the same
//! name for operators. They speak the outside APIs as measured, faults included, and know nothing
//! of the services under test.

pub mod harness;
pub mod moments;
pub mod serve;
pub mod sim_meta;
pub mod sim_openclaw;
pub mod sim_openrouter;
pub mod sim_twilio;
mod world_clock;
