//! Messages of ordinary users while sandboxes of others flood the gateway: their times, and the memory of the gateway.

use std::{cell::Cell, time::Duration};

use anyhow::{Context, Result, ensure};
use e2e::harness::{Service, World};
use sim_openclaw::Flood;
use tokio::time::sleep;

use crate::{
    load::{self, Conversation, Writing, converse},
    users::{introduce_users, number},
};

/// Ordinary users, and how much they write in each measurement.
const USERS: u32 = 200;
const PER_SECOND: u32 = 50;
const DURATION: Duration = Duration::from_secs(20);

/// The names of the measurements, in pairs: without hostile sandboxes, and beside them. In pairs, because a slow moment of the machine
/// makes more difference than a flood.
const PAIRS: [(&str, &str); 5] = [("a", "b"), ("c", "d"), ("e", "f"), ("g", "h"), ("i", "j")];

/// Hostile sandboxes, one for each.
const FLOODS: [Flood; 3] = [
    Flood::Frames {
        bytes: 8 * 1024 * 1024,
    },
    Flood::Rows { count: 130_000 },
    Flood::Finals { pause_ms: 1 },
];

/// The promises: how much longer 99 of 100 messages take at most, and the most by which the gateway grows.
const P99_RATIO_LIMIT: f64 = 1.5;
const GROWTH_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// Pause between two looks at the gateway's memory.
const PAUSE: Duration = Duration::from_millis(20);

/// Measures and prints the results. Fails if a promise is broken.
pub(crate) async fn run() -> Result<()> {
    let world = load::world().await?;
    let hostile = u32::try_from(FLOODS.len())?;
    introduce_users(&world, USERS + hostile).await?;
    converse(&world, writing("w")).await?;
    println!(
        "\nFrom phone to phone, {PER_SECOND}/s, without and beside {hostile} hostile sandboxes:"
    );
    let (mut without, mut beside) = (Vec::new(), Vec::new());
    let mut cpu = [Duration::ZERO; 2];
    let mut growth = 0;
    for (quiet, flooded) in PAIRS {
        without.push(measure(&world, quiet, &mut cpu[0]).await?);
        flood(&world, true)?;
        let memory_before = world.memory_of(Service::Gateway)?;
        let peak = Cell::new(memory_before);
        let measured = tokio::select! {
            watched = watch_memory(&world, &peak) => return watched,
            measured = measure(&world, flooded, &mut cpu[1]) => measured?,
        };
        beside.push(measured);
        growth = growth.max(peak.get().saturating_sub(memory_before));
        flood(&world, false)?;
    }
    println!(
        "The gateway grew by {} MiB, and used {:.1} s of CPU time instead of {:.1} s",
        growth >> 20,
        cpu[1].as_secs_f32(),
        cpu[0].as_secs_f32()
    );
    let (without, beside) = (median(&mut without), median(&mut beside));
    let ratio = beside / without;
    println!(
        "99 of 100 messages took {beside:.1} ms instead of {without:.1} ms (medians): {ratio:.2} times"
    );
    ensure!(
        ratio <= P99_RATIO_LIMIT,
        "99 of 100 messages took {ratio:.2} times as long"
    );
    ensure!(
        growth <= GROWTH_LIMIT_BYTES,
        "the gateway grew by more than {} MiB",
        GROWTH_LIMIT_BYTES >> 20
    );
    Ok(())
}

/// Lets users write, and prints and returns the time that 99 of 100 messages took at most, in milliseconds. Adds the
/// gateway's CPU time to `cpu`.
async fn measure(world: &World, name: &'static str, cpu: &mut Duration) -> Result<f64> {
    let cpu_before = world.cpu_of(Service::Gateway)?;
    let conversation = converse(world, writing(name)).await?;
    *cpu += world.cpu_of(Service::Gateway)?.saturating_sub(cpu_before);
    println!("{}", text(&conversation));
    ensure!(
        conversation.heard.count() == u64::from(conversation.written),
        "messages were not answered"
    );
    Ok(conversation.heard.milliseconds(0.99))
}

/// Makes the hostile sandboxes begin or end.
fn flood(world: &World, begin: bool) -> Result<()> {
    for (user, flood) in (USERS..).zip(FLOODS) {
        let assistant = world.assistant_of(&number(user))?;
        let openclaw = world
            .openclaw
            .as_ref()
            .context("assistants are simulated")?;
        openclaw.flood(&assistant, begin.then_some(flood));
    }
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

const fn writing(name: &'static str) -> Writing {
    Writing {
        name,
        users: USERS,
        per_second: PER_SECOND,
        duration: DURATION,
    }
}

/// Keeps the highest memory of the gateway, until it is dropped.
async fn watch_memory(world: &World, peak: &Cell<u64>) -> Result<()> {
    loop {
        peak.set(peak.get().max(world.memory_of(Service::Gateway)?));
        sleep(PAUSE).await;
    }
}

fn text(conversation: &Conversation) -> String {
    let heard = &conversation.heard;
    format!(
        "{} of {} answered, p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
        heard.count(),
        conversation.written,
        heard.milliseconds(0.5),
        heard.milliseconds(0.99),
        heard.longest()
    )
}
