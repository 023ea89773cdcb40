//! The crate against recorded and made-up bodies, and against an HTTP server.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests may panic as tests may"
)]

mod cloud_api;
mod fixtures;
mod payloads;
