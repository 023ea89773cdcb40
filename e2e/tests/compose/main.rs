//! What only the containers of `docker-compose.yml` have: networks, and ports published on the host. Without
//! `CLAWKAKA_WORLD=compose` these tests only print that they did not run.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod probe;
mod reachability;
