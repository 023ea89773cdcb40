//! The real gateway and the real provisioner let assistants sleep and wake them, in simulated containers.

use std::{collections::BTreeSet, time::Duration};

use chrono::TimeDelta;
use claw_domain::{SandboxStatus, WakeReason};
use claw_runtime::{Clock, SystemClock};
use claw_store::{Host, Sandbox, Store};
use claw_testkit::eventually;
use e2e::harness::{Service, World, user_of};
use sim_openclaw::PlannedJob;
use sim_twilio::CallerIdentity;
use tokio::time::sleep;

use super::{is_answered, options};
use crate::{
    calls::{self, PHRASES, chat_has, say},
    crowd::{is_answer, number},
};

/// The host of the sandboxes, as the harness names it.
const HOST: &str = "e2e-test";

#[tokio::test(flavor = "multi_thread")]
async fn sleepers_keep_only_their_volume_and_wake_for_a_message_a_call_and_a_job() {
    let house = House::begin("2").await;
    let people = [0, 1, 2].map(number);
    let [ada, bob, cyd] = people.each_ref().map(String::as_str);
    for person in [ada, bob, cyd] {
        is_answered(&house.world, person, "hi").await;
    }
    house.plan(bob, "Call mum.", TimeDelta::minutes(9)).await;
    is_answered(&house.world, bob, "remind me").await;

    house.all_sleep(&people).await;

    assert_eq!(house.volumes(), house.volumes_of(&people).await);
    let row = house.row(bob).await;
    assert_eq!(row.wake_for, Some(WakeReason::Job), "{row:?}");

    is_answered(&house.world, ada, "good morning").await;
    let caller = CallerIdentity::attested(&format!("+{cyd}"));
    let call = house.world.twilio.call(caller);
    calls::hears(&call, PHRASES.greeting).await;
    say(&call, "what is on today", "echo: what is on today").await;
    call.hang_up();
    house.time_comes_for(bob).await;
    house
        .plan(bob, "Water the plants.", TimeDelta::seconds(1))
        .await;
    chat_has(&house.world, bob, "Water the plants.").await;

    house.all_sleep(&people).await;
    assert_eq!(house.volumes(), house.volumes_of(&people).await);
    let chat = house.world.meta.chat(bob);
    let texts = chat.received_texts().into_iter();
    let watered = texts.filter(|text| text.contains("Water the plants."));
    assert_eq!(watered.count(), 1);
    for person in people {
        is_answered(&house.world, &person, "good night").await;
    }
}

/// The assistant is put to sleep whenever it is idle, its person writes all the time, and the provisioner dies.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_writes_while_their_assistant_falls_asleep_is_answered_once_and_in_order() {
    const ROUNDS: u64 = 24;
    let mut house = House::begin("0").await;
    let ada = number(0);
    is_answered(&house.world, &ada, "hi").await;

    for round in 0..ROUNDS {
        house.write(&ada, 2 * round);
        sleep(Duration::from_millis(47 * (round % 7))).await;
        if round % 8 == 5 {
            house.world.kill(Service::Provisioner).await.unwrap();
            house.write(&ada, 2 * round + 1);
            house.world.restart(Service::Provisioner).await.unwrap();
        } else {
            house.write(&ada, 2 * round + 1);
        }
        // Every other pair meets an assistant that is asleep or about to be.
        if round % 2 == 0 {
            chat_has(&house.world, &ada, &mark(2 * round + 1)).await;
            sleep(Duration::from_millis(19 * round)).await;
        }
    }
    chat_has(&house.world, &ada, &mark(2 * ROUNDS - 1)).await;

    assert_eq!(house.answered(&ada), (0..2 * ROUNDS).collect::<Vec<_>>());
    let volume = house.volumes_of(std::slice::from_ref(&ada)).await;
    let engine = house.world.engine.as_ref().unwrap();
    let starts = engine.starts_of(volume.first().unwrap());
    assert!(starts > 3, "it slept only {starts} times");
    assert_eq!(engine.stats().shared_volumes, []);
    house.all_sleep(&[ada]).await;
    assert_eq!(house.volumes(), volume);
}

