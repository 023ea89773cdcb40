mod outcome;

use std::time::Duration;

use claw_chat::Notice;
use claw_runtime::{Clock, SystemClock};
use e2e::harness::{Options, Sandboxes, Service, VoiceMode, World};
use sim_meta::{Inbound, SimMeta, SimMetaConfig, StatusPlan, WebhookPlan};
use sim_openclaw::{Behaviour, EventDetail, SimOpenClawConfig};
use sim_twilio::SimTwilioConfig;
use tokio::time::{Instant, interval, sleep};

pub use outcome::{Outcome, Times};

/// How long the last answers may take after the last message.
const PATIENCE: Duration = Duration::from_secs(100);

/// Between two looks at every phone.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Many people who write at once, and what each must hear.
pub struct Crowd {
    /// How many people.
    pub people: u32,
    /// How many messages each of them writes.
    pub messages_each: u32,
    /// Messages a second, all people together.
    pub per_second: u32,
    /// How often each webhook is posted, all at once.
    pub copies: u32,
}

impl Crowd {
    /// 200 people, 2,000 messages, 100 a second.
    pub const USUAL: Self = Self {
        people: 200,
        messages_each: 10,
        per_second: 100,
        copies: 1,
    };

    /// The same for half the time.
    pub const SHORT: Self = Self {
        messages_each: 5,
        ..Self::USUAL
    };

    /// 1,000 people, 10,000 messages, 200 a second: 50 s of writing.
    pub const MANY: Self = Self {
        people: 1_000,
        messages_each: 10,
        per_second: 200,
        copies: 1,
    };

    /// A world in which this crowd can write: Meta's limits out of the way, statuses in bad order,
    /// assistants that take a moment and may speak whenever they like.
    pub async fn world() -> World {
        World::start(Self::options()).await.unwrap()
    }

    /// The same with several gateways, and assistants that tell no more than they must, because the
    /// simulator shares the machine.
    pub async fn world_of_gateways(gateways: usize) -> World {
        World::start(Self::options_of_gateways(gateways))
            .await
            .unwrap()
    }

    /// What [`Crowd::world_of_gateways`] starts, for changes.
    pub fn options_of_gateways(gateways: usize) -> Options {
        Options {
            sandboxes: Sandboxes::Simulated(SimOpenClawConfig {
                events: EventDetail::Terse,
                ..assistants()
            }),
            replicas: vec![(Service::Gateway, gateways)],
            ..Self::options()
        }
    }

    fn options() -> Options {
        Options {
            sandboxes: Sandboxes::Simulated(assistants()),
            cap: 10_000,
            meta: meta(),
            twilio: SimTwilioConfig::default(),
            voice: VoiceMode::default(),
            replicas: Vec::new(),
            variables: vec![
                ("WHATSAPP_MESSAGES_PER_SECOND", "1000".to_owned()),
                ("QUIET_HOURS", "off".to_owned()),
                ("PROACTIVE_PER_DAY", "0".to_owned()),
                // What is said about waiting has tests of its own; here answers are counted.
                ("BACKLOG_MESSAGES", "1000".to_owned()),
                ("STILL_WORKING_SECONDS", "3600".to_owned()),
            ],
        }
    }

    /// Everybody once in turn, at this rate.
    pub const fn once_each(people: u32, per_second: u32) -> Self {
        Self {
            people,
            messages_each: 1,
            per_second,
            copies: 1,
        }
    }

    /// Writes everything at the given rate.
    pub async fn write(&self, meta: &SimMeta) {
        let pause = Duration::from_secs(1) / self.per_second;
        let mut beat = interval(pause);
        for message in 0..self.messages_each {
            for person in 0..self.people {
                beat.tick().await;
                let inbound = Inbound {
                    from: number(person),
                    text: Some(self.text(person, message)),
                    copies: Some(self.copies),
                    ..Inbound::default()
                };
                meta.write_anything(inbound).unwrap();
            }
        }
    }

    /// Waits for the last answer, then checks what must hold whatever happened meanwhile: each message
    /// was put to its assistant once and is in one answer, in the order of writing. Gives what became of
    /// each, for the times.
    pub async fn verify(&self, world: &World) -> Outcome {
        let outcome = self.wait_for_answers(world).await;
        outcome.print();
        outcome.check();
        for person in 0..self.people {
            check_notices(world, person);
        }
        outcome
    }

    /// The number messages are known by: unique among all people.
    fn token(&self, person: u32, message: u32) -> u32 {
        message * self.people + person
    }

    fn text(&self, person: u32, message: u32) -> String {
        format!("person {person} says m-{}", self.token(person, message))
    }

    async fn wait_for_answers(&self, world: &World) -> Outcome {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let outcome = Outcome::of(self, world);
            if outcome.lost() == 0 {
                return outcome;
            }
            if Instant::now() > deadline {
                outcome.print();
                panic!(
                    "answers are missing after {PATIENCE:?}\n{}",
                    world.troubles()
                );
            }
            sleep(LOOK_AGAIN).await;
        }
    }
}

/// The number of person `person` of any crowd.
pub fn number(person: u32) -> String {
    format!("4915150{person:06}")
}

/// Now, as the simulators see it, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    SystemClock.now().timestamp_millis()
}

/// Whether an assistant answers with these words.
pub fn is_answer(text: &str) -> bool {
    text.starts_with("echo: ")
}

/// Whether the host tells a user that they have to wait. How often it does is a matter of time: a busy machine
/// keeps more users waiting.
pub fn is_notice_of_waiting(text: &str) -> bool {
    use Notice::{Backlog, SettingUp, StillWorking, WakingUp};
    [SettingUp, WakingUp, StillWorking, Backlog]
        .map(Notice::text)
        .iter()
        .any(|notice| notice == text)
}

/// A user hears answers and notices of waiting, of which the newcomer's is told once.
fn check_notices(world: &World, person: u32) {
    let chat = world.meta.chat(&number(person));
    let texts = chat.received_texts();
    let others: Vec<&&str> = texts
        .iter()
        .filter(|text| !is_answer(text) && !is_notice_of_waiting(text))
        .collect();
    assert!(others.is_empty(), "person {person} was told {others:?}");
    let welcome = Notice::SettingUp.text();
    let welcomes = texts.iter().filter(|text| **text == welcome).count();
    assert!(
        welcomes <= 1,
        "person {person} was welcomed {welcomes} times"
    );
}

fn assistants() -> SimOpenClawConfig {
    SimOpenClawConfig {
        behaviour: Behaviour {
            delay_ms: 50,
            delay_spread_ms: 150,
            store_ms: 5,
            ..Behaviour::default()
        },
        ..SimOpenClawConfig::default()
    }
}

fn meta() -> SimMetaConfig {
    SimMetaConfig {
        throughput: 0,
        pair_rate: false,
        statuses: StatusPlan {
            shuffle_ms: 60,
            ..StatusPlan::default()
        },
        webhooks: WebhookPlan {
            duplicate_percent: 5,
            ..WebhookPlan::default()
        },
        ..SimMetaConfig::default()
    }
}
