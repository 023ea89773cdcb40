use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::anyhow;
use async_nats::jetstream::{self, kv};
use claw_bus::{HandlerError, Share, ensure};
use claw_domain::UserId;
use claw_events::{PARTITIONS, Stream, partition_of, partition_of_subject};
use claw_testkit::eventually;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use crate::{
    wire::Wire,
    world::{Recorder, Replica, World, connect, connect_through, request, run},
};

/// Shorter than a lease: what happens within it was said, not noticed by silence.
const AT_ONCE: Duration = Duration::from_millis(1_500);

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_partitions_and_a_newcomer_has_its_part_soon() {
    let world = World::new().await;
    let first = Replica::holding(&world.gateway, Share::Partitions);
    first.has(64).await;
    let second = replica(&world).await;
    let owned = |replicas: &[&Replica]| -> Vec<usize> {
        replicas.iter().map(|it| it.ownership.holdings()).collect()
    };
    let are_even = |shares: &[usize], least| {
        shares.iter().sum::<usize>() == 64 && shares.iter().all(|share| *share >= least)
    };
    eventually("both have their part", || async {
        are_even(&owned(&[&first, &second]), 16)
    })
    .await;

    let joining = Instant::now();
    let third = replica(&world).await;
    eventually("all three have their part", || async {
        are_even(&owned(&[&first, &second, &third]), 8)
    })
    .await;

    assert!(joining.elapsed() < Duration::from_secs(2), "{joining:?}");
    let mut partitions: Vec<_> = [
        first.tenures().await,
        second.tenures().await,
        third.tenures().await,
    ]
    .concat()
    .iter()
    .filter_map(claw_bus::Tenure::partition)
    .collect();
    partitions.sort_unstable();
    assert_eq!(partitions, (0..PARTITIONS).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_stops_hands_everything_over_at_once() {
    let world = World::new().await;
    let first = Replica::holding(&world.gateway, Share::Partitions);
    first.has(64).await;
    let second = replica(&world).await;
    eventually("the second has a part", || async {
        second.ownership.holdings() > 0
            && first.ownership.holdings() + second.ownership.holdings() == 64
    })
    .await;

    let stopping = Instant::now();
    first.stop().await;
    second.has(64).await;

    assert!(stopping.elapsed() < AT_ONCE, "{:?}", stopping.elapsed());
    assert_eq!(keys_with(&world, "gateway.m.").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_replica_s_people_are_served_by_the_others_at_once() {
    const USERS: u32 = 100;
    let world = World::new().await;
    let recorder = Recorder::default();
    let mut replicas = Vec::new();
    for _ in 0..3 {
        let bus = connect(&world.nats, "provisioner").await;
        replicas.push(run(&bus, recorder.clone()));
    }
    let all =
        |replicas: &[Replica]| -> usize { replicas.iter().map(|it| it.ownership.holdings()).sum() };
    for user in 0..USERS {
        publish(&world, user, 0).await;
    }
    eventually("everyone is served", || async {
        all(&replicas) == 64 && recorder.count() >= USERS as usize
    })
    .await;

    let stopping = Instant::now();
    replicas.remove(0).stop().await;
    for user in 0..USERS {
        publish(&world, user, 1).await;
    }
    eventually("everyone is served again", || async {
        (0..USERS).all(|user| recorder.numbers_of(user).ends_with(&[1]))
    })
    .await;

    let took = stopping.elapsed();
    assert!(took < AT_ONCE, "{took:?}");
    assert_eq!(all(&replicas), 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replica_had_that_died_is_another_s_when_its_lease_is_over() {
    let world = World::new().await;
    let first = Replica::holding(&world.gateway, Share::Partitions);
    first.has(64).await;
    let second = replica(&world).await;
    eventually("the second has joined", || async {
        second.ownership.has_joined()
    })
    .await;

    let died = Instant::now();
    first.die();
    second.has(64).await;

    let took = died.elapsed();
    assert!(
        took > Duration::from_secs(1),
        "not before the lease: {took:?}"
    );
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_cut_off_knows_before_anybody_else_can_act() {
    let world = World::new().await;
    let wire = Wire::to(&world.nats).await;
    let bus = connect_through(&wire, &world.nats, "gateway").await;
    let first = Replica::holding(&bus, Share::Partitions);
    first.has(64).await;
    let second = replica(&world).await;
    eventually("the second has a part", || async {
        second.ownership.holdings() > 0
            && first.ownership.holdings() + second.ownership.holdings() == 64
    })
    .await;
    let lost: HashMap<_, _> = first
        .tenures()
        .await
        .into_iter()
        .map(|tenure| (tenure.unit(), tenure))
        .collect();
    assert!(lost.values().all(claw_bus::Tenure::may_act));

    wire.fall_silent();
    let mut taken = second.ownership.tenures();
    let mut left = lost.len();
    while left > 0 {
        let tenure = timeout(Duration::from_secs(10), taken.next()).await;
        if let Some(former) = lost.get(&tenure.unwrap().unwrap().unit()) {
            assert!(!former.may_act(), "two may act for {:?}", former.unit());
            left -= 1;
        }
    }

    assert!(lost.values().all(|tenure| tenure.lost().is_cancelled()));
    wire.speak();
    eventually("it takes its part again", || async {
        first.ownership.holdings() > 0
            && first.ownership.holdings() + second.ownership.holdings() == 64
    })
    .await;
    assert!(lost.values().all(|tenure| !tenure.may_act()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_lost_its_lease_goes_on_with_what_it_had_begun_and_once() {
    let world = World::new().await;
    let wire = Wire::to(&world.nats).await;
    let bus = connect_through(&wire, &world.nats, "provisioner").await;
    let gate = Arc::new(Notify::new());
    let recorder = Recorder {
        gate: Some(Arc::clone(&gate)),
        ..Recorder::default()
    };
    let replica = run(&bus, recorder.clone());
    for number in 0..3 {
        publish(&world, 1, number).await;
    }
    eventually("the first is begun", || async { recorder.count() == 1 }).await;

    wire.fall_silent();
    replica.has(0).await;
    assert!(!replica.ownership.has_joined());
    wire.speak();
    replica.has(64).await;
    publish(&world, 2, 0).await;
    eventually("events flow again", || async {
        recorder.numbers_of(2) == [0]
    })
    .await;

    eventually("everything is handled", || async {
        gate.notify_one();
        recorder.count() >= 4
    })
    .await;
    assert_eq!(recorder.numbers_of(1), [0, 1, 2], "each once and in order");
    gate.notify_one();
    gate.notify_one();
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_short_break_of_the_connection_it_goes_on_under_new_epochs() {
    let world = World::new().await;
    let wire = Wire::to(&world.nats).await;
    let bus = connect_through(&wire, &world.nats, "provisioner").await;
    let gate = Arc::new(Notify::new());
    let recorder = Recorder {
        gate: Some(Arc::clone(&gate)),
        ..Recorder::default()
    };
    let replica = run(&bus, recorder.clone());
    replica.has(64).await;
    let tenures = replica.tenures().await;
    let epochs: Vec<u64> = tenures.iter().map(|it| *it.epochs().borrow()).collect();
    let publisher = world.gateway.publisher();
    for number in 0..3 {
        publisher.publish(&request(1, number)).await.unwrap();
    }
    eventually("the first is begun", || async { recorder.count() == 1 }).await;

    wire.snap();

    eventually("every epoch is a later one", || async {
        tenures
            .iter()
            .zip(&epochs)
            .all(|(tenure, before)| *tenure.epochs().borrow() > *before)
    })
    .await;
    assert!(tenures.iter().all(claw_bus::Tenure::may_act));
    eventually("everything is handled", || async {
        gate.notify_one();
        recorder.count() >= 3
    })
    .await;
    assert_eq!(recorder.numbers_of(1), [0, 1, 2], "each once and in order");
    gate.notify_one();
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_server_loses_nothing_and_the_same_replica_goes_on() {
    let mut world = World::new().await;
    let recorder = Recorder::default();
    let replica = run(&world.provisioner, recorder.clone());
    replica.has(64).await;
    for number in 0..20 {
        publish(&world, 1, number).await;
        publish(&world, 2, number).await;
    }

    world.nats.kill().await.unwrap();
    world.nats.start_again().await.unwrap();
    for number in 20..40 {
        publish(&world, 1, number).await;
        publish(&world, 2, number).await;
    }

    for user in [1, 2] {
        eventually("all are handled", || async {
            recorder.numbers_of(user).contains(&39)
        })
        .await;
        assert_eq!(first_times(&recorder, user), (0..40).collect::<Vec<_>>());
    }
    replica.has(64).await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_unfinished_comes_in_order_to_whoever_has_the_person_next() {
    let world = World::new().await;
    let stuck = Recorder {
        gate: Some(Arc::new(Notify::new())),
        ..Recorder::default()
    };
    let first = run(&world.provisioner, stuck.clone());
    for number in 0..5 {
        for user in 0..8 {
            publish(&world, user, number).await;
        }
    }
    eventually("everyone's first is begun", || async { stuck.count() == 8 }).await;
    let recorder = Recorder::default();

    first.fall_silent();
    let bus = connect(&world.nats, "provisioner").await;
    let second = run(&bus, recorder.clone());

    eventually("the next has them all", || async { recorder.count() == 40 }).await;
    for user in 0..8 {
        assert_eq!(recorder.numbers_of(user), [0, 1, 2, 3, 4]);
    }
    assert_eq!(stuck.count(), 8, "the first has begun nothing more");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_that_comes_after_the_hand_over_changes_nothing() {
    let world = World::new().await;
    let late = Arc::new(Notify::new());
    let slow = Recorder {
        gate: Some(Arc::clone(&late)),
        ..Recorder::default()
    };
    let first = run(&world.provisioner, slow.clone());
    publish(&world, 1, 0).await;
    eventually("it is begun", || async { slow.count() == 1 }).await;
    first.fall_silent();
    let stuck = Recorder {
        gate: Some(Arc::new(Notify::new())),
        ..Recorder::default()
    };
    let second = run(&connect(&world.nats, "provisioner").await, stuck.clone());
    eventually("another has it", || async { stuck.count() == 1 }).await;

    late.notify_one(); // The first acknowledges now.
    first.stop().await;
    second.die();

    let recorder = Recorder::default();
    let third = run(&connect(&world.nats, "provisioner").await, recorder.clone());
    eventually("a third is handed it", || async { recorder.count() == 1 }).await;
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_s_events_stay_in_order_while_replicas_come_and_go() {
    const USERS: u32 = 30;
    const EVENTS: u32 = 40;
    let world = World::new().await;
    let recorder = Recorder {
        pause: Duration::from_millis(5),
        ..Recorder::default()
    };
    let first = run(&world.provisioner, recorder.clone());
    let is_published = Arc::new(AtomicBool::new(false));
    let publishing = tokio::spawn({
        let (publisher, is_published) = (world.gateway.publisher(), Arc::clone(&is_published));
        async move {
            for number in 0..EVENTS {
                for user in 0..USERS {
                    publisher.publish(&request(user, number)).await.unwrap();
                }
            }
            is_published.store(true, Ordering::Release);
        }
    });

    let mut replicas = vec![first];
    for _ in 0..3 {
        let bus = connect(&world.nats, "provisioner").await;
        replicas.push(run(&bus, recorder.clone()));
        eventually("it has a part", || async {
            replicas.last().unwrap().ownership.holdings() > 0
        })
        .await;
        replicas.remove(0).stop().await;
    }
    publishing.await.unwrap();

    eventually("everything is handled", || async {
        (0..USERS).all(|user| recorder.numbers_of(user).contains(&(EVENTS - 1)))
    })
    .await;
    for user in 0..USERS {
        let numbers = recorder.numbers_of(user);
        assert_eq!(numbers, (0..EVENTS).collect::<Vec<_>>(), "once, in order");
    }
    assert!(!recorder.has_overlapped(), "one at a time");
    for replica in replicas {
        replica.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_takes_too_long_does_not_hold_up_whoever_should_have_it() {
    let world = World::new().await;
    let gate = Arc::new(Notify::new());
    let slow = Recorder {
        gate: Some(Arc::clone(&gate)),
        answer: Some(|_, attempt| {
            if attempt.tenure.may_act() {
                Ok(())
            } else {
                Err(HandlerError::retry(anyhow!("ours no more")))
            }
        }),
        ..Recorder::default()
    };
    let first = run(&world.provisioner, slow.clone());
    for user in 0..20 {
        publish(&world, user, 0).await;
    }
    eventually("all are begun", || async { slow.count() == 20 }).await;

    let joining = Instant::now();
    let quick = Recorder::default();
    let second = run(&connect(&world.nats, "provisioner").await, quick.clone());
    eventually("the newcomer has its part", || async {
        first.ownership.holdings() + second.ownership.holdings() == 64
            && second.ownership.holdings() > 8
            && quick.count() > 0
    })
    .await;
    assert!(joining.elapsed() < AT_ONCE, "{:?}", joining.elapsed());

    let moved = quick.count();
    for _ in 0..20 {
        gate.notify_one();
        tokio::task::yield_now().await;
    }
    gate.notify_waiters();
    first.stop().await;
    eventually("nobody was forgotten", || async {
        let handled = (0..20)
            .filter(|user| quick.numbers_of(*user) == [0])
            .count();
        handled >= moved
    })
    .await;
    assert_eq!(slow.count(), 20, "what was lost was not tried again");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_is_not_divided_one_has_all_and_the_other_stands_by() {
    let world = World::new().await;
    let first = Replica::holding(&world.provisioner, Share::Whole);
    first.has(1).await;
    let other = connect(&world.nats, "provisioner").await;
    let second = Replica::holding(&other, Share::Whole);
    eventually("the second has joined", || async {
        second.ownership.has_joined()
    })
    .await;
    eventually("one has it", || async {
        first.ownership.holdings() + second.ownership.holdings() == 1
    })
    .await;
    let (owner, waiting) = if first.ownership.holdings() == 1 {
        (first, second)
    } else {
        (second, first)
    };

    owner.stop().await;

    waiting.has(1).await;
    let anyone = UserId::derived_from("anyone");
    assert!(waiting.ownership.tenure_of(anyone).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_service_waits_for_what_runs_when_it_is_alone() {
    let world = World::new().await;
    let gate = Arc::new(Notify::new());
    let recorder = Recorder {
        gate: Some(Arc::clone(&gate)),
        ..Recorder::default()
    };
    let replica = run(&world.provisioner, recorder.clone());
    publish(&world, 1, 0).await;
    eventually("it is begun", || async { recorder.count() == 1 }).await;
    let tenure = replica
        .ownership
        .tenure_of(UserId::derived_from("1"))
        .unwrap();

    let stopping = tokio::spawn(replica.stop());
    timeout(Duration::from_secs(5), tenure.ending().cancelled())
        .await
        .unwrap();
    eventually("all others are given back", || async {
        units_held(&world, "provisioner").await == 1
    })
    .await;
    assert!(tenure.may_act() && tenure.hold().is_none());
    gate.notify_one();
    stopping.await.unwrap();

    assert!(!tenure.may_act());
    assert_eq!(units_held(&world, "provisioner").await, 0);
    assert_eq!(keys_with(&world, "provisioner.m.").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn we_and_the_server_agree_on_everyone_s_partition() {
    let world = World::new().await;
    for user in 0..200 {
        publish(&world, user, 0).await;
    }

    let stream = jetstream::new(world.admin().await)
        .get_stream(Stream::Sandbox.name())
        .await
        .unwrap();
    for sequence in 1..=200 {
        let stored = stream.get_raw_message(sequence).await.unwrap();
        let subject = stored.subject.as_str();
        let user: UserId = subject.rsplit('.').next().unwrap().parse().unwrap();
        assert_eq!(partition_of_subject(subject), Some(partition_of(user)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_an_earlier_version_is_brought_to_what_leases_need() {
    let world = World::new().await;
    let jetstream = jetstream::new(world.admin().await);
    jetstream.delete_key_value("OWN").await.unwrap();
    let plain = kv::Config {
        bucket: "OWN".into(),
        history: 1,
        ..kv::Config::default()
    };
    jetstream.create_key_value(plain).await.unwrap();

    ensure(&connect(&world.nats, "admin").await).await.unwrap();

    let replica = Replica::holding(&world.gateway, Share::Partitions);
    replica.has(64).await;
}

async fn replica(world: &World) -> Replica {
    let bus = connect(&world.nats, "gateway").await;
    Replica::holding(&bus, Share::Partitions)
}

async fn publish(world: &World, user: u32, number: u32) {
    let publisher = world.gateway.publisher();
    publisher.publish(&request(user, number)).await.unwrap();
}

/// What was seen of a user, repetitions left out.
fn first_times(recorder: &Recorder, user: u32) -> Vec<u32> {
    let mut seen = Vec::new();
    for number in recorder.numbers_of(user) {
        if !seen.contains(&number) {
            seen.push(number);
        }
    }
    seen
}

async fn owners(world: &World) -> kv::Store {
    let jetstream = jetstream::new(world.admin().await);
    jetstream.get_key_value("OWN").await.unwrap()
}

async fn keys_with(world: &World, prefix: &str) -> usize {
    use futures_util::TryStreamExt;
    let keys: Vec<String> = owners(world)
        .await
        .keys()
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    keys.iter().filter(|key| key.starts_with(prefix)).count()
}

/// How many units the bucket says somebody of this service has.
async fn units_held(world: &World, service: &str) -> usize {
    let owners = owners(world).await;
    let mut held = 0;
    for partition in 0..PARTITIONS {
        let key = format!("{service}.u.{partition}");
        held += usize::from(
            owners
                .get(key)
                .await
                .unwrap()
                .is_some_and(|id| !id.is_empty()),
        );
    }
    held
}
