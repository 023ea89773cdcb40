//! Assistants that sleep while nobody uses them. The tests carry out what the gateway asks of the provisioner: to let an
//! idle sandbox sleep, and to wake it for a job or a heartbeat.

pub(crate) mod real_assistant;

use std::{sync::Arc, time::Duration};

use async_nats::{
    ConnectOptions, ServerAddr,
    jetstream::{self, context::ContextBuilder},
};
use chrono::{DateTime, TimeDelta, Utc};
use claw_bus::{Bus, BusConfig};
use claw_chat::Notice;
use claw_domain::{SandboxStatus, UserId, WakeReason};
use claw_events::{
    Event, SandboxAsleep, SandboxIdle, SandboxOrder, SandboxOrdered, SandboxRequested,
    stored_filter_of,
};
use claw_metrics::{SLEEPS, USERS_ACTIVE};
use claw_runtime::{Clock, SystemClock};
use claw_store::{Host, Sandbox, Store, Wake};
use claw_testkit::eventually;
use e2e::harness::{Service, World, user_of};
use sim_openclaw::{Behaviour, Heartbeat, PlannedJob, Restart, SimOpenClaw};
use sim_twilio::{Call, CallerIdentity};
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    calls::{PHRASES, chat_has, hears, say, write},
    crowd::Crowd,
};

const ADA: &str = "491515550001";
const BOB: &str = "491515550002";
const CLARA: &str = "491515550003";

/// The host of the sandboxes, as `SANDBOX_HOST` defaults to it.
const HOST: &str = "local";

