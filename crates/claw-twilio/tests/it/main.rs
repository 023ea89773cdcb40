//! Tests against recorded requests.
#![expect(clippy::unwrap_used, reason = "test helpers may panic as tests may")]

mod fixtures;
