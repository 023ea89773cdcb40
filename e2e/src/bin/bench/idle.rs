//! What assistants cost that only wait, and how soon all are back after every connection was lost.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::harness::{Options, Sandboxes, Service, VoiceMode, World};
use sim_meta::SimMetaConfig;
use sim_openclaw::{EventDetail, SimOpenClaw, SimOpenClawConfig};
use sim_twilio::SimTwilioConfig;
use tokio::{
    process::Command,
    time::{Instant, sleep, timeout},
};

use crate::people::introduce_everyone;

/// How many assistants one gateway is to hold.
pub(crate) const SANDBOXES: u32 = 10_000;

/// How long the gateway may take until everybody is connected.
const CONNECT_LIMIT: Duration = Duration::from_mins(3);

/// Between two looks whether they are.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(20);

/// Files a process opens besides one socket per sandbox.
const OTHER_FILES: u64 = 500;

/// Measures and prints.
pub(crate) async fn run(sandboxes: u32) -> Result<()> {
    allow_open_files(u64::from(sandboxes) + OTHER_FILES).await?;
    let mut world = world(sandboxes).await?;
    let openclaw = world.openclaw.clone().context("a world of simulators")?;
    let empty = world.memory_of(Service::Gateway)?;
    introduce_everyone(&world, sandboxes).await?;
    // What the introductions left in its memory is not what waiting costs.
    world.kill(Service::Gateway).await?;
    let handshakes = openclaw.stats().handshakes;
    let began = Instant::now();
    world.restart(Service::Gateway).await?;
    until_connected(&openclaw, sandboxes, handshakes).await?;
    println!("\n{sandboxes} sandboxes and one gateway, nobody writes:");
    println!(
        "  all connected after its start    {:>8.1?}",
        began.elapsed()
    );
    print_idle(&world, empty, sandboxes).await?;
    print_reconnect(&openclaw, sandboxes).await
}

async fn world(sandboxes: u32) -> Result<World> {
    let meta = SimMetaConfig {
        throughput: 0,
        pair_rate: false,
        ..SimMetaConfig::default()
    };
    let openclaw = SimOpenClawConfig {
        events: EventDetail::Terse,
        ..SimOpenClawConfig::default()
    };
    World::start(Options {
        sandboxes: Sandboxes::Simulated(openclaw),
        cap: sandboxes,
        meta,
        twilio: SimTwilioConfig::default(),
        voice: VoiceMode::default(),
        replicas: Vec::new(),
        variables: vec![
            ("WHATSAPP_MESSAGES_PER_SECOND", "100000".to_owned()),
            ("RUST_LOG", "warn".to_owned()),
        ],
    })
    .await
}

async fn print_idle(world: &World, empty: u64, sandboxes: u32) -> Result<()> {
    let cpu_before = world.cpu_of(Service::Gateway)?;
    sleep(IDLE).await;
    let spent = world.cpu_of(Service::Gateway)?.saturating_sub(cpu_before);
    let memory = world.memory_of(Service::Gateway)?;
    let of_each = kilobytes(memory.saturating_sub(empty) / u64::from(sandboxes.max(1)));
    println!(
        "  memory of each                   {of_each:>5.1} KB   ({:.0} KB without any, {:.0} KB now)",
        kilobytes(empty),
        kilobytes(memory)
    );
    let percent = 100.0 * spent.as_secs_f64() / IDLE.as_secs_f64();
    println!("  processor time, of one core      {percent:>5.1} %");
    Ok(())
}

/// Drops every connection at once.
async fn print_reconnect(openclaw: &SimOpenClaw, sandboxes: u32) -> Result<()> {
    let before = openclaw.stats();
    let began = Instant::now();
    openclaw.cut_connections(None);
    until_connected(openclaw, sandboxes, before.handshakes).await?;
    let (after, took) = (openclaw.stats(), began.elapsed());
    println!("  all cut, all connected again     {took:>8.1?}");
    println!(
        "  handshakes {}, of them refused for authentication {}, lockouts {}",
        after.handshakes - before.handshakes,
        after.auth_failures() - before.auth_failures(),
        after.lockouts - before.lockouts
    );
    Ok(())
}

/// Waits until every sandbox is connected by a handshake after those `earlier` ones.
async fn until_connected(openclaw: &SimOpenClaw, sandboxes: u32, earlier: u64) -> Result<()> {
    let everybody = u64::from(sandboxes);
    let connected = async {
        loop {
            let stats = openclaw.stats();
            if stats.connections >= everybody && stats.handshakes >= earlier + everybody {
                return;
            }
            sleep(LOOK_AGAIN).await;
        }
    };
    let in_time = timeout(CONNECT_LIMIT, connected).await;
    in_time.with_context(|| format!("not all are connected: {:?}", openclaw.stats()))
}

/// Raises this process' soft limit of open files, which the services inherit.
async fn allow_open_files(needed: u64) -> Result<()> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let of_files = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let mut limits = of_files
        .context("no limit of open files")?
        .split_whitespace();
    let mut limit = || limits.next().and_then(|limit| limit.parse::<u64>().ok());
    let (soft, hard) = limit()
        .zip(limit())
        .context("an unusual limit of open files")?;
    if soft >= needed {
        return Ok(());
    }
    ensure!(
        hard >= needed,
        "ulimit -Hn is {hard}, and {needed} are needed"
    );
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--pid", &std::process::id().to_string()]);
    prlimit.arg(format!("--nofile={hard}:{hard}"));
    ensure!(prlimit.status().await?.success(), "prlimit failed");
    Ok(())
}

fn kilobytes(bytes: u64) -> f64 {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    f64::from(bytes) / 1024.0
}
