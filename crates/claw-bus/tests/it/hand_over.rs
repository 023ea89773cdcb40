//! Users' events are handled in order while their partitions change hands.

use std::{sync::Arc, time::Duration};

use anyhow::anyhow;
use claw_bus::HandlerError;
use claw_testkit::eventually;
use tokio::{sync::Notify, time::timeout};

use crate::{
    owners::Owners,
    wire::Wire,
    world::{
        DEADLINE, Recorder, World, connect, connect_through, request, run, until_they_share_all,
    },
};

#[tokio::test(flavor = "multi_thread")]
async fn the_users_of_a_stopped_replica_are_served_by_the_others() {
    const USERS: u32 = 100;
    let world = World::new().await;
    let recorder = Recorder::default();
    let mut replicas = Vec::new();
    for _ in 0..3 {
        let bus = connect(&world.nats, "provisioner").await;
        replicas.push(run(&bus, recorder.clone()));
    }
    for user in 0..USERS {
        world.publish(user, 0).await;
    }
    eventually("the first event of every user is handled", || async {
        recorder.count() >= USERS as usize
    })
    .await;
    until_they_share_all(&replicas.iter().collect::<Vec<_>>()).await;
    let stopping = replicas.remove(0);
    let owners = Owners::of(&world, "provisioner").await;
    let id = owners.id_of(&stopping).await;

    stopping.stop().await;
    assert!(
        !owners.holders().await.contains(&id),
        "it still holds units"
    );
    for user in 0..USERS {
        world.publish(user, 1).await;
    }
    eventually("the second event of every user is handled", || async {
        (0..USERS).all(|user| recorder.numbers_of(user).ends_with(&[1]))
    })
    .await;
    until_they_share_all(&replicas.iter().collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_loses_and_regains_its_units_handles_each_event_once() {
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
        world.publish(1, number).await;
    }
    eventually("the first event is begun", || async {
        recorder.count() == 1
    })
    .await;

    wire.block();
    replica.until_it_holds(0).await;
    assert!(!replica.ownership.has_joined());
    wire.unblock();
    replica.until_it_holds(64).await;
    world.publish(2, 0).await;
    eventually("an event of another user is handled", || async {
        recorder.numbers_of(2) == [0]
    })
    .await;

    eventually("every event is handled", || async {
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
async fn after_a_reconnect_a_replica_keeps_its_tenures_under_new_epochs() {
    let world = World::new().await;
    let wire = Wire::to(&world.nats).await;
    let bus = connect_through(&wire, &world.nats, "provisioner").await;
    let gate = Arc::new(Notify::new());
    let recorder = Recorder {
        gate: Some(Arc::clone(&gate)),
        ..Recorder::default()
    };
    let replica = run(&bus, recorder.clone());
    replica.until_it_holds(64).await;
    let tenures = replica.tenures();
    let epochs: Vec<u64> = tenures
        .iter()
        .map(|tenure| *tenure.epochs().borrow())
        .collect();
    let publisher = world.gateway.publisher();
    for number in 0..3 {
        publisher.publish(&request(1, number)).await.unwrap();
    }
    eventually("the first event is begun", || async {
        recorder.count() == 1
    })
    .await;

    wire.cut();

    eventually("every epoch has grown", || async {
        tenures
            .iter()
            .zip(&epochs)
            .all(|(tenure, before)| *tenure.epochs().borrow() > *before)
    })
    .await;
    assert!(tenures.iter().all(claw_bus::Tenure::may_act));
    eventually("every event is handled", || async {
        gate.notify_one();
        recorder.count() >= 3
    })
    .await;
    assert_eq!(recorder.numbers_of(1), [0, 1, 2], "each once and in order");
    gate.notify_one();
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_is_lost_when_the_server_restarts() {
    let mut world = World::new().await;
    let recorder = Recorder::default();
    let replica = run(&world.provisioner, recorder.clone());
    replica.until_it_holds(64).await;
    for number in 0..20 {
        world.publish(1, number).await;
        world.publish(2, number).await;
    }

    world.nats.kill().await.unwrap();
    world.nats.start_again().await.unwrap();
    for number in 20..40 {
        world.publish(1, number).await;
        world.publish(2, number).await;
    }

    for user in [1, 2] {
        eventually("the last event of the user is handled", || async {
            recorder.numbers_of(user).contains(&39)
        })
        .await;
        assert_eq!(first_times(&recorder, user), (0..40).collect::<Vec<_>>());
    }
    replica.until_it_holds(64).await;
    replica.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_events_reach_the_next_holder_in_order() {
    let world = World::new().await;
    let stuck = Recorder {
        gate: Some(Arc::new(Notify::new())),
        ..Recorder::default()
    };
    let first = run(&world.provisioner, stuck.clone());
    for number in 0..5 {
        for user in 0..8 {
            world.publish(user, number).await;
        }
    }
    eventually("the first event of every user is begun", || async {
        stuck.count() == 8
    })
    .await;
    let recorder = Recorder::default();

    first.abort_ownership();
    let bus = connect(&world.nats, "provisioner").await;
    let second = run(&bus, recorder.clone());

    eventually("the next holder has every event", || async {
        recorder.count() == 40
    })
    .await;
    for user in 0..8 {
        assert_eq!(recorder.numbers_of(user), [0, 1, 2, 3, 4]);
    }
    assert_eq!(stuck.count(), 8, "the former holder began no other event");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_of_a_former_holder_has_no_effect() {
    let world = World::new().await;
    let late = Arc::new(Notify::new());
    let slow = Recorder {
        gate: Some(Arc::clone(&late)),
        ..Recorder::default()
    };
    let first = run(&world.provisioner, slow.clone());
    world.publish(1, 0).await;
    eventually("the first holder begins the event", || async {
        slow.count() == 1
    })
    .await;
    first.abort_ownership();
    let stuck = Recorder {
        gate: Some(Arc::new(Notify::new())),
        ..Recorder::default()
    };
    let second = run(&connect(&world.nats, "provisioner").await, stuck.clone());
    eventually("the second holder begins the event", || async {
        stuck.count() == 1
    })
    .await;

    late.notify_one(); // The first holder acknowledges the event.
    first.stop().await;
    second.kill();

    let recorder = Recorder::default();
    let third = run(&connect(&world.nats, "provisioner").await, recorder.clone());
    eventually("the third holder begins the event", || async {
        recorder.count() == 1
    })
    .await;
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_user_stay_in_order_while_replicas_start_and_stop() {
    const USERS: u32 = 30;
    const EVENTS: u32 = 40;
    let world = World::new().await;
    let recorder = Recorder {
        pause: Duration::from_millis(5),
        ..Recorder::default()
    };
    let first = run(&world.provisioner, recorder.clone());
    let publishing = tokio::spawn({
        let publisher = world.gateway.publisher();
        async move {
            for number in 0..EVENTS {
                for user in 0..USERS {
                    publisher.publish(&request(user, number)).await.unwrap();
                }
            }
        }
    });

    let mut replicas = vec![first];
    for _ in 0..3 {
        let bus = connect(&world.nats, "provisioner").await;
        replicas.push(run(&bus, recorder.clone()));
        eventually("the new replica has a part", || async {
            replicas.last().unwrap().ownership.holdings() > 0
        })
        .await;
        replicas.remove(0).stop().await;
    }
    publishing.await.unwrap();

    eventually("the last event of every user is handled", || async {
        (0..USERS).all(|user| recorder.numbers_of(user).contains(&(EVENTS - 1)))
    })
    .await;
    for user in 0..USERS {
        let numbers = recorder.numbers_of(user);
        assert_eq!(
            numbers,
            (0..EVENTS).collect::<Vec<_>>(),
            "each once and in order"
        );
    }
    assert!(
        !recorder.has_overlapped(),
        "two events of a user ran at the same time"
    );
    for replica in replicas {
        replica.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn running_work_does_not_prevent_the_hand_over_of_its_partition() {
    let world = World::new().await;
    let gate = Arc::new(Notify::new());
    let slow = Recorder {
        gate: Some(Arc::clone(&gate)),
        answer: Some(|_, attempt| {
            if attempt.tenure.may_act() {
                Ok(())
            } else {
                Err(HandlerError::retry(anyhow!(
                    "another replica holds the user"
                )))
            }
        }),
        ..Recorder::default()
    };
    let first = run(&world.provisioner, slow.clone());
    for user in 0..20 {
        world.publish(user, 0).await;
    }
    eventually("every event is begun", || async { slow.count() == 20 }).await;

    let quick = Recorder::default();
    let second = run(&connect(&world.nats, "provisioner").await, quick.clone());
    eventually(
        "the new replica has its part and an event of it",
        || async {
            first.ownership.holdings() + second.ownership.holdings() == 64
                && second.ownership.holdings() > 8
                && quick.count() > 0
        },
    )
    .await;
    assert_eq!(slow.at_work.lock().unwrap().len(), 20, "work has ended");

    let moved = quick.count();
    for _ in 0..20 {
        gate.notify_one();
        tokio::task::yield_now().await;
    }
    gate.notify_waiters();
    first.stop().await;
    eventually("every event that moved is handled", || async {
        let handled = (0..20)
            .filter(|user| quick.numbers_of(*user) == [0])
            .count();
        handled >= moved
    })
    .await;
    assert_eq!(slow.count(), 20, "the former holder retried an event");
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_stops_alone_waits_for_its_running_work() {
    let world = World::new().await;
    let gate = Arc::new(Notify::new());
    let recorder = Recorder {
        gate: Some(Arc::clone(&gate)),
        ..Recorder::default()
    };
    let replica = run(&world.provisioner, recorder.clone());
    world.publish(1, 0).await;
    eventually("the event is begun", || async { recorder.count() == 1 }).await;
    let tenure = replica
        .ownership
        .tenure_of(claw_testkit::user("1"))
        .unwrap();
    let owners = Owners::of(&world, "provisioner").await;

    let stopping = tokio::spawn(replica.stop());
    timeout(DEADLINE, tenure.ending().cancelled())
        .await
        .unwrap();
    eventually("all other units are released", || async {
        owners.holders().await.len() == 1
    })
    .await;
    assert!(tenure.may_act() && tenure.hold().is_none());
    gate.notify_one();
    stopping.await.unwrap();

    assert!(!tenure.may_act());
    assert!(owners.holders().await.is_empty());
    assert!(owners.members().await.is_empty());
}

/// The numbers of a user's events in the order of their first delivery.
fn first_times(recorder: &Recorder, user: u32) -> Vec<u32> {
    let mut seen = Vec::new();
    for number in recorder.numbers_of(user) {
        if !seen.contains(&number) {
            seen.push(number);
        }
    }
    seen
}
