//! What the system tests, the demo and the benchmarks share: a harness that runs the whole system, senders of requests,
//! and texts made to exhaust the programs that convert them. Simulators in neighbouring packages, one crate each, stand
//! for the outside world.

pub mod bombs;
pub mod harness;
pub mod strangers;
pub mod webhooks;
