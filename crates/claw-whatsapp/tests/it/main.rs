//! Tests against recorded and synthetic bodies, and against an HTTP server.
#![expect(clippy::unwrap_used, reason = "test helpers may panic as tests may")]

mod cloud_api;
mod fixtures;
mod payloads;
