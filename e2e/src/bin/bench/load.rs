//! Rates and times of the whole system. The same run also measures bare JetStream publishes, because the machine's
//! disk limits both.

use std::{
    collections::HashMap,
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use e2e::{
    harness::{Options, Sandboxes, Service, VoiceMode, World},
    webhooks::{WebhookSender, webhook},
};
use futures_util::{StreamExt, stream};
use sim_meta::{SimMetaConfig, Speaker};
use sim_openclaw::{EventDetail, SimOpenClawConfig};
use sim_twilio::SimTwilioConfig;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::{
    baseline::DirectClients,
    figures::Times,
    users::{introduce_users, number},
};

/// Simultaneous webhooks or publishes in the two rate measurements.
const AT_ONCE: usize = 64;

/// Operations, each with a unique number, of which `at_once` run at the same time.
struct Load {
    numbers: Range<u32>,
    at_once: usize,
}

const CONCURRENT: Load = Load {
    numbers: 0..10_000,
    at_once: AT_ONCE,
};

const SEQUENTIAL: Load = Load {
    numbers: 10_000..12_000,
    at_once: 1,
};

/// Users in the measurements from phone to phone.
const USERS: u32 = 1_000;

/// Users who write one after another for some time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writing {
    /// Distinguishes the messages from those of other writings in the same world.
    pub(crate) name: &'static str,
    pub(crate) users: u32,
    pub(crate) per_second: u32,
    pub(crate) duration: Duration,
}

/// How messages fared from phone to phone.
pub(crate) struct Conversation {
    pub(crate) written: u32,
    /// The times from each message to its answer.
    pub(crate) heard: Times,
    /// From the first message to the last answer, and from the last message to the last answer.
    took: Duration,
    late: Duration,
}

/// Longest wait for the last answers after the last message.
const LATE_ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Writings at growing rates.
const RATES: [Writing; 5] = [
    at_rate("a", 50),
    at_rate("b", 200),
    at_rate("c", 300),
    at_rate("d", 500),
    at_rate("e", 1_000),
];

const fn at_rate(name: &'static str, per_second: u32) -> Writing {
    Writing {
        name,
        users: USERS,
        per_second,
        duration: Duration::from_secs(10),
    }
}

/// Measures and prints the results.
pub(crate) async fn run() -> Result<()> {
    let mut world = world().await?;
    println!("Idle:");
    print_memory(&world)?;
    let reference = direct_publishes(&world).await?;
    println!("\nBare JetStream publishes, {AT_ONCE} at once: {reference}");
    for service in [Service::Gateway, Service::Outbound] {
        world.kill(service).await?;
    }
    let sequential = webhooks(&world, SEQUENTIAL).await?;
    println!("Signed webhooks until their 200, one by one: {sequential}");
    let concurrent = webhooks(&world, CONCURRENT).await?;
    println!("Signed webhooks until their 200, {AT_ONCE} at once: {concurrent}");
    println!(
        "Ratio of rates: {:.2}",
        concurrent.per_second / reference.per_second
    );
    drop(world);
    let world = self::world().await?;
    introduce_users(&world, USERS).await?;
    println!("\nFrom phone to phone, with assistants that answer immediately:");
    for writing in RATES {
        let figures = phone_to_phone(&world, writing).await?;
        println!("{:>6}/s: {figures}", writing.per_second);
    }
    println!("\nAfter the load:");
    print_memory(&world)
}

pub(crate) async fn world() -> Result<World> {
    let meta = SimMetaConfig {
        throughput: 0,
        pair_rate: false,
        lines_per_chat: 10_000,
        ..SimMetaConfig::default()
    };
    let openclaw = SimOpenClawConfig {
        events: EventDetail::Terse,
        ..SimOpenClawConfig::default()
    };
    World::start(Options {
        sandboxes: Sandboxes::Simulated(openclaw),
        cap: USERS * 2,
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

/// The rate of an operation, and the durations.
struct Figures {
    per_second: f64,
    took: Times,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.0}/s, p50 {:.1} ms, p99 {:.1} ms",
            self.per_second,
            self.took.milliseconds(0.5),
            self.took.milliseconds(0.99)
        )
    }
}

/// Publishes of a webhook's size, each acknowledged: the limit of disk and server.
async fn direct_publishes(world: &World) -> Result<Figures> {
    let direct = DirectClients::connect(world).await?;
    measure(CONCURRENT, |number| {
        let direct = direct.clone();
        async move { direct.store(number, webhook(number).into_bytes()).await }
    })
    .await
}

