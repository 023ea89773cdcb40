use std::collections::HashSet;

use claw_domain::{Endpoint, FailureReason, SandboxStatus, UserId};
use claw_store::{
    AnySandbox, NewSandbox, Sandbox, SandboxRequest, SandboxStart, Settlement, TranscriptCursor,
    TranscriptMove,
};
use tokio::task::JoinSet;

use crate::world::{MODEL, OLD_KEY, World, at, host, keyring, new_sandbox, request, settlement};

#[tokio::test]
async fn two_requests_create_one_sandbox() {
    let world = World::new().await;
    let user = world.user(1).await;

    let first = world.request(request(user, "a", 5)).await;
    let second = world.request(request(user, "b", 5)).await;

    assert_eq!(first, second);
    assert_eq!((first.status, first.start), (SandboxStatus::Requested, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_take_no_more_places_than_there_are_and_the_others_are_queued() {
    let world = World::new().await;
    let mut calls = JoinSet::new();
    for number in 0..25 {
        let user = world.user(number).await;
        for _ in 0..2 {
            let sandboxes = world.store.sandboxes();
            calls.spawn(async move {
                sandboxes
                    .request(
                        &request(user, "a", 7),
                        &new_sandbox(user),
                        &keyring(OLD_KEY),
                    )
                    .await
            });
        }
    }

    assert!(calls.join_all().await.iter().all(Result::is_ok));
    assert_eq!(world.count("sandbox WHERE status = 'requested'").await, 7);
    assert_eq!(world.count("sandbox WHERE status = 'queued'").await, 18);
}

#[tokio::test]
async fn the_oldest_request_gets_the_place_that_becomes_free() {
    let world = World::new().await;
    let mut users = Vec::new();
    for number in 0..4 {
        let user = world.user(number).await;
        world
            .request(SandboxRequest {
                now: at(number.into()),
                ..request(user, "a", 1)
            })
            .await;
        users.push(user);
    }
    let sandboxes = world.store.sandboxes();
    let none = sandboxes
        .admit_queued(&host("host-a"), 1, at(10))
        .await
        .unwrap();
    let first = world.sandbox_of(users[0]).await;
    let reason = FailureReason::Engine;
    assert!(
        sandboxes
            .mark_failed(first.current_start(), reason, at(60), at(11))
            .await
            .unwrap()
    );

    let one = sandboxes
        .admit_queued(&host("host-a"), 1, at(12))
        .await
        .unwrap();
    let two = sandboxes
        .admit_queued(&host("host-a"), 3, at(13))
        .await
        .unwrap();

    let users_of = |admitted: &[Sandbox]| {
        admitted
            .iter()
            .map(|sandbox| sandbox.user)
            .collect::<Vec<UserId>>()
    };
    assert!(none.is_empty());
    assert_eq!(users_of(&one), users[1..2]);
    assert_eq!(users_of(&two), users[2..4]);
    assert!(
        two.iter()
            .all(|sandbox| sandbox.status == SandboxStatus::Requested)
    );
}

#[tokio::test]
async fn a_failed_sandbox_restarts_for_a_new_request_and_not_for_a_repeated_one() {
    let world = World::new().await;
    let sandbox = world.user_with_sandbox(1).await;
    let sandboxes = world.store.sandboxes();
    let failed = sandboxes
        .mark_failed(
            sandbox.current_start(),
            FailureReason::Engine,
            at(60),
            at(2),
        )
        .await
        .unwrap();
    assert!(failed);

    let repeated = world.request(request(sandbox.user, "first", 5)).await;
    let later_request = SandboxRequest {
        attempt: 1,
        ..request(sandbox.user, "first", 5)
    };
    let later = world.request(later_request).await;
    let later_repeated = world.request(later_request).await;

    assert_eq!(
        (repeated.status, repeated.failure),
        (SandboxStatus::Failed, Some(FailureReason::Engine))
    );
    assert_eq!(
        (later.id, later.status, later.start, later.failure),
        (sandbox.id, SandboxStatus::Requested, 2, None)
    );
    assert_eq!(later_repeated, later);
}

#[tokio::test]
async fn a_failed_sandbox_is_queued_if_no_place_is_free() {
    let world = World::new().await;
    let sandbox = world.user_with_sandbox(1).await;
    world
        .store
        .sandboxes()
        .mark_failed(
            sandbox.current_start(),
            FailureReason::Engine,
            at(60),
            at(2),
        )
        .await
        .unwrap();
    world.user_with_sandbox(2).await;

    let again = world.request(request(sandbox.user, "second", 1)).await;

    assert_eq!(again.status, SandboxStatus::Queued);
}

#[tokio::test]
async fn a_late_transition_of_an_earlier_start_changes_nothing() {
    let world = World::new().await;
    let sandbox = world.user_with_sandbox(1).await;
    let sandboxes = world.store.sandboxes();
    let (first, second) = (
        sandbox.current_start(),
        SandboxStart {
            start: 2,
            ..sandbox.current_start()
        },
    );
    let endpoint = Endpoint::new("ws://127.0.0.1:30000");
    assert!(
        sandboxes
            .mark_starting(first, &host("host-a"), MODEL, at(2))
            .await
            .unwrap()
    );
    assert!(sandboxes.start_over(first, at(3), at(3)).await.unwrap());

    assert!(!sandboxes.start_over(first, at(4), at(4)).await.unwrap());
    assert!(
        !sandboxes
            .mark_starting(first, &host("host-a"), MODEL, at(4))
            .await
            .unwrap()
    );
    assert!(!sandboxes.mark_ready(first, &endpoint, at(4)).await.unwrap());
    assert!(
        !sandboxes
            .mark_failed(first, FailureReason::Exited, at(60), at(4))
            .await
            .unwrap()
    );
    assert!(!sandboxes.record_container(first, "c", at(4)).await.unwrap());
    assert!(
        !sandboxes
            .record_model_key(first, "h", &"k".into(), &keyring(OLD_KEY))
            .await
            .unwrap()
    );
    assert_eq!(
        sandboxes
            .reserve_port(first, 30_000..=30_010, &[], at(4))
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
        !sandboxes
            .mark_starting(second, &host("host-a"), MODEL, at(6))
            .await
            .unwrap(),
        "ready went back to starting"
    );
}

#[tokio::test]
async fn every_transition_may_be_repeated() {
    let world = World::new().await;
    let sandbox = world.user_with_sandbox(1).await;
    let (sandboxes, start) = (world.store.sandboxes(), sandbox.current_start());
    let endpoint = Endpoint::new("ws://127.0.0.1:30000");

    for _ in 0..2 {
        assert!(
            sandboxes
                .mark_starting(start, &host("host-a"), MODEL, at(2))
                .await
                .unwrap()
        );
        assert_eq!(
            sandboxes
                .reserve_port(start, 30_000..=30_010, &[], at(2))
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
                .mark_failed(start, FailureReason::Exited, at(60), at(4))
                .await
                .unwrap()
        );
    }
    let failed = world.sandbox_of(sandbox.user).await;
    assert_eq!((failed.port, failed.endpoint), (None, None));
    assert_eq!(
        world.count("sandbox WHERE container_id IS NOT NULL").await,
        0
    );
    assert!(sandboxes.known_model_keys().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_later_start_that_fails_keeps_the_transcript_cursor() {
    let world = World::new().await;
    let sandbox = world.user_with_sandbox(1).await;
    let sandboxes = world.store.sandboxes();
    move_cursor(&world, &sandbox).await;
    assert!(
        sandboxes
            .start_over(sandbox.current_start(), at(2), at(2))
            .await
            .unwrap()
    );
    let second = world.sandbox_of(sandbox.user).await.current_start();

    assert!(
        sandboxes
            .mark_failed(second, FailureReason::Exited, at(60), at(3))
            .await
            .unwrap()
    );
    let failed = world.sandbox_of(sandbox.user).await;
    let again = world.request(request(sandbox.user, "second", 5)).await;

    assert_eq!(failed.transcript, Some(cursor()));
    assert_eq!((again.start, again.transcript), (3, Some(cursor())));
}

#[tokio::test]
async fn the_transcript_cursor_is_cleared_with_the_volume() {
    let world = World::new().await;
    let sandboxes = world.store.sandboxes();
    let [first, moved] = [
        world.user_with_sandbox(1).await,
        world.user_with_sandbox(2).await,
    ];
    for sandbox in [&first, &moved] {
        move_cursor(&world, sandbox).await;
    }

    let exited = FailureReason::Exited;
    assert!(
        sandboxes
            .mark_failed(first.current_start(), exited, at(60), at(3))
            .await
            .unwrap()
    );
    assert!(
        sandboxes
            .start_over(moved.current_start(), at(3), at(3))
            .await
            .unwrap()
    );
    let start = world.sandbox_of(moved.user).await.current_start();
    assert!(
        sandboxes
            .mark_failed(start, exited, at(60), at(4))
            .await
            .unwrap()
    );
    let on_other_host = NewSandbox {
        host: host("host-b"),
        ..new_sandbox(moved.user)
    };
    let request = request(moved.user, "second", 5);
    sandboxes
        .request(&request, &on_other_host, &keyring(OLD_KEY))
        .await
        .unwrap();

    for sandbox in [first, moved] {
        assert_eq!(world.sandbox_of(sandbox.user).await.transcript, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sandboxes_of_a_host_never_share_a_port_and_an_exhausted_range_gives_none() {
    let world = World::new().await;
    let mut calls = JoinSet::new();
    for number in 0..20 {
        let start = world.user_with_sandbox(number).await.current_start();
        for _ in 0..2 {
            let sandboxes = world.store.sandboxes();
            calls.spawn(async move {
                sandboxes
                    .reserve_port(start, 30_000..=30_014, &[], at(2))
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
async fn all_sandboxes_of_a_host_and_of_no_other_are_listed() {
    let world = World::new().await;
    let [first, second] = [
        world.user_with_sandbox(1).await,
        world.user_with_sandbox(2).await,
    ];
    let sandboxes = world.store.sandboxes();

    let listed = sandboxes.all_of_host("host-a").await.unwrap();

    let expected = [first, second].map(AnySandbox::from);
    assert!(expected.iter().all(|row| listed.contains(row)) && listed.len() == 2);
    assert!(sandboxes.all_of_host("host-b").await.unwrap().is_empty());
}

#[tokio::test]
async fn every_status_can_be_stored_and_only_a_status_with_a_place_fills_one_and_gets_a_port() {
    let world = World::new().await;
    let sandbox = world.user_with_sandbox(1).await;
    let (sandboxes, start) = (world.store.sandboxes(), sandbox.current_start());
    let other_user = world.user(2).await;
    for status in SandboxStatus::ALL {
        world
            .sql(&format!(
                "UPDATE sandbox SET endpoint = 'ws://x', port = NULL, status = '{}'",
                status.as_str()
            ))
            .await;

        let stored = world.sandbox_of(sandbox.user).await.status;
        let port = sandboxes
            .reserve_port(start, 30_000..=30_000, &[], at(2))
            .await;
        let other = world.request(request(other_user, "a", 1)).await.status;

        let has_place = status.takes_a_place();
        let comes_first = has_place || *status == SandboxStatus::Queued;
        assert_eq!(stored, *status);
        assert_eq!(port.unwrap().is_some(), has_place, "{status:?}");
        assert_eq!(other == SandboxStatus::Queued, comes_first, "{status:?}");
        let admitted = sandboxes
            .admit_queued(&host("host-a"), 1, at(3))
            .await
            .unwrap();
        assert!(!has_place || admitted.is_empty(), "{status:?}");
        world
            .sql(&format!(
                "DELETE FROM sandbox WHERE user_id = '{}'",
                other_user.as_uuid()
            ))
            .await;
    }
}

#[tokio::test]
async fn a_refused_port_is_replaced_by_another_of_the_range_and_given_to_nobody() {
    let world = World::new().await;
    let [first, second] = [
        world.user_with_sandbox(1).await.current_start(),
        world.user_with_sandbox(2).await.current_start(),
    ];
    let sandboxes = world.store.sandboxes();
    let reserve = async |start, refused: &[u16]| {
        let reserved = sandboxes.reserve_port(start, 30_000..=30_002, refused, at(2));
        reserved.await.unwrap()
    };
    assert_eq!(reserve(first, &[]).await, Some(30_000));

    for _ in 0..2 {
        assert_eq!(reserve(first, &[30_000]).await, Some(30_001));
    }
    assert_eq!(reserve(second, &[30_000]).await, Some(30_002));
    assert_eq!(reserve(second, &[30_000, 30_002]).await, None);
}

async fn move_cursor(world: &World, sandbox: &Sandbox) {
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
