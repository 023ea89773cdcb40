//! How fast. Every rate stands beside the rate of bare JetStream publishes in the same run, because the
//! machine's disk decides both.

use std::{
    collections::HashMap,
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::Result;
use claw_runtime::{HttpTimeouts, http};
use claw_whatsapp::signature;
use e2e::harness::{Options, Sandboxes, Service, VoiceMode, World};
use futures_util::{StreamExt, stream};
use sim_meta::{SimMetaConfig, Speaker};
use sim_openclaw::{EventDetail, SimOpenClawConfig};
use sim_twilio::SimTwilioConfig;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::{
    bare::Bare,
    figures::Times,
    people::{introduce_everyone, number},
};

/// Webhooks and publishes under way at once in the two rate measurements.
const AT_ONCE: usize = 64;

/// What is done, each with a number of its own, and how many of it at once.
struct Load {
    numbers: Range<u32>,
    at_once: usize,
}

const CROWDED: Load = Load {
    numbers: 0..10_000,
    at_once: AT_ONCE,
};

const ALONE: Load = Load {
    numbers: 10_000..12_000,
    at_once: 1,
};

/// People who write in the measurements from phone to phone.
const PEOPLE: u32 = 1_000;

/// How long each rate is held.
const HELD: Duration = Duration::from_secs(10);

/// How long stragglers are waited for after a rate was held.
const STRAGGLERS: Duration = Duration::from_secs(30);

/// Messages a second, all people together.
const RATES: [u32; 5] = [50, 200, 300, 500, 1_000];

/// Measures and prints.
pub(crate) async fn run() -> Result<()> {
    let mut world = world().await?;
    println!("Idle:");
    print_memory(&world)?;
    let reference = bare_publishes(&world).await?;
    println!("\nBare JetStream publishes, {AT_ONCE} at once: {reference}");
    for service in [Service::Gateway, Service::Outbound] {
        world.kill(service).await?;
    }
    let alone = webhooks(&world, ALONE).await?;
    println!("Signed webhooks until their 200, one by one: {alone}");
    let door = webhooks(&world, CROWDED).await?;
    println!("Signed webhooks until their 200, {AT_ONCE} at once: {door}");
    println!(
        "Ratio of rates: {:.2}",
        door.per_second / reference.per_second
    );
    drop(world);
    let world = self::world().await?;
    introduce_everyone(&world, PEOPLE).await?;
    println!("\nFrom phone to phone, the assistants answering at once:");
    for rate in RATES {
        println!("{rate:>6}/s: {}", phone_to_phone(&world, rate).await?);
    }
    println!("\nAfter the load:");
    print_memory(&world)
}

async fn world() -> Result<World> {
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
        cap: PEOPLE * 2,
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

/// How often something was done, and how long each took.
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

/// What the disk and the server allow: publishes of a webhook's size, each acknowledged.
async fn bare_publishes(world: &World) -> Result<Figures> {
    let bare = Bare::connect(world).await?;
    measure(CROWDED, |number| {
        let bare = bare.clone();
        async move { bare.store(number, webhook(number).into_bytes()).await }
    })
    .await
}

/// Signed webhooks posted to ingress itself; nobody takes the events off the bus meanwhile.
async fn webhooks(world: &World, load: Load) -> Result<Figures> {
    let client = http::client(HttpTimeouts::default());
    let secret = SimMetaConfig::default().app_secret;
    let url = world.ingress_url();
    measure(load, |number| {
        let body = webhook(number);
        let request = client
            .post(&url)
            .header(signature::HEADER, signature::sign(&secret, body.as_bytes()))
            .body(body);
        async move {
            request.send().await?.error_for_status()?;
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

/// The body Meta posts for one text of one person, with an id of its own.
fn webhook(number: u32) -> String {
    let (person, id) = (number % 500, SimMetaConfig::default().phone_number_id);
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550001111","phone_number_id":"{id}"}},"contacts":[{{"profile":{{"name":"Ada"}},"wa_id":"49152{person:06}"}}],"messages":[{{"from":"49152{person:06}","id":"wamid.bench{number}","timestamp":"1700000000","type":"text","text":{{"body":"How much did I spend on groceries this week?"}}}}]}}}}]}}]}}"#
    )
}

/// Everyone in turn writes at `rate`; the time from each message to its answer on the same phone.
async fn phone_to_phone(world: &World, rate: u32) -> Result<String> {
    let cpu_before = cpu(world)?;
    let mut beat = interval(Duration::from_secs(1) / rate);
    beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let began = Instant::now();
    let mut written = 0;
    while began.elapsed() < HELD {
        beat.tick().await;
        let text = format!("{rate}-{written}");
        world
            .meta
            .write(&number(written % PEOPLE), &text)
            .map_err(|refused| anyhow::anyhow!("{refused:?}"))?;
        written += 1;
    }
    let last_written = began.elapsed();
    let heard = wait_for_answers(world, rate, written).await?;
    let spent = cpu(world)?.checked_sub(cpu_before).unwrap_or_default();
    let micros = spent.as_micros() / u128::from(written.max(1));
    let figures = Figures {
        per_second: f64::from(u32::try_from(heard.count())?) / began.elapsed().as_secs_f64(),
        took: heard.clone(),
    };
    let late = began.elapsed().saturating_sub(last_written);
    Ok(format!(
        "{} of {written} answered, {figures}, the last {:.1} s after the last message, {micros} µs of CPU each in our services",
        heard.count(),
        late.as_secs_f32()
    ))
}

async fn wait_for_answers(world: &World, rate: u32, written: u32) -> Result<Times> {
    let deadline = Instant::now() + STRAGGLERS;
    loop {
        let heard = answers(world, rate)?;
        if heard.count() >= u64::from(written) || Instant::now() > deadline {
            return Ok(heard);
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// Microseconds from each message of this round to its answer.
fn answers(world: &World, rate: u32) -> Result<Times> {
    let mut took = Times::none()?;
    let prefix = format!("{rate}-");
    for person in 0..PEOPLE {
        let chat = world.meta.chat(&number(person));
        let mut asked = HashMap::new();
        for line in &chat.lines {
            match line.from {
                Speaker::User if line.text.starts_with(&prefix) => {
                    asked.insert(line.text.clone(), line.at_ms);
                }
                Speaker::Business => {
                    // One answer for all that came while the assistant was busy.
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

fn print_memory(world: &World) -> Result<()> {
    for service in Service::ALL {
        let megabytes = world.memory_of(service)? / (1024 * 1024);
        println!("  {:<12} {megabytes:>4} MB", service.name());
    }
    Ok(())
}
