//! The users of the benchmarks.

use std::time::Duration;

use anyhow::{Result, anyhow};
use e2e::harness::World;
use tokio::time::interval;

/// Rate of the users' first messages, per second.
const NEW_USERS_PER_SECOND: u32 = 150;

/// Longest time until a new user has an answer.
const INTRODUCTION_LIMIT: Duration = Duration::from_mins(5);

/// The phone number of a user of any benchmark.
pub(crate) fn number(user: u32) -> String {
    format!("4915150{user:06}")
}

/// Lets each user write once and waits for the notice and the answer, after which all assistants exist.
pub(crate) async fn introduce_users(world: &World, users: u32) -> Result<()> {
    let mut ticks = interval(Duration::from_secs(1) / NEW_USERS_PER_SECOND);
    for user in 0..users {
        ticks.tick().await;
        let written = world.meta.write(&number(user), "hi");
        written.map_err(|refused| anyhow!("{refused:?}"))?;
    }
    for user in 0..users {
        let number = number(user);
        let heard = world.meta.wait_received(&number, 2, INTRODUCTION_LIMIT);
        let heard = heard.await;
        heard.map_err(|chat| anyhow!("user {user} was not answered: {chat:?}"))?;
    }
    Ok(())
}
