use std::time::Duration;

use e2e::{
    harness::{Options, Sandboxes, World},
    sim_meta::{Inbound, SimMeta, SimMetaConfig, StatusPlan, WebhookPlan},
    sim_openclaw::{Behaviour, SimOpenClawConfig},
};
use tokio::time::{Instant, interval, sleep};

/// How long the last answers may take after the last message.
const PATIENCE: Duration = Duration::from_secs(100);

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

    /// A world in which this crowd can write: Meta's limits out of the way, statuses in bad order,
    /// assistants that take a moment.
    pub async fn world() -> World {
        let meta = SimMetaConfig {
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
        };
        let openclaw = SimOpenClawConfig {
            behaviour: Behaviour {
                delay_ms: 50,
                delay_spread_ms: 150,
                store_ms: 5,
                ..Behaviour::default()
            },
            ..SimOpenClawConfig::default()
        };
        World::start(Options {
            sandboxes: Sandboxes::Simulated(openclaw),
            cap: 10_000,
            meta,
            variables: vec![("WHATSAPP_MESSAGES_PER_SECOND", "1000".to_owned())],
        })
        .await
        .unwrap()
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
                    text: Some(text(person, message)),
                    copies: Some(self.copies),
                    ..Inbound::default()
                };
                meta.write_anything(inbound).unwrap();
            }
        }
    }

    /// Waits for the last answer, then checks that everyone heard each answer once, in order, and
    /// that every assistant was asked once per message.
    pub async fn verify(&self, world: &World) {
        self.wait_for_answers(world).await;
        for person in 0..self.people {
            let chat = world.meta.chat(&number(person));
            let expected: Vec<String> = (0..self.messages_each)
                .map(|message| format!("echo: {}", text(person, message)))
                .collect();
            assert_eq!(
                answers(world, person),
                expected,
                "what person {person} heard"
            );
            let notices = chat.received - u64::from(self.messages_each);
            assert!(notices <= 1, "person {person} was told {notices} notices");
        }
        let assistants = world.openclaw.as_ref().unwrap().stats();
        let meta = world.meta.stats();
        eprintln!("Meta: {meta:?}\nassistants: {assistants:?}");
        assert_eq!(
            assistants.overlaps, 0,
            "a run was begun while another was open"
        );
        assert_eq!(assistants.answered_again, 0, "a message was put twice");
        let asked = assistants.turns - assistants.resumed - assistants.lost;
        assert_eq!(asked, u64::from(self.people * self.messages_each));
        assert_eq!(
            meta.duplicate_trackers, 0,
            "a piece of a reply was sent twice"
        );
        assert_eq!(meta.untracked, 0);
    }

    async fn wait_for_answers(&self, world: &World) {
        let deadline = Instant::now() + PATIENCE;
        let expected = self.messages_each as usize;
        while (0..self.people).any(|person| answers(world, person).len() < expected) {
            if Instant::now() > deadline {
                let heard: usize = (0..self.people).map(|p| answers(world, p).len()).sum();
                let all = self.people * self.messages_each;
                let (meta, troubles) = (world.meta.stats(), world.troubles());
                panic!("{heard} of {all} answers after {PATIENCE:?}: {meta:?}\n{troubles}");
            }
            sleep(Duration::from_millis(200)).await;
        }
    }
}

fn answers(world: &World, person: u32) -> Vec<String> {
    let chat = world.meta.chat(&number(person));
    let heard = chat.received_texts().into_iter();
    heard
        .filter(|text| text.starts_with("echo: "))
        .map(str::to_owned)
        .collect()
}

fn number(person: u32) -> String {
    format!("4915150{person:06}")
}

fn text(person: u32, message: u32) -> String {
    format!("person {person} says {message}")
}