/// A stop of a sandbox, which is up again by the time at which it is started.
const STOP: Restart = Restart {
    down_ms: 10,
    ..Restart::GRACEFUL
};

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeper_answers_a_message_once_and_a_caller_is_greeted_at_once_and_put_through() {
    let mut night =
        Night::begin(&[("SLEEP_AFTER_SECONDS", "1"), ("STILL_WAKING_SECONDS", "3")]).await;
    for number in [ADA, BOB, CLARA] {
        write(&night.world, number, "hi", "echo: hi").await;
    }
    for number in [ADA, BOB, CLARA] {
        night.falls_asleep(number).await;
    }
    night.costs_nothing().await;

    write(&night.world, ADA, "good morning", "echo: good morning").await;
    night.world.kill(Service::Provisioner).await.unwrap();
    let waking = Notice::WakingUp.text();
    write(&night.world, BOB, "are you awake", &waking).await;
    let earlier = night.last::<SandboxRequested>(CLARA).await;
    let call = night.dial(CLARA);
    hears(&call, PHRASES.setting_up).await;
    let is_requested = || async { night.last::<SandboxRequested>(CLARA).await != earlier };
    eventually(
        "the call requests the sandbox before a word is said",
        is_requested,
    )
    .await;
    night.world.restart(Service::Provisioner).await.unwrap();
    hears(&call, PHRASES.greeting).await;
    say(&call, "what is on today", "echo: what is on today").await;
    call.hang_up();
    chat_has(&night.world, BOB, "echo: are you awake").await;

    assert_eq!(night.texts(ADA), ["echo: hi", "echo: good morning"]);
    assert_eq!(
        night.texts(BOB),
        ["echo: hi", &waking, "echo: are you awake"]
    );
    let gateway = Service::Gateway.replica(0);
    let sleeps = night.world.metric_of(gateway, SLEEPS.name()).await;
    assert!(sleeps >= Some(3.0), "{sleeps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assistant_woken_for_a_job_or_a_heartbeat_has_done_it_before_it_sleeps_again() {
    let night = Night::begin(&[("SLEEP_AFTER_SECONDS", "1")]).await;
    let openclaw = Arc::clone(&night.openclaw);
    let alert = Behaviour {
        heartbeat: Heartbeat::Alert("Take an umbrella.".to_owned()),
        ..Behaviour::default()
    };
    openclaw.set_behaviour(Some(&night.assistant(BOB)), alert);
    for number in [ADA, BOB] {
        write(&night.world, number, "hi", "echo: hi").await;
    }
    let due = SystemClock.now() + TimeDelta::minutes(5);
    night.plan(ADA, "Call mum.", due);

    let idle = night
        .falls_asleep_after(ADA, |idle| idle.needed_for == Some(WakeReason::Job))
        .await;
    night.wakes(ADA, WakeReason::Job).await;
    // The assistant is ready ahead of the job.
    night.plan(
        ADA,
        "Water the plants.",
        SystemClock.now() + TimeDelta::seconds(2),
    );
    night.falls_asleep(BOB).await;
    night.wakes(BOB, WakeReason::Heartbeat).await;
    chat_has(&night.world, ADA, "Water the plants.").await;
    chat_has(&night.world, BOB, "Take an umbrella.").await;
    for number in [ADA, BOB] {
        night.falls_asleep(number).await;
    }

    assert_eq!(
        idle.needed_at.map(|at| at.timestamp_millis()),
        Some(due.timestamp_millis())
    );
    assert_eq!(night.texts(ADA), ["echo: hi", "Water the plants."]);
    assert_eq!(night.texts(BOB), ["echo: hi", "Take an umbrella."]);
    let stats = openclaw.stats_of(&night.assistant(BOB));
    assert_eq!(stats.heartbeats, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_puts_an_assistant_to_sleep_unless_its_jobs_are_unknown() {
    let night = Night::begin(&[("SLEEP_AFTER_SECONDS", "3600")]).await;
    let silent = Behaviour {
        refuses: Some("cron.list".to_owned()),
        ..Behaviour::default()
    };
    night
        .openclaw
        .set_behaviour(Some(&night.assistant(BOB)), silent);
    for number in [ADA, BOB] {
        write(&night.world, number, "hi", "echo: hi").await;
    }

    for number in [BOB, ADA] {
        let order = SandboxOrdered {
            user: user_of(number).unwrap(),
            order: SandboxOrder::Sleep,
            start: 1,
            id: Uuid::new_v4(),
        };
        night.publish(&order).await;
    }

    night.falls_asleep(ADA).await;
    let is_warned = || async {
        night
            .world
            .recent_warnings()
            .contains("did not list its jobs")
    };
    eventually("the gateway says why it stays awake", is_warned).await;
    assert!(night.last::<SandboxIdle>(BOB).await.is_none());
    write(&night.world, BOB, "still there", "echo: still there").await;
}

/// The provisioner stops the sandbox whenever it is reported idle, and the user writes all the time: between the report
/// and the row, between the row and the stop, while it sleeps, and two messages at once.
#[tokio::test(flavor = "multi_thread")]
async fn messages_around_the_moment_of_falling_asleep_are_each_answered_once_and_in_order() {
    const ROUNDS: u64 = 30;
    let night = Night::begin(&[("SLEEP_AFTER_SECONDS", "0")]).await;
    write(&night.world, ADA, "hi", "echo: hi").await;

    let writing = async {
        for round in 0..ROUNDS {
            night
                .world
                .meta
                .write(ADA, &format!("<{}>", 2 * round))
                .unwrap();
            if round % 3 == 0 {
                sleep(Duration::from_millis(5)).await;
            }
            night
                .world
                .meta
                .write(ADA, &format!("<{}>", 2 * round + 1))
                .unwrap();
            sleep(Duration::from_millis(37 * (round % 7))).await;
        }
        chat_has(&night.world, ADA, &format!("<{}>", 2 * ROUNDS - 1)).await;
    };
    let mut sleeps = 0;
    tokio::select! {
        () = writing => {}
        () = async {
            loop {
                sleeps += u32::from(night.try_to_sleep(ADA, Duration::from_millis(u64::from(sleeps % 4) * 10)).await);
                sleep(Duration::from_millis(3)).await;
            }
        } => {}
    }

    let answers = night.texts(ADA).join(" ");
    let answered: Vec<u64> = answers
        .split('<')
        .skip(1)
        .map(|piece| piece.split('>').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(answered, (0..2 * ROUNDS).collect::<Vec<_>>(), "{answers}");
    assert!(sleeps > 0, "it never slept");
    assert_eq!(night.openclaw.stats().answered_again, 0);
}

/// A world in which the test lets sandboxes sleep and wakes them.
struct Night {
    world: World,
    openclaw: Arc<SimOpenClaw>,
    store: Store,
    bus: Bus,
    /// The streams of the provisioner's account.
    streams: jetstream::Context,
}

impl Night {
    async fn begin(variables: &[(&'static str, &str)]) -> Self {
        let mut options = Crowd::options_of_gateways(1);
        for (name, value) in variables {
            options.variables.push((name, (*value).to_owned()));
        }
        options
            .variables
            .push(("RECONCILE_SECONDS", "1".to_owned()));
        let world = World::start(options).await.unwrap();
        let config = BusConfig {
            url: world.nats.url("provisioner").into(),
            service: "provisioner",
        };
        let server: ServerAddr = world.nats.url("admin").parse().unwrap();
        let (user, password) = (server.username().unwrap(), server.password().unwrap());
        let login = ConnectOptions::with_user_and_password(user.into(), password.into());
        let admin = login.connect(server).await.unwrap();
        Self {
            openclaw: world.openclaw.clone().unwrap(),
            store: Store::connect(&world.postgres.url().into(), 2)
                .await
                .unwrap(),
            bus: Bus::connect(&config).await.unwrap(),
            streams: ContextBuilder::new()
                .api_prefix("js.provisioner")
                .build(admin),
            world,
        }
    }

    fn assistant(&self, number: &str) -> String {
        self.world.assistant_of(number).unwrap()
    }

    fn texts(&self, number: &str) -> Vec<String> {
        let chat = self.world.meta.chat(number);
        let texts = chat.received_texts().into_iter();
        let setting_up = Notice::SettingUp.text();
        texts
            .filter(|text| **text != *setting_up)
            .map(str::to_owned)
            .collect()
    }

    fn plan(&self, number: &str, text: &str, at: DateTime<Utc>) {
        let job = PlannedJob {
            text: text.to_owned(),
            at_ms: at.timestamp_millis(),
            every_ms: None,
        };
        self.openclaw.plan(&self.assistant(number), job);
    }

    fn dial(&self, number: &str) -> Call {
        let caller = CallerIdentity::attested(&format!("+{number}"));
        self.world.twilio.call(caller)
    }

    async fn publish<E: Event>(&self, event: &E) {
        self.bus.publisher().publish(event).await.unwrap();
    }

    /// The latest event of this type about a user.
    async fn last<E: Event>(&self, number: &str) -> Option<E> {
        let subject = stored_filter_of::<E>(user_of(number).unwrap());
        let stream = self.streams.get_stream("SANDBOX").await.unwrap();
        let message = stream
            .get_last_raw_message_by_subject(&subject)
            .await
            .ok()?;
        Some(serde_json::from_slice(&message.payload).unwrap())
    }

    async fn row(&self, user: UserId) -> Sandbox {
        self.store.sandboxes().of_user(user).await.unwrap().unwrap()
    }

    /// Waits until the sandbox is reported idle, and lets it sleep.
    async fn falls_asleep(&self, number: &str) -> SandboxIdle {
        self.falls_asleep_after(number, |_| true).await
    }

    async fn falls_asleep_after(
        &self,
        number: &str,
        is_meant: impl Fn(&SandboxIdle) -> bool,
    ) -> SandboxIdle {
        let is_asleep = || async {
            let idle = self.last::<SandboxIdle>(number).await;
            idle.is_some_and(|idle| is_meant(&idle))
                && self.try_to_sleep(number, Duration::ZERO).await
        };
        eventually(&format!("{number} falls asleep"), is_asleep).await;
        self.last(number).await.unwrap()
    }

    /// Lets a sandbox sleep, if it was reported idle in its start: the row first, then, after `pause`, the container.
    async fn try_to_sleep(&self, number: &str, pause: Duration) -> bool {
        let Some(idle) = self.last::<SandboxIdle>(number).await else {
            return false;
        };
        let row = self.row(idle.user).await;
        let sandboxes = self.store.sandboxes();
        let wake = idle
            .needed_at
            .zip(idle.needed_for)
            .map(|(at, reason)| Wake { at, reason });
        if row.start != idle.start
            || !sandboxes
                .fall_asleep(
                    row.current_start(),
                    wake,
                    SystemClock.now(),
                    SystemClock.now(),
                )
                .await
                .unwrap()
        {
            return false;
        }
        sleep(pause).await;
        self.openclaw.restart(Some(&self.assistant(number)), &STOP);
        let asleep = SandboxAsleep {
            user: idle.user,
            sandbox: row.id,
            start: row.start,
        };
        self.publish(&asleep).await;
        true
    }

    /// Wakes a sandbox as if its time had come.
    async fn wakes(&self, number: &str, reason: WakeReason) {
        let user = user_of(number).unwrap();
        let (sandboxes, now) = (self.store.sandboxes(), SystemClock.now());
        assert_eq!(self.row(user).await.wake_for, Some(reason));
        let host = Host {
            name: HOST.to_owned(),
            engine: None,
        };
        let until = now + TimeDelta::days(2);
        let sleepers = sandboxes.sleepers(&host, until, 100).await.unwrap();
        let sleepers: Vec<_> = sleepers.iter().map(|sleeper| sleeper.id).collect();
        let woken = sandboxes.wake_due(&host, &sleepers, 100, now).await;
        assert!(!woken.unwrap().is_empty());
        let is_ready = || async { self.row(user).await.status == SandboxStatus::Ready };
        eventually(&format!("{number} is awake"), is_ready).await;
    }

    /// Waits until the gateway has neither a connection nor memory for any user.
    async fn costs_nothing(&self) {
        let gateway = Service::Gateway.replica(0);
        let is_nothing = || async {
            let actors = self.world.metric_of(gateway, USERS_ACTIVE.name()).await;
            self.openclaw.stats().connections == 0 && actors == Some(0.0)
        };
        eventually("sleepers cost the gateway nothing", is_nothing).await;
    }
}
