//! Ingress on a real bus: what it answers, and what is on disk then.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed; clippy allows it only inside the test itself"
)]

mod accepting;
mod fixtures;
mod harness;
mod jetstream;
mod outages;
mod refusing;