/// A world whose assistants fall asleep soon.
struct House {
    world: World,
    store: Store,
}

impl House {
    async fn begin(sleep_after_seconds: &str) -> Self {
        let mut options = options();
        let sleep_after = ("SLEEP_AFTER_SECONDS", sleep_after_seconds.to_owned());
        options.variables.push(sleep_after);
        let world = World::start(options).await.unwrap();
        let url = world.postgres.url().into();
        Self {
            store: Store::connect(&url, 2).await.unwrap(),
            world,
        }
    }

    fn write(&self, person: &str, round: u64) {
        self.world.meta.write(person, &mark(round)).unwrap();
    }

    /// The numbers of the messages that were answered, in the order of the answers.
    fn answered(&self, person: &str) -> Vec<u64> {
        let chat = self.world.meta.chat(person);
        let texts = chat.received_texts().into_iter();
        let answers: Vec<_> = texts.filter(|said| is_answer(said)).collect();
        let marks = answers.iter().flat_map(|said| said.split('<').skip(1));
        marks
            .map(|mark| mark.split('>').next().unwrap().parse().unwrap())
            .collect()
    }

    async fn row(&self, person: &str) -> Sandbox {
        let user = user_of(person).unwrap();
        self.store.sandboxes().of_user(user).await.unwrap().unwrap()
    }

    async fn plan(&self, person: &str, text: &str, after: TimeDelta) {
        let volume = self.world.volume_of(person).await.unwrap().unwrap();
        let job = PlannedJob {
            text: text.to_owned(),
            at_ms: (SystemClock.now() + after).timestamp_millis(),
            every_ms: None,
        };
        self.world.openclaw.as_ref().unwrap().plan(&volume, job);
    }

    /// Waits until all these people's rows say that they sleep, and no container is left.
    async fn all_sleep(&self, people: &[String]) {
        let engine = self.world.engine.as_ref().unwrap();
        let is_quiet = async || {
            for person in people {
                if self.row(person).await.status != SandboxStatus::Asleep {
                    return false;
                }
            }
            engine.containers().is_empty() && engine.ports().is_empty()
        };
        eventually("everybody's assistant sleeps", is_quiet).await;
    }

    /// Lets the time come for which this person's assistant is to be woken.
    async fn time_comes_for(&self, person: &str) {
        let host = Host {
            name: HOST.to_owned(),
            engine: self.row(person).await.engine,
        };
        let (sandboxes, now) = (self.store.sandboxes(), SystemClock.now());
        let until = now + TimeDelta::minutes(10);
        let sleepers = sandboxes.sleepers(&host, until, 100).await.unwrap();
        let sleepers: Vec<_> = sleepers.iter().map(|sleeper| sleeper.id).collect();
        let woken = sandboxes
            .wake_due(&host, &sleepers, 100, now)
            .await
            .unwrap();
        let woken: Vec<_> = woken.iter().map(|row| row.user).collect();
        assert_eq!(woken, [user_of(person).unwrap()]);
        let is_ready = async || self.row(person).await.status == SandboxStatus::Ready;
        eventually("the assistant is awake ahead of its job", is_ready).await;
    }

    fn volumes(&self) -> BTreeSet<String> {
        let engine = self.world.engine.as_ref().unwrap();
        engine.volumes().into_iter().collect()
    }

    async fn volumes_of(&self, people: &[String]) -> BTreeSet<String> {
        let mut volumes = BTreeSet::new();
        for person in people {
            volumes.insert(self.world.volume_of(person).await.unwrap().unwrap());
        }
        volumes
    }
}

fn mark(round: u64) -> String {
    format!("<{round}>")
}
