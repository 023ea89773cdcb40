//! Sandboxes of many people start, sleep, wake, crash, hang and are removed at random, while the engine and the services
//! fail.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use claw_bus::{Bus, BusConfig, Publisher};
use claw_docker::VolumeName;
use claw_domain::SandboxStatus;
use claw_events::{SandboxOrder, SandboxOrdered};
use claw_store::Store;
use e2e::harness::{Sandboxes, Service, World, user_of};
use futures_util::future::join_all;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use sim_docker::{ContainerStatus, EngineFaults, SimDockerConfig, Starts};
use sim_meta::SimMeta;
use sim_openclaw::{EventDetail, SimOpenClawConfig};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::above;
use crate::crowd::{Crowd, is_answer, number};

/// Pause between two checks whether the storm is over for everybody.
const POLL_PAUSE: Duration = Duration::from_millis(500);

/// Pause between two lines about what is not well yet.
const TELL_EVERY: Duration = Duration::from_secs(10);

struct Storm {
    people: u32,
    lasts: Duration,
    /// Longest time until everybody is answered afterwards, and all that was for other sandboxes is gone.
    settles_within: Duration,
    /// A person's pauses between two actions, in milliseconds.
    pause_ms: Range<u64>,
    /// Whether containers hang, too, which is noticed after a minute.
    has_hangs: bool,
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_to_their_sandboxes_everybody_is_answered_once_and_nothing_is_left_over() {
    let storm = Storm {
        people: 30,
        lasts: Duration::from_secs(15),
        settles_within: Duration::from_mins(2),
        pause_ms: 200..2_000,
        has_hangs: false,
    };

    storm.passes().await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: ./dev soak"]
async fn soak_a_thousand_sandboxes_for_five_minutes() {
    let storm = Storm {
        people: 1_000,
        lasts: Duration::from_mins(5),
        settles_within: Duration::from_mins(4),
        pause_ms: 5_000..60_000,
        has_hangs: true,
    };

    storm.passes().await;
}

impl Storm {
    async fn passes(&self) {
        let seed: u64 = rand::random();
        eprintln!("seed {seed}");
        let mut world = self.world().await;
        let (operator, meta) = (Operator::of(&world).await, Arc::clone(&world.meta));
        let until = Instant::now() + self.lasts;
        let acting = (0..self.people).map(|index| {
            let random = StdRng::seed_from_u64(seed.wrapping_add(u64::from(index) + 1));
            self.act(number(index), &meta, &operator, random, until)
        });

        let (written, ()) = tokio::join!(
            join_all(acting),
            self.fail(&mut world, StdRng::seed_from_u64(seed), until)
        );
        self.settle(&world, &written).await;
    }

    async fn world(&self) -> World {
        let mut options = Crowd::options();
        options.sandboxes = Sandboxes::SimulatedEngine(SimDockerConfig {
            starts: Starts::Run {
                listen_ms: 60,
                ready_ms: 40,
            },
            openclaw: SimOpenClawConfig {
                events: EventDetail::Terse,
                ..SimOpenClawConfig::default()
            },
            ..SimDockerConfig::default()
        });
        for (name, value) in [
            ("RECONCILE_SECONDS", "1"),
            ("SANDBOX_STARTS_AT_ONCE", "16"),
            ("SLEEP_AFTER_SECONDS", "1"),
            ("STILL_WAKING_SECONDS", "3600"),
        ] {
            options.variables.push((name, value.to_owned()));
        }
        World::start(options).await.unwrap()
    }

    /// Lets a person write, and an operator give orders for the person's sandbox. Returns who wrote how many messages.
    async fn act(
        &self,
        person: String,
        meta: &SimMeta,
        operator: &Operator,
        mut random: StdRng,
        until: Instant,
    ) -> (String, usize) {
        let mut written = 0;
        loop {
            let pause = Duration::from_millis(random.random_range(self.pause_ms.clone()));
            if Instant::now() + pause >= until {
                return (person, written);
            }
            sleep(pause).await;
            if written == 0 || random.random_ratio(6, 10) {
                meta.write(&person, &mark(written)).unwrap();
                written += 1;
                continue;
            }
            let order = match random.random_range(0..10) {
                0..4 => SandboxOrder::Sleep,
                4..6 => SandboxOrder::Wake,
                6..9 => SandboxOrder::Restart,
                _ => SandboxOrder::Remove,
            };
            operator.orders(&person, order).await;
        }
    }

    /// Lets containers, the engine and the services fail, one after the other.
    async fn fail(&self, world: &mut World, mut random: StdRng, until: Instant) {
        while Instant::now() < until {
            sleep(Duration::from_millis(random.random_range(100..1_500))).await;
            let engine = world.engine.as_ref().unwrap();
            match random.random_range(0..10) {
                0..2 => {
                    if let Some(volume) = running(world).choose(&mut random) {
                        engine.crash(volume, 137).await;
                    }
                }
                2 => {
                    let running = running(world);
                    if let Some(volume) = running.choose(&mut random).filter(|_| self.has_hangs) {
                        engine.hang(volume);
                    }
                }
                3 => engine.set_faults(EngineFaults {
                    failing: Some(true),
                    ..EngineFaults::default()
                }),
                4 => engine.set_faults(EngineFaults {
                    lost_answers: Some(5),
                    ..EngineFaults::default()
                }),
                5 => engine.set_faults(EngineFaults {
                    phantom_ports: Some(above(&engine.ports())),
                    latency_ms: Some(200),
                    ..EngineFaults::default()
                }),
                6 => {
                    engine.go_down().await;
                    sleep(Duration::from_secs(1)).await;
                    engine.come_up().await.unwrap();
                }
                7..9 => kill(world, Service::Provisioner, &mut random).await,
                _ => kill(world, Service::Gateway, &mut random).await,
            }
            if random.random_ratio(1, 2) {
                world.engine.as_ref().unwrap().clear_faults();
            }
        }
        world.engine.as_ref().unwrap().clear_faults();
    }

    /// Waits until everybody is answered, and no more exists than everybody's sandbox.
    async fn settle(&self, world: &World, written: &[(String, usize)]) {
        let store = Store::connect(&world.postgres.url().into(), 2)
            .await
            .unwrap();
        for (person, written) in written {
            world.meta.write(person, &mark(*written)).unwrap();
        }
        let began = Instant::now();
        let (deadline, mut told) = (began + self.settles_within, began);
        loop {
            let mut wrong = Vec::new();
            for (person, written) in written {
                wrong.extend(unanswered(world, &store, person, *written).await);
            }
            if wrong.is_empty() {
                wrong.extend(left_over(world, &store, written).await);
            }
            if wrong.is_empty() {
                break;
            }
            assert!(
                Instant::now() < deadline,
                "{} faults, such as {:#?}\n{}",
                wrong.len(),
                &wrong[..wrong.len().min(10)],
                world.recent_warnings()
            );
            if told.elapsed() > TELL_EVERY {
                told = Instant::now();
                eprintln!("after {:.1?}: {:#?}", began.elapsed(), wrong.first());
            }
            sleep(POLL_PAUSE).await;
        }
        let stats = world.engine.as_ref().unwrap().stats();
        eprintln!("all well after {:.1?}: {stats:?}", began.elapsed());
        assert_eq!(stats.shared_volumes, []);
        for (person, written) in written {
            assert_eq!(answered(world, person), (0..=*written).collect::<Vec<_>>());
        }
    }
}

/// Gives orders, as `clawkaka sandbox` does.
struct Operator {
    store: Store,
    publisher: Publisher,
}

impl Operator {
    async fn of(world: &World) -> Self {
        let config = BusConfig {
            url: world.nats.url("admin").into(),
            service: "admin",
        };
        let url = world.postgres.url().into();
        Self {
            store: Store::connect(&url, 4).await.unwrap(),
            publisher: Bus::connect(&config).await.unwrap().publisher(),
        }
    }

    async fn orders(&self, person: &str, order: SandboxOrder) {
        let user = user_of(person).unwrap();
        let Some(sandbox) = self.store.sandboxes().of_user(user).await.unwrap() else {
            return;
        };
        let ordered = SandboxOrdered {
            user,
            order,
            start: sandbox.start,
            id: Uuid::new_v4(),
        };
        self.publisher.publish(&ordered).await.unwrap();
    }
}

/// Kills a service for up to two seconds.
async fn kill(world: &mut World, service: Service, random: &mut impl Rng) {
    world.kill(service).await.unwrap();
    sleep(Duration::from_millis(random.random_range(0..2_000))).await;
    // A provisioner without its engine is not ready.
    world.engine.as_ref().unwrap().clear_faults();
    world.restart(service).await.unwrap();
}

/// The volumes of the running containers.
fn running(world: &World) -> Vec<String> {
    let containers = world.engine.as_ref().unwrap().containers().into_iter();
    let running = containers.filter(|container| container.status == ContainerStatus::Running);
    running.map(|container| container.volume).collect()
}

fn mark(message: usize) -> String {
    format!("<{message}>")
}

/// The numbers of the messages that were answered, in the order of the answers.
fn answered(world: &World, person: &str) -> Vec<usize> {
    let chat = world.meta.chat(person);
    let answers = chat.received_texts().into_iter();
    let answers = answers.filter(|said| is_answer(said));
    answers
        .flat_map(|said| said.split('<').skip(1))
        .map(|mark| mark.split('>').next().unwrap().parse().unwrap())
        .collect()
}

async fn unanswered(world: &World, store: &Store, person: &str, last: usize) -> Option<String> {
    let answered: BTreeSet<_> = answered(world, person).into_iter().collect();
    let missing: Vec<_> = (0..=last).filter(|mark| !answered.contains(mark)).collect();
    if missing.is_empty() {
        return None;
    }
    let row = store.sandboxes().of_user(user_of(person).unwrap()).await;
    Some(format!("{person} has no answer to {missing:?}: {row:?}"))
}

/// What does not agree with the people's rows.
async fn left_over(world: &World, store: &Store, people: &[(String, usize)]) -> Vec<String> {
    let mut rows = BTreeMap::new();
    for (person, _) in people {
        let row = store.sandboxes().of_user(user_of(person).unwrap()).await;
        let row = row.unwrap().unwrap();
        // An order may be carried out after the last answer.
        if row.status != SandboxStatus::Removed {
            rows.insert(VolumeName::of(row.id).to_string(), row.status);
        }
    }
    let engine = world.engine.as_ref().unwrap();
    let mut wrong = Vec::new();
    for container in engine.containers() {
        let status = rows.get(&container.volume);
        if status != Some(&SandboxStatus::Ready) || container.status != ContainerStatus::Running {
            wrong.push(format!("{container:?} of a row that is {status:?}"));
        }
    }
    let with_container: BTreeSet<_> = running(world).into_iter().collect();
    for (volume, status) in &rows {
        let is_awake = *status == SandboxStatus::Ready && with_container.contains(volume);
        if !is_awake && *status != SandboxStatus::Asleep {
            wrong.push(format!("{volume} is {status:?}"));
        }
    }
    let volumes: BTreeSet<_> = engine.volumes().into_iter().collect();
    let keys = world.openrouter.as_ref().unwrap().key_names();
    if !volumes.iter().eq(rows.keys()) || keys.len() != rows.len() {
        let (volumes, keys, rows) = (volumes.len(), keys.len(), rows.len());
        wrong.push(format!(
            "{rows} people have {volumes} volumes and {keys} keys"
        ));
    }
    wrong
}
