//! A sandbox belongs to the engine that has its volume.

use claw_domain::{FailureReason, SandboxStatus};
use claw_store::{Host, NewSandbox, Sandbox};

use crate::world::{MODEL, OLD_KEY, World, at, host_with, keyring, new_sandbox, request};

#[tokio::test]
async fn a_sandbox_belongs_to_the_engine_that_first_started_it() {
    let world = World::new().await;
    let sandbox = world.user_with_sandbox(1).await;
    let sandboxes = world.store.sandboxes();
    let begins = async |engine| {
        let (start, host) = (sandbox.current_start(), host_with(engine));
        sandboxes
            .mark_starting(start, &host, MODEL, at(2))
            .await
            .unwrap()
    };

    assert!(begins("here").await);
    assert!(!begins("there").await);
    assert!(begins("here").await, "it may be repeated");
    assert_eq!(engine_of(&world, &sandbox).await.as_deref(), Some("here"));
}

#[tokio::test]
async fn a_failed_sandbox_is_started_again_only_at_its_engine() {
    let world = World::new().await;
    let sandbox = started(&world, "here").await;
    let sandboxes = world.store.sandboxes();
    sandboxes
        .mark_failed(
            sandbox.current_start(),
            FailureReason::Exited,
            at(60),
            at(3),
        )
        .await
        .unwrap();
    let requested = async |engine: &str| {
        let new = NewSandbox {
            host: host_with(engine),
            ..new_sandbox(sandbox.user)
        };
        let request = request(sandbox.user, "second", 5);
        let row = sandboxes.request(&request, &new, &keyring(OLD_KEY)).await;
        row.unwrap().status
    };

    let there = sandboxes
        .wake_due(&host_with("there"), &[], 5, at(99))
        .await;
    assert_eq!(there.unwrap(), []);
    assert_eq!(requested("there").await, SandboxStatus::Failed);
    assert_eq!(requested("here").await, SandboxStatus::Requested);
}

#[tokio::test]
async fn orders_of_another_engine_change_nothing() {
    let world = World::new().await;
    let sandbox = started(&world, "here").await;
    let (sandboxes, start) = (world.store.sandboxes(), sandbox.current_start());
    let (here, there) = (host_with("here"), host_with("there"));

    assert!(
        !sandboxes
            .order_restart(start, &there, 5, at(3))
            .await
            .unwrap()
    );
    assert!(!sandboxes.order_removal(start, &there, at(3)).await.unwrap());
    assert!(
        sandboxes
            .order_restart(start, &here, 5, at(3))
            .await
            .unwrap()
    );
    assert!(sandboxes.order_removal(start, &here, at(3)).await.unwrap());
}

#[tokio::test]
async fn an_order_wakes_what_sleeps_or_has_failed_and_waits_for_a_place_if_there_is_none() {
    let world = World::new().await;
    let sandbox = started(&world, "here").await;
    let (sandboxes, user, here) = (world.store.sandboxes(), sandbox.user, host_with("here"));
    let start = sandbox.current_start();
    let wake = async |cap| {
        sandboxes
            .order_wake(start, &here, cap, at(4))
            .await
            .unwrap()
    };
    assert!(!wake(5).await, "it is starting");
    sandboxes
        .mark_failed(
            sandbox.current_start(),
            FailureReason::Exited,
            at(60),
            at(3),
        )
        .await
        .unwrap();

    assert!(wake(0).await);
    let queued = world.sandbox_of(user).await;
    let admitted = sandboxes.admit_queued(&here, 1, at(5)).await.unwrap();

    assert_eq!(
        (queued.status, queued.start, queued.failures, queued.failure),
        (SandboxStatus::Queued, 2, 0, None)
    );
    assert_eq!(admitted.len(), 1);
}

#[tokio::test]
async fn a_removed_sandbox_starts_anywhere_with_nothing_of_its_former_life() {
    let world = World::new().await;
    let sandbox = started(&world, "here").await;
    let sandboxes = world.store.sandboxes();
    sandboxes
        .reserve_port(sandbox.current_start(), 30_000..=30_010, &[], at(2))
        .await
        .unwrap();
    let here = host_with("here");
    assert!(
        sandboxes
            .order_removal(sandbox.current_start(), &here, at(3))
            .await
            .unwrap()
    );
    let late = sandboxes
        .mark_starting(sandbox.current_start(), &here, MODEL, at(4))
        .await;
    assert!(!late.unwrap(), "it may no longer start");

    for _ in 0..2 {
        sandboxes
            .mark_removed(sandbox.current_start(), at(5))
            .await
            .unwrap();
    }
    let removed = world.sandbox_of(sandbox.user).await;
    let again = world.request(request(sandbox.user, "second", 5)).await;

    assert_eq!(removed.status, SandboxStatus::Removed);
    assert_eq!(
        (removed.port, removed.engine, removed.transcript),
        (None, None, None)
    );
    assert_eq!((again.status, again.start), (SandboxStatus::Requested, 2));
}

#[tokio::test]
async fn a_started_sandbox_of_no_engine_is_adopted_by_that_of_its_host() {
    let world = World::new().await;
    let sandbox = started(&world, "here").await;
    world.sql("UPDATE sandbox SET engine = NULL").await;
    let adopts = async |engine| {
        let sandboxes = world.store.sandboxes();
        sandboxes.adopt(&host_with(engine), at(3)).await.unwrap()
    };

    assert!(adopts("here").await);
    assert!(!adopts("there").await);
    assert_eq!(engine_of(&world, &sandbox).await.as_deref(), Some("here"));
}

async fn started(world: &World, engine: &str) -> Sandbox {
    let sandbox = world.user_with_sandbox(1).await;
    let host: Host = host_with(engine);
    let begun = world
        .store
        .sandboxes()
        .mark_starting(sandbox.current_start(), &host, MODEL, at(2))
        .await;
    assert!(begun.unwrap());
    world.sandbox_of(sandbox.user).await
}

async fn engine_of(world: &World, sandbox: &Sandbox) -> Option<String> {
    world.sandbox_of(sandbox.user).await.engine
}
