//! What only the containers of `docker-compose.yml` have: networks, and ports published on the host. Without
//! `CLAWKAKA_WORLD=compose` these tests only print that they did not run.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod hanging;
mod manual;
mod probe;
mod reachability;

/// Whether the system runs in containers.
fn is_compose() -> bool {
    #[expect(clippy::disallowed_methods, reason = "tests have no Env of their own")]
    let world = std::env::var("CLAWKAKA_WORLD");
    world.is_ok_and(|world| world == "compose")
}

/// A variable that `./dev` sets for tests in containers.
fn variable(name: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "tests have no Env of their own")]
    let value = std::env::var(name);
    value.unwrap_or_else(|_| panic!("{name} is not set: run this through ./dev test --compose"))
}
