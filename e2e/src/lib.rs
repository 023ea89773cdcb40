//! The whole system seen from outside: what the system tests, the demo and the load generator share.
//! The outside world is played by the simulators beside this package, one crate each.

pub mod harness;
