//! The cost of idle assistants, and the time to reconnect to all of them.

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

use crate::users::introduce_users;

/// Sandboxes of one gateway unless the command line says otherwise.
pub(crate) const SANDBOXES: u32 = 10_000;

/// Longest time until the gateway is connected to all sandboxes.
const CONNECT_LIMIT: Duration = Duration::from_mins(3);

/// Pause between two checks whether all are connected.
const POLL_PAUSE: Duration = Duration::from_millis(100);

/// How long the idle gateway is measured.
const IDLE: Duration = Duration::from_secs(20);

/// Files that a process opens besides one socket per sandbox.
const OTHER_FILES: u64 = 500;

/// Measures and prints the results.
pub(crate) async fn run(sandboxes: u32) -> Result<()> {
    allow_open_files(u64::from(sandboxes) + OTHER_FILES).await?;
    let mut world = world(sandboxes).await?;
    let openclaw = world
        .openclaw
        .clone()
        .context("the sandboxes are not simulated")?;
    let empty = world.memory_of(Service::Gateway)?;
    introduce_users(&world, sandboxes).await?;
    // A new process, because memory that the first messages needed is not a cost of idle assistants.
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

/// Drops all connections at once, and prints how the gateway reconnects.
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

/// Waits until every sandbox is connected by a handshake that `earlier` does not count.
async fn until_connected(openclaw: &SimOpenClaw, sandboxes: u32, earlier: u64) -> Result<()> {
    let all = u64::from(sandboxes);
    let connected = async {
        loop {
            let stats = openclaw.stats();
            if stats.connections >= all && stats.handshakes >= earlier + all {
                return;
            }
            sleep(POLL_PAUSE).await;
        }
    };
    let in_time = timeout(CONNECT_LIMIT, connected).await;
    in_time.with_context(|| format!("not all sandboxes are connected: {:?}", openclaw.stats()))
}

/// Raises this process's soft limit of open files, which the services inherit.
async fn allow_open_files(needed: u64) -> Result<()> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let of_files = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let mut limits = of_files
        .context("/proc/self/limits has no limit of open files")?
        .split_whitespace();
    let mut limit = || limits.next().and_then(|limit| limit.parse::<u64>().ok());
    let (soft, hard) = limit()
        .zip(limit())
        .context("the limit of open files in /proc/self/limits is not a number")?;
    if soft >= needed {
        return Ok(());
    }
    ensure!(
        hard >= needed,
        "ulimit -Hn is {hard}, but {needed} open files are needed"
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