/// Signed webhooks posted directly to ingress, while no service consumes the events.
async fn webhooks(world: &World, load: Load) -> Result<Figures> {
    let sender = WebhookSender::to(world.ingress_url()?);
    measure(load, |number| {
        let sender = sender.clone();
        async move {
            let status = sender.post(number).await?;
            ensure!(status.is_success(), "a webhook was answered with {status}");
            Ok(())
        }
    })
    .await
}

async fn measure<Work, Doing>(load: Load, work: Work) -> Result<Figures>
where
    Work: Fn(u32) -> Doing,
    Doing: Future<Output = Result<()>>,
{
    let mut took = Times::none()?;
    let began = Instant::now();
    let mut rounds = stream::iter(load.numbers.clone())
        .map(|number| {
            let working = work(number);
            async {
                let began = Instant::now();
                working.await.map(|()| began.elapsed())
            }
        })
        .buffer_unordered(load.at_once);
    while let Some(elapsed) = rounds.next().await {
        took.add(elapsed?);
    }
    Ok(Figures {
        per_second: f64::from(load.numbers.end - load.numbers.start)
            / began.elapsed().as_secs_f64(),
        took,
    })
}

/// Returns the times from each message to its answer, as text.
async fn phone_to_phone(world: &World, writing: Writing) -> Result<String> {
    let cpu_before = cpu(world)?;
    let conversation = converse(world, writing).await?;
    let spent = cpu(world)?.checked_sub(cpu_before).unwrap_or_default();
    let Conversation {
        written,
        heard,
        took,
        late,
    } = conversation;
    let micros = spent.as_micros() / u128::from(written.max(1));
    let count = heard.count();
    let figures = Figures {
        per_second: f64::from(u32::try_from(count)?) / took.as_secs_f64(),
        took: heard,
    };
    Ok(format!(
        "{count} of {written} answered, {figures}, the last {:.1} s after the last message, {micros} µs of CPU each in our services",
        late.as_secs_f32()
    ))
}

/// Lets users write, and waits for the answers.
pub(crate) async fn converse(world: &World, writing: Writing) -> Result<Conversation> {
    let mut ticks = interval(Duration::from_secs(1) / writing.per_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let began = Instant::now();
    let mut written = 0;
    while began.elapsed() < writing.duration {
        ticks.tick().await;
        let text = format!("{}-{written}", writing.name);
        world
            .meta
            .write(&number(written % writing.users), &text)
            .map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
        written += 1;
    }
    let last_written = began.elapsed();
    let heard = wait_for_answers(world, writing, written).await?;
    let took = began.elapsed();
    Ok(Conversation {
        written,
        heard,
        took,
        late: took.saturating_sub(last_written),
    })
}

async fn wait_for_answers(world: &World, writing: Writing, written: u32) -> Result<Times> {
    let deadline = Instant::now() + LATE_ANSWER_LIMIT;
    loop {
        let heard = answers(world, writing)?;
        if heard.count() >= u64::from(written) || Instant::now() > deadline {
            return Ok(heard);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// The times from each message of this writing to its answer.
fn answers(world: &World, writing: Writing) -> Result<Times> {
    let mut took = Times::none()?;
    let prefix = format!("{}-", writing.name);
    for user in 0..writing.users {
        let chat = world.meta.chat(&number(user));
        let mut asked = HashMap::new();
        for line in &chat.lines {
            match line.from {
                Speaker::User if line.text.starts_with(&prefix) => {
                    asked.insert(line.text.clone(), line.at_ms);
                }
                Speaker::Business => {
                    // Messages that arrived during a turn have one answer together.
                    for answered in line.text.split_whitespace() {
                        if let Some(at) = asked.remove(answered) {
                            took.add(Duration::from_millis(u64::try_from(line.at_ms - at)?));
                        }
                    }
                }
                Speaker::User => {}
            }
        }
    }
    Ok(took)
}

fn cpu(world: &World) -> Result<Duration> {
    Service::ALL
        .into_iter()
        .map(|service| world.cpu_of(service))
        .sum()
}

pub(crate) fn print_memory(world: &World) -> Result<()> {
    for service in Service::ALL {
        let megabytes = world.memory_of(service)? / (1024 * 1024);
        println!("  {:<12} {megabytes:>4} MB", service.name());
    }
    Ok(())
}
