//! Ingress on a real NATS server: its answers, and the events stored before each answer.

#![expect(
    clippy::unwrap_used,
    reason = "a panic fails the test; clippy allows it only inside the test function itself"
)]

mod accepting;
mod attacks;
mod fixtures;
mod harness;
mod jetstream;
mod outages;
mod refusing;
mod settings;
