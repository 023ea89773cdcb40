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

/// Longest time from the last message to the last answer.
const WAIT_LIMIT: Duration = Duration::from_secs(100);

/// Pause between two checks of all phones.
const POLL_PAUSE: Duration = Duration::from_millis(500);

/// Many users who write at the same time.
pub struct Crowd {
    /// The number of users.
    pub users: u32,
    /// Messages that each user writes.
    pub messages_each: u32,
    /// Messages per second of all users together.
    pub per_second: u32,
    /// How many copies of each webhook Meta posts at the same time.
    pub copies: u32,
}

impl Crowd {
    /// 200 users, 2,000 messages, 100 per second.
    pub const USUAL: Self = Self {
        users: 200,
        messages_each: 10,
        per_second: 100,
        copies: 1,
    };

    /// [`Crowd::USUAL`] with half as many messages.
    pub const SHORT: Self = Self {
        messages_each: 5,
        ..Self::USUAL
    };

    /// 1,000 users, 10,000 messages, 200 per second: 50 s of writing.
    pub const MANY: Self = Self {
        users: 1_000,
        messages_each: 10,
        per_second: 200,
        copies: 1,
    };

    /// A world for crowds: Meta's rate limits are off, statuses arrive out of order, assistants answer after
    /// 50 to 200 ms, and proactive messages have no limits.
    pub async fn world() -> World {
        World::start(Self::options()).await.unwrap()
    }

    /// [`Crowd::world`] with several gateways. The assistants send only the necessary events, because the
    /// simulator shares the machine.
    pub async fn world_of_gateways(gateways: usize) -> World {
        World::start(Self::options_of_gateways(gateways))
            .await
            .unwrap()
    }

    /// The options of [`Crowd::world_of_gateways`], for tests that change some of them.
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

    /// The options of [`Crowd::world`], for tests that change some of them.
    pub fn options() -> Options {
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
                // `chat_rules` tests these notices; crowds count answers.
                ("BACKLOG_MESSAGES", "1000".to_owned()),
                ("STILL_WORKING_SECONDS", "3600".to_owned()),
            ],
        }
    }

    /// A crowd in which each user writes one message.
    pub const fn once_each(users: u32, per_second: u32) -> Self {
        Self {
            users,
            messages_each: 1,
            per_second,
            copies: 1,
        }
    }

    /// Writes all messages at the crowd's rate.
    pub async fn write(&self, meta: &SimMeta) {
        let pause = Duration::from_secs(1) / self.per_second;
        let mut ticks = interval(pause);
        for message in 0..self.messages_each {
            for user in 0..self.users {
                ticks.tick().await;
                let inbound = Inbound {
                    from: number(user),
                    text: Some(self.text(user, message)),
                    copies: Some(self.copies),
                    ..Inbound::default()
                };
                meta.write_anything(inbound).unwrap();
            }
        }
    }

    /// Waits for the last answer, then checks that each message reached its assistant once and is in one
    /// answer, in the order of writing. Returns the outcome of each message, with its times.
    pub async fn verify(&self, world: &World) -> Outcome {
        let outcome = self.wait_for_answers(world).await;
        outcome.print();
        outcome.check();
        for user in 0..self.users {
            check_notices(world, user);
        }
        outcome
    }

    /// Waits for the last answer, then checks that each message is in one answer, in the order of writing. The
    /// assistants may have been asked twice.
    pub async fn verify_answers(&self, world: &World) {
        let outcome = self.wait_for_answers(world).await;
        outcome.print();
        outcome.check_answers();
    }

    /// The number in a message's text, unique among all users.
    fn token(&self, user: u32, message: u32) -> u32 {
        message * self.users + user
    }

    fn text(&self, user: u32, message: u32) -> String {
        format!("user {user} says m-{}", self.token(user, message))
    }

    async fn wait_for_answers(&self, world: &World) -> Outcome {
        let deadline = Instant::now() + WAIT_LIMIT;
        loop {
            let outcome = Outcome::of(self, world);
            if outcome.lost() == 0 {
                return outcome;
            }
            if Instant::now() > deadline {
                outcome.print();
                panic!(
                    "answers are missing after {WAIT_LIMIT:?}\n{}",
                    world.recent_warnings()
                );
            }
            sleep(POLL_PAUSE).await;
        }
    }
}

/// The phone number of a user of any crowd.
pub fn number(user: u32) -> String {
    format!("4915150{user:06}")
}

/// The simulators' present time, in milliseconds since 1970.
pub fn now_ms() -> i64 {
    SystemClock.now().timestamp_millis()
}

/// Whether a text is an assistant's answer, not a notice.
pub fn is_answer(text: &str) -> bool {
    text.starts_with("echo: ")
}

/// Whether a text is the host's notice that the user has to wait. Their number depends on the machine: a busy
/// one keeps more users waiting.
pub fn is_notice_of_waiting(text: &str) -> bool {
    use Notice::{Backlog, SettingUp, StillWorking, WakingUp};
    [SettingUp, WakingUp, StillWorking, Backlog]
        .map(Notice::text)
        .iter()
        .any(|notice| notice == text)
}

/// A user gets only answers and notices of waiting, and the notice to new users at most once.
fn check_notices(world: &World, user: u32) {
    let chat = world.meta.chat(&number(user));
    let texts = chat.received_texts();
    let others: Vec<&&str> = texts
        .iter()
        .filter(|text| !is_answer(text) && !is_notice_of_waiting(text))
        .collect();
    assert!(others.is_empty(), "user {user} also got {others:?}");
    let welcome = Notice::SettingUp.text();
    let welcomes = texts.iter().filter(|text| **text == welcome).count();
    assert!(
        welcomes <= 1,
        "user {user} got {welcomes} notices of setting up"
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
