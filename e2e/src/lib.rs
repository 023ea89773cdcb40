//! What the system tests, the demo and the benchmarks share: a harness that runs the whole system, and senders of
//! requests. Simulators in neighbouring packages, one crate each, stand for the outside world.

pub mod harness;
pub mod strangers;
pub mod webhooks;
