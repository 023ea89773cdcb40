//! Webhooks while strangers hold posts open: their times, and the memory of ingress.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::{
    harness::{Service, World},
    strangers::HalfOpenPosts,
    webhooks::WebhookSender,
};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{figures::Times, load};

/// Posts that strangers hold open, of which 300 have a false signature.
const POSTS: u16 = 500;

/// Webhooks in each measurement, and how many are sent per second.
const WEBHOOKS: u32 = 1_500;
const PER_SECOND: u32 = 100;

/// The promises: the longest time of 99 of 100 webhooks, and the most by which the memory of ingress grows.
const P99_LIMIT: Duration = Duration::from_millis(250);
const GROWTH_LIMIT_BYTES: u64 = 64 * 1024 * 1024;

/// Measures and prints the results. Fails if a promise is broken.
pub(crate) async fn run() -> Result<()> {
    let mut world = load::world().await?;
    for service in [Service::Gateway, Service::Outbound] {
        world.kill(service).await?;
    }
    let before = send(&world, 0).await?;
    println!(
        "\nSigned webhooks through Caddy, {PER_SECOND}/s: {}",
        text(&before)
    );
    let memory_before = world.memory_of(Service::Ingress)?;
    let posts = HalfOpenPosts::open(&world.public_url(), POSTS).await?;
    let during = send(&world, WEBHOOKS).await?;
    let memory_during = world.memory_of(Service::Ingress)?;
    drop(posts);
    let growth = memory_during.saturating_sub(memory_before);
    println!(
        "With {POSTS} half-open posts of strangers: {}; ingress grew by {} MiB",
        text(&during),
        growth >> 20
    );
    ensure!(
        during.percent_within(P99_LIMIT) >= 99.0,
        "more than 1 of 100 webhooks took longer than {P99_LIMIT:?}"
    );
    ensure!(
        growth <= GROWTH_LIMIT_BYTES,
        "ingress grew by more than {} MiB",
        GROWTH_LIMIT_BYTES >> 20
    );
    Ok(())
}

/// Sends webhooks, numbered from `first`, and returns their times. Fails if one is refused.
async fn send(world: &World, first: u32) -> Result<Times> {
    let sender = WebhookSender::to(world.webhook_url());
    let mut ticks = interval(Duration::from_secs(1) / PER_SECOND);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut sent = JoinSet::new();
    for number in first..first + WEBHOOKS {
        ticks.tick().await;
        let sender = sender.clone();
        sent.spawn(async move {
            let began = Instant::now();
            let status = sender.post(number).await?;
            ensure!(status.is_success(), "a webhook was answered with {status}");
            Ok(began.elapsed())
        });
    }
    let mut took = Times::none()?;
    while let Some(elapsed) = sent.join_next().await {
        took.add(elapsed??);
    }
    Ok(took)
}

fn text(took: &Times) -> String {
    format!(
        "p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
        took.milliseconds(0.5),
        took.milliseconds(0.99),
        took.longest()
    )
}
