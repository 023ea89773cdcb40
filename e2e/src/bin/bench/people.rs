//! The people of a measurement.

use std::time::Duration;

use anyhow::{Result, anyhow};
use e2e::harness::World;
use tokio::time::interval;

/// First messages a second, until everybody has an assistant.
const NEWCOMERS_PER_SECOND: u32 = 150;

/// How long the last newcomer may wait.
const INTRODUCTION_LIMIT: Duration = Duration::from_mins(5);

/// The number of a person of any measurement.
pub(crate) fn number(person: u32) -> String {
    format!("4915150{person:06}")
}

/// Everyone writes once, and waits for the notice and the answer: then all assistants are there.
pub(crate) async fn introduce_everyone(world: &World, people: u32) -> Result<()> {
    let mut beat = interval(Duration::from_secs(1) / NEWCOMERS_PER_SECOND);
    for person in 0..people {
        beat.tick().await;
        let written = world.meta.write(&number(person), "hi");
        written.map_err(|refused| anyhow!("{refused:?}"))?;
    }
    for person in 0..people {
        let number = number(person);
        let heard = world.meta.wait_received(&number, 2, INTRODUCTION_LIMIT);
        let heard = heard.await;
        heard.map_err(|chat| anyhow!("person {person} was not answered: {chat:?}"))?;
    }
    Ok(())
}
