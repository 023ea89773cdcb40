//! Several replicas of every service, and each fails under load.

use std::{sync::Arc, time::Duration};

use e2e::harness::{Options, Replica, Service, World};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::crowd::Crowd;

/// The number of replicas of each service.
const REPLICAS: [(Service, usize); 4] = [
    (Service::Ingress, 3),
    (Service::Provisioner, 2),
    (Service::Gateway, 3),
    (Service::Outbound, 2),
];

/// 200 users, 6,000 messages, 100 per second: one minute, in which containers fail and restart 20 times.
const CROWD: Crowd = Crowd {
    messages_each: 30,
    ..Crowd::USUAL
};

/// [`CROWD`] for two minutes.
const LASTING_CROWD: Crowd = Crowd {
    messages_each: 60,
    ..Crowd::USUAL
};

/// How long a server is down.
const OUTAGE: Duration = Duration::from_secs(2);

/// The statuses that Meta may see: 200, and those of Caddy and of an ingress that cannot store the message, after
/// which Meta repeats the webhook.
const ANSWERS: [u16; 3] = [200, 502, 503];

/// Stands for no answer, in [`sim_meta::WebhookStats::answers`].
const NO_ANSWER: u16 = 0;

#[tokio::test(flavor = "multi_thread")]
async fn every_user_is_answered_once_and_in_order_by_several_replicas_of_each_service() {
    let world = world().await;

    Crowd::USUAL.write(&world.meta).await;

    Crowd::USUAL.verify(&world).await;
    print_memory(&world, "after the load");
    assert_answers(&world, &ANSWERS);
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_and_restarting_every_replica_under_load_loses_and_doubles_nothing() {
    let mut world = world().await;

    write_during(&CROWD, &mut world, &failures_of_replicas()).await;

    CROWD.verify(&world).await;
    print_memory(&world, "after the load");
    assert_answers(&world, &ANSWERS);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: ./dev soak"]
async fn soak_every_replica_and_server_fails_within_two_minutes_of_load() {
    let mut world = world().await;
    let mut failures = failures_of_replicas();
    failures.extend([Failure::Nats, Failure::Postgres, Failure::Caddy]);

    write_during(&LASTING_CROWD, &mut world, &failures).await;

    LASTING_CROWD.verify(&world).await;
    print_memory(&world, "after the load");
    assert_answers(&world, &[&ANSWERS[..], &[NO_ANSWER]].concat());
}

/// What fails, and starts again.
#[derive(Debug, Clone, Copy)]
enum Failure {
    /// A replica is killed and restarted.
    Kill(Replica),
    /// A replica is stopped and restarted, as in an update.
    Update(Replica),
    Nats,
    Postgres,
    Caddy,
}

/// First each replica is killed, then each is updated.
fn failures_of_replicas() -> Vec<Failure> {
    let replicas = REPLICAS
        .into_iter()
        .flat_map(|(service, count)| (0..count).map(move |number| service.replica(number)));
    let killed = replicas.clone().map(Failure::Kill);
    killed.chain(replicas.map(Failure::Update)).collect()
}

async fn world() -> World {
    let world = World::start(Options {
        replicas: REPLICAS.into(),
        ..Crowd::options_of_gateways(1)
    })
    .await
    .unwrap();
    print_memory(&world, "before the load");
    world
}

/// Lets the crowd write while one failure after the other happens, evenly spread over that time.
async fn write_during(crowd: &Crowd, world: &mut World, failures: &[Failure]) {
    let meta = Arc::clone(&world.meta);
    let seconds = crowd.users * crowd.messages_each / crowd.per_second;
    let pause = Duration::from_secs(seconds.into()) / u32::try_from(failures.len() + 1).unwrap();
    let began = Instant::now();
    let failing = async {
        let mut ticks = interval(pause);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.tick().await;
        for failure in failures {
            ticks.tick().await;
            let failed = Instant::now();
            cause(world, *failure).await;
            eprintln!("{failure:?}: over after {:?}", failed.elapsed());
        }
        eprintln!("the last failure was over after {:?}", began.elapsed());
    };
    let writing = async {
        crowd.write(&meta).await;
        eprintln!("the last message was written after {:?}", began.elapsed());
    };

    tokio::join!(writing, failing);
}

/// Lets a part fail, and waits until it works again.
async fn cause(world: &mut World, failure: Failure) {
    match failure {
        Failure::Kill(replica) => {
            world.kill(replica).await.unwrap();
            world.restart(replica).await.unwrap();
        }
        Failure::Update(replica) => {
            assert!(
                world.stop(replica).await.unwrap(),
                "{replica} ended with an error"
            );
            world.restart(replica).await.unwrap();
        }
        Failure::Nats => {
            world.nats.kill().await.unwrap();
            sleep(OUTAGE).await;
            world.nats.start_again().await.unwrap();
        }
        Failure::Postgres => {
            world.postgres.stop().await.unwrap();
            sleep(OUTAGE).await;
            world.postgres.start_again().await.unwrap();
        }
        Failure::Caddy => {
            world.kill_caddy().await.unwrap();
            sleep(OUTAGE).await;
            world.restart_caddy().await.unwrap();
        }
    }
}

fn assert_answers(world: &World, allowed: &[u16]) {
    let webhooks = world.meta.stats().webhooks;
    let statuses = webhooks.answers.keys();
    let others: Vec<&u16> = statuses
        .filter(|status| !allowed.contains(status))
        .collect();
    assert!(others.is_empty(), "Meta saw {:?}", webhooks.answers);
    assert_eq!(webhooks.given_up, 0, "Meta gave webhooks up");
}

fn print_memory(world: &World, moment: &str) {
    eprintln!("memory {moment}:");
    for (name, used) in world.memory().unwrap() {
        eprintln!("  {name:<16} {used}");
    }
}
