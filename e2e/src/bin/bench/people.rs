//! What people cost whose assistants sleep most of the time, and how fast assistants wake, in simulated containers that
//! start in no time.

use std::{ops::Range, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use e2e::harness::{Options, Sandboxes, VoiceMode, World};
use futures_util::{StreamExt, stream::FuturesUnordered};
use sim_docker::SimDockerConfig;
use sim_meta::SimMetaConfig;
use sim_openclaw::{EventDetail, SimOpenClawConfig};
use sim_twilio::SimTwilioConfig;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::{figures::Times, load::print_memory, processor_use::ProcessorUse, users::number};

/// People unless the command line says otherwise.
pub(crate) const PEOPLE: u32 = 10_000;

/// First messages per second.
const NEWCOMERS_PER_SECOND: u32 = 60;

/// How long an assistant stays awake.
const SLEEP_AFTER: Duration = Duration::from_secs(10);

/// The share of people who are awake, as one in so many, and the pause between two messages of each of them.
const ONE_AWAKE_IN: u32 = 50;
const WRITES_EVERY: Duration = Duration::from_secs(5);

/// How long the services are measured.
const MEASURED: Duration = Duration::from_secs(20);

/// Wakes per second, each for [`WAKING`].
const WAKES_PER_SECOND: [u32; 4] = [5, 10, 20, 40];
const WAKING: Duration = Duration::from_secs(10);

/// Longest time until an answer, and until all are asleep.
const LIMIT: Duration = Duration::from_mins(2);

/// Measures and prints the results.
pub(crate) async fn run(people: u32) -> Result<()> {
    let wakes: u32 = WAKES_PER_SECOND.iter().sum::<u32>() * seconds(WAKING);
    ensure!(
        people >= wakes + people / ONE_AWAKE_IN,
        "{wakes} people are woken, so more people are needed"
    );
    let world = world(people).await?;
    println!("\nNobody:");
    print_services(&world).await?;
    let began = Instant::now();
    let first = write(&world, 0..people, NEWCOMERS_PER_SECOND).await?;
    let rate = f64::from(people) / began.elapsed().as_secs_f64();
    println!(
        "\n{people} newcomers, {rate:.0} a second, from message to answer: {}",
        line(&first)
    );
    until_all_sleep(&world).await?;
    println!("\n{people} people, all asleep:");
    print_services(&world).await?;

    let awake = people / ONE_AWAKE_IN;
    let writing = async {
        loop {
            write(&world, 0..awake, awake / seconds(WRITES_EVERY)).await?;
        }
    };
    write(&world, 0..awake, NEWCOMERS_PER_SECOND).await?;
    println!("\n{awake} of them are awake, and each writes every {WRITES_EVERY:?}:");
    tokio::select! {
        ended = writing => return ended,
        printed = print_services(&world) => printed?,
    }

    println!("\nMessages to sleepers, from message to answer:");
    let mut next = awake;
    for per_second in WAKES_PER_SECOND {
        let woken = next..next + per_second * seconds(WAKING);
        next = woken.end;
        let began = Instant::now();
        let times = write(&world, woken, per_second).await?;
        let late = began.elapsed().saturating_sub(WAKING);
        println!(
            "{per_second:>6}/s: {}; the last {late:.1?} after the last message",
            line(&times)
        );
    }
    Ok(())
}

async fn world(people: u32) -> Result<World> {
    let openclaw = SimOpenClawConfig {
        events: EventDetail::Terse,
        ..SimOpenClawConfig::default()
    };
    let engine = SimDockerConfig {
        openclaw,
        ..SimDockerConfig::default()
    };
    let variables = [
        ("WHATSAPP_MESSAGES_PER_SECOND", "100000".to_owned()),
        ("SLEEP_AFTER_SECONDS", seconds(SLEEP_AFTER).to_string()),
        ("SANDBOX_STARTS_AT_ONCE", "32".to_owned()),
        ("RUST_LOG", "warn".to_owned()),
    ];
    World::start(Options {
        sandboxes: Sandboxes::SimulatedEngine(engine),
        cap: people,
        meta: SimMetaConfig {
            throughput: 0,
            pair_rate: false,
            ..SimMetaConfig::default()
        },
        twilio: SimTwilioConfig::default(),
        voice: VoiceMode::default(),
        replicas: Vec::new(),
        variables: variables.into(),
    })
    .await
}

/// Lets each of these people write once, at this rate, and returns the times from message to answer.
async fn write(world: &World, people: Range<u32>, per_second: u32) -> Result<Times> {
    let mut ticks = interval(Duration::from_secs(1) / per_second.max(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut times, mut heard) = (Times::none()?, FuturesUnordered::new());
    for person in people {
        loop {
            tokio::select! {
                biased;
                _ = ticks.tick() => break,
                Some(time) = heard.next() => times.add(Result::<Duration>::from(time)?),
            }
        }
        heard.push(answer(world, number(person)));
    }
    while let Some(time) = heard.next().await {
        times.add(time?);
    }
    Ok(times)
}

/// Writes a message, and returns the time until its answer.
async fn answer(world: &World, number: String) -> Result<Duration> {
    let before = answers(world, &number);
    let began = Instant::now();
    let written = world.meta.write(&number, "hi");
    written.map_err(|refused| anyhow!("{refused:?}"))?;
    let deadline = began + LIMIT;
    loop {
        let received = u64::try_from(world.meta.chat(&number).received_texts().len())?;
        let more = world.meta.wait_received(&number, received + 1, LIMIT);
        if answers(world, &number) > before {
            return Ok(began.elapsed());
        }
        ensure!(Instant::now() < deadline, "{number} was not answered");
        more.await.map_err(|chat| anyhow!("no answer: {chat:?}"))?;
    }
}

fn answers(world: &World, number: &str) -> usize {
    let chat = world.meta.chat(number);
    let texts = chat.received_texts().into_iter();
    texts.filter(|text| text.starts_with("echo: ")).count()
}

async fn until_all_sleep(world: &World) -> Result<()> {
    let engine = world.engine.as_ref().context("there is no engine")?;
    let asleep = async {
        while engine.stats().containers > 0 {
            sleep(Duration::from_millis(200)).await;
        }
    };
    let in_time = timeout(LIMIT, asleep).await;
    in_time.with_context(|| format!("not everybody sleeps: {:?}", engine.stats()))
}

/// Prints the processors that the services keep busy from now on, and the memory of each program.
async fn print_services(world: &World) -> Result<()> {
    let before = ProcessorUse::so_far(world)?;
    sleep(MEASURED).await;
    (ProcessorUse::so_far(world)? - before).print();
    print_memory(world)
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

fn line(times: &Times) -> String {
    let quantile = |quantile| times.milliseconds(quantile);
    format!(
        "p50 {:.0} ms, p95 {:.0} ms, p99 {:.0} ms, longest {:.0} ms",
        quantile(0.5),
        quantile(0.95),
        quantile(0.99),
        times.longest()
    )
}
