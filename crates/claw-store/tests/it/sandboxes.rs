use std::collections::HashSet;

use claw_domain::{Endpoint, FailureReason, SandboxStatus, UserId};
use claw_store::{
    NewSandbox, Sandbox, SandboxRequest, SandboxStart, Settlement, TranscriptCursor, TranscriptMove,
};
use tokio::task::JoinSet;

use crate::world::{OLD_KEY, World, at, keyring, new_sandbox, settlement, wish};

#[tokio::test]
async fn asking_twice_gives_one_sandbox() {
    let world = World::new().await;
    let user = world.person(1).await;

    let first = world.request(wish(user, "a", 5)).await;
    let second = world.request(wish(user, "b", 5)).await;

    assert!(first.created && !second.created);
    assert_eq!(first.sandbox, second.sandbox);
    assert_eq!(
        (first.sandbox.status, first.sandbox.start),
        (SandboxStatus::Requested, 1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_fifty_who_ask_at_once_as_many_as_there_are_places_get_one() {
    let world = World::new().await;
    let mut calls = JoinSet::new();
    for number in 0..25 {
        let user = world.person(number).await;
        for _ in 0..2 {
            let sandboxes = world.store.sandboxes();
            calls.spawn(async move {
                sandboxes
                    .request(&wish(user, "a", 7), &new_sandbox(user), &keyring(OLD_KEY))
                    .await
            });
        }
    }

    let answers = calls.join_all().await;

    assert_eq!(
        answers
            .iter()
            .filter(|answer| answer.as_ref().unwrap().created)
            .count(),
        25
    );
    assert_eq!(world.count("sandbox WHERE status = 'requested'").await, 7);
    assert_eq!(world.count("sandbox WHERE status = 'queued'").await, 18);
}

#[tokio::test]
async fn who_waited_longest_gets_the_place_that_becomes_free() {
    let world = World::new().await;
    let mut users = Vec::new();
    for number in 0..4 {
        let user = world.person(number).await;
        world
            .request(SandboxRequest {
                now: at(number.into()),
                ..wish(user, "a", 1)
            })
            .await;
        users.push(user);
    }
    let sandboxes = world.store.sandboxes();
    let none = sandboxes.admit_queued(1, at(10)).await.unwrap();
    let first = world.sandbox_of(users[0]).await;
    assert!(
        sandboxes
            .mark_removed(first.current_start(), at(11))
            .await
            .unwrap()
    );

    let one = sandboxes.admit_queued(1, at(12)).await.unwrap();
    let two = sandboxes.admit_queued(3, at(13)).await.unwrap();

    let ids = |admitted: &[claw_store::Sandbox]| {
        admitted
            .iter()
            .map(|sandbox| sandbox.user)
            .collect::<Vec<UserId>>()
    };
    assert!(none.is_empty());
    assert_eq!(ids(&one), users[1..2]);
    assert_eq!(ids(&two), users[2..4]);
    assert!(
        two.iter()
            .all(|sandbox| sandbox.status == SandboxStatus::Requested)
    );
}

#[tokio::test]
async fn a_failed_sandbox_starts_over_for_a_new_wish_and_not_for_a_repeated_one() {
    let world = World::new().await;
    let sandbox = world.person_with_sandbox(1).await;
    let sandboxes = world.store.sandboxes();
    let failed = sandboxes
        .mark_failed(sandbox.current_start(), FailureReason::Engine, at(2))
        .await
        .unwrap();
    assert!(failed);

    let repeated = world.request(wish(sandbox.user, "first", 5)).await;
    let later = world
        .request(SandboxRequest {
            attempt: 1,
            ..wish(sandbox.user, "first", 5)
        })
        .await;
    let later_repeated = world
        .request(SandboxRequest {
            attempt: 1,
            ..wish(sandbox.user, "first", 5)
        })
        .await;

    assert!(!repeated.created && repeated.sandbox.status == SandboxStatus::Failed);
    assert_eq!(repeated.sandbox.failure, Some(FailureReason::Engine));
    assert!(later.created && !later_repeated.created);
    assert_eq!(
        (later.sandbox.status, later.sandbox.start),
        (SandboxStatus::Requested, 2)
    );
    assert_eq!(
        (later.sandbox.id, later.sandbox.failure),
        (sandbox.id, None)
    );
}

#[tokio::test]
async fn a_failed_sandbox_that_finds_no_place_waits_in_the_queue() {
    let world = World::new().await;
    let sandbox = world.person_with_sandbox(1).await;
    world
        .store
        .sandboxes()
        .mark_failed(sandbox.current_start(), FailureReason::Engine, at(2))
        .await
        .unwrap();
    world.person_with_sandbox(2).await;

    let again = world.request(wish(sandbox.user, "second", 1)).await;

    assert_eq!(again.sandbox.status, SandboxStatus::Queued);
}

#[tokio::test]
async fn a_step_left_over_from_an_earlier_start_changes_nothing() {
    let world = World::new().await;
    let sandbox = world.person_with_sandbox(1).await;
    let sandboxes = world.store.sandboxes();
    let (first, second) = (
        sandbox.current_start(),
        SandboxStart {
            start: 2,
            ..sandbox.current_start()
        },
    );
    let endpoint = Endpoint::new("ws://127.0.0.1:30000");
    assert!(sandboxes.mark_starting(first, at(2)).await.unwrap());
    assert!(sandboxes.start_over(first, at(3)).await.unwrap());

    assert!(!sandboxes.start_over(first, at(4)).await.unwrap());
    assert!(!sandboxes.mark_starting(first, at(4)).await.unwrap());
    assert!(!sandboxes.mark_ready(first, &endpoint, at(4)).await.unwrap());
    assert!(
        !sandboxes
            .mark_failed(first, FailureReason::Exited, at(4))
            .await
            .unwrap()
    );
    assert!(!sandboxes.mark_removed(first, at(4)).await.unwrap());
    assert!(!sandboxes.record_container(first, "c", at(4)).await.unwrap());
    assert!(
        !sandboxes
            .record_model_key(first, "h", &"k".into(), &keyring(OLD_KEY))
            .await
            .unwrap()
    );
    assert_eq!(
        sandboxes
            .reserve_port(first, 30_000..=30_010, at(4))
            .await
            .unwrap(),
        None
    );

    assert!(
        sandboxes
            .mark_ready(second, &endpoint, at(5))
            .await
            .unwrap()
    );
    let ready = world.sandbox_of(sandbox.user).await;
    assert_eq!(
        (ready.status, ready.start, ready.endpoint),
        (SandboxStatus::Ready, 2, Some(endpoint))
    );
    assert!(
        !sandboxes.mark_starting(second, at(6)).await.unwrap(),
        "ready does not go back to starting"
    );
}

#[tokio::test]
async fn every_step_may_be_repeated() {
    let world = World::new().await;
    let sandbox = world.person_with_sandbox(1).await;
    let (sandboxes, start) = (world.store.sandboxes(), sandbox.current_start());
    let endpoint = Endpoint::new("ws://127.0.0.1:30000");

    for _ in 0..2 {
        assert!(sandboxes.mark_starting(start, at(2)).await.unwrap());
        assert_eq!(
            sandboxes
                .reserve_port(start, 30_000..=30_010, at(2))
                .await
                .unwrap(),
            Some(30_000)
        );
        assert!(
            sandboxes
                .record_model_key_name(start, "clawkaka-1", at(2))
                .await
                .unwrap()
        );
        assert!(
            sandboxes
                .record_model_key(start, "hash", &"sk-1".into(), &keyring(OLD_KEY))
                .await
                .unwrap()
        );
        assert!(
            sandboxes
                .record_container(start, "c1", at(2))
                .await
                .unwrap()
        );
    }
    for _ in 0..2 {
        assert!(sandboxes.mark_ready(start, &endpoint, at(3)).await.unwrap());
    }

    let keys = sandboxes.known_model_keys().await.unwrap();
    assert_eq!(
        (keys[0].name.as_deref(), keys[0].hash.as_deref()),
        (Some("clawkaka-1"), Some("hash"))
    );
    for _ in 0..2 {
        assert!(
            sandboxes
                .mark_failed(start, FailureReason::Exited, at(4))
                .await
                .unwrap()
        );
    }
    let failed = world.sandbox_of(sandbox.user).await;
    assert_eq!(
        (failed.port, failed.container_id, failed.endpoint),
        (None, None, None)
    );
    assert!(sandboxes.known_model_keys().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_sandbox_that_failed_later_on_knows_how_far_its_transcript_was_read() {
    let world = World::new().await;
    let sandbox = world.person_with_sandbox(1).await;
    let sandboxes = world.store.sandboxes();
    read_on(&world, &sandbox).await;
    assert!(
        sandboxes
            .start_over(sandbox.current_start(), at(2))
            .await
            .unwrap()
    );
    let second = world.sandbox_of(sandbox.user).await.current_start();

    assert!(
        sandboxes
            .mark_failed(second, FailureReason::Exited, at(3))
            .await
            .unwrap()
    );
    let failed = world.sandbox_of(sandbox.user).await;
    let again = world.request(wish(sandbox.user, "second", 5)).await.sandbox;

    assert_eq!(failed.transcript, Some(cursor()));
    assert_eq!((again.start, again.transcript), (3, Some(cursor())));
}

#[tokio::test]
async fn what_was_read_is_forgotten_with_the_volume() {
    let world = World::new().await;
    let sandboxes = world.store.sandboxes();
    let [first, removed, moved] = [
        world.person_with_sandbox(1).await,
        world.person_with_sandbox(2).await,
        world.person_with_sandbox(3).await,
    ];
    for sandbox in [&first, &removed, &moved] {
        read_on(&world, sandbox).await;
    }

    let exited = FailureReason::Exited;
    assert!(
        sandboxes
            .mark_failed(first.current_start(), exited, at(3))
            .await
            .unwrap()
    );
    assert!(
        sandboxes
            .mark_removed(removed.current_start(), at(3))
            .await
            .unwrap()
    );
    assert!(
        sandboxes
            .start_over(moved.current_start(), at(3))
            .await
            .unwrap()
    );
    let start = world.sandbox_of(moved.user).await.current_start();
    assert!(sandboxes.mark_failed(start, exited, at(4)).await.unwrap());
    let elsewhere = NewSandbox {
        host: "host-b".into(),
        ..new_sandbox(moved.user)
    };
    let wish = wish(moved.user, "second", 5);
    sandboxes
        .request(&wish, &elsewhere, &keyring(OLD_KEY))
        .await
        .unwrap();

    for sandbox in [first, removed, moved] {
        assert_eq!(world.sandbox_of(sandbox.user).await.transcript, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_sandboxes_on_a_host_share_a_port_and_a_used_up_range_is_told() {
    let world = World::new().await;
    let mut calls = JoinSet::new();
    for number in 0..20 {
        let start = world.person_with_sandbox(number).await.current_start();
        for _ in 0..2 {
            let sandboxes = world.store.sandboxes();
            calls.spawn(async move {
                sandboxes
                    .reserve_port(start, 30_000..=30_014, at(2))
                    .await
                    .unwrap()
            });
        }
    }

    let answers = calls.join_all().await;

    let ports: HashSet<u16> = answers.into_iter().flatten().collect();
    assert_eq!(ports, (30_000..=30_014).collect());
    assert_eq!(world.count("sandbox WHERE port IS NULL").await, 5);
}

#[tokio::test]
async fn the_unfinished_of_a_host_are_those_on_their_way() {
    let world = World::new().await;
    let mut starts = Vec::new();
    for number in 0..4 {
        starts.push(world.person_with_sandbox(number).await.current_start());
    }
    let sandboxes = world.store.sandboxes();
    sandboxes.mark_starting(starts[1], at(2)).await.unwrap();
    sandboxes
        .mark_ready(starts[2], &Endpoint::new("ws://x"), at(2))
        .await
        .unwrap();
    sandboxes.mark_removed(starts[3], at(2)).await.unwrap();

    let unfinished = sandboxes.unfinished("host-a").await.unwrap();

    let ids: HashSet<_> = unfinished.iter().map(|sandbox| sandbox.id).collect();
    assert_eq!(ids, HashSet::from([starts[0].sandbox, starts[1].sandbox]));
    assert_eq!(sandboxes.all_of_host("host-a").await.unwrap().len(), 4);
    assert!(sandboxes.all_of_host("host-b").await.unwrap().is_empty());
}

async fn read_on(world: &World, sandbox: &Sandbox) {
    let step = TranscriptMove {
        sandbox: sandbox.id,
        from: None,
        to: cursor(),
    };
    let read = Settlement {
        transcript: Some(step),
        ..settlement(sandbox.user, &[], &[])
    };
    assert_eq!(world.settle(&read).await.transcript, Some(cursor()));
}

fn cursor() -> TranscriptCursor {
    TranscriptCursor {
        cursor: "10".into(),
        boot_id: "b".into(),
    }
}
