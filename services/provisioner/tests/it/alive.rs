//! Alive means that OpenClaw answers, and one that ends again and again is given up for a while.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use claw_bus::Handler;
use claw_docker::{ContainerName, fake::EngineFault};
use claw_domain::{SandboxStatus, UserId};
use claw_runtime::Clock;
use claw_testkit::eventually;
use provisioner::{HandleRequest, Reconciler};
use tokio_util::sync::CancellationToken;

use crate::world::{World, attempt, pass};

/// The default of `RECONCILE_SECONDS`.
const TICK: TimeDelta = TimeDelta::seconds(15);

#[tokio::test]
async fn a_sandbox_that_runs_but_does_not_answer_is_restarted_within_two_minutes() {
    let world = World::new().await;
    let (silent, well) = (world.ready(1).await, world.ready(2).await);
    let endpoint = silent.endpoint.clone().unwrap();
    world.probe.silence(&endpoint, true);
    let mut reconciler = world.reconciler();

    for _ in 0..8 {
        pass(&mut reconciler).await;
        if world.row(silent.user).await.start == 2 {
            world.probe.silence(&endpoint, false);
        }
        world.clock.advance(TICK);
    }

    let restarted = world.row(silent.user).await;
    assert_eq!(
        (restarted.status, restarted.start),
        (SandboxStatus::Ready, 2)
    );
    assert_eq!(world.row(well.user).await.start, 1);
    world
        .assert_announced(&format!("ready {} 2", silent.id))
        .await;
}

#[tokio::test]
async fn a_busy_sandbox_that_answers_now_and_then_is_left_alone() {
    let world = World::new().await;
    let busy = world.ready(1).await;
    let endpoint = busy.endpoint.clone().unwrap();
    let mut reconciler = world.reconciler();

    for look in 0..12 {
        world.probe.silence(&endpoint, look % 4 != 3);
        pass(&mut reconciler).await;
        world.clock.advance(TICK);
    }

    assert_eq!(world.row(busy.user).await.start, 1);
}

#[tokio::test]
async fn restarts_pause_and_the_fifth_end_in_a_row_is_given_up_until_later() {
    let world = World::new().await;
    let user = world.ready(1).await.user;
    let mut reconciler = world.reconciler();
    let mut pauses = Vec::new();
    for _ in 0..4 {
        let died_at = kill(&world, &mut reconciler, user).await;
        // A process that takes over keeps the pauses.
        reconciler = world.reconciler();
        loop {
            pass(&mut reconciler).await;
            if world.row(user).await.status == SandboxStatus::Ready {
                break;
            }
            world.clock.advance(TimeDelta::seconds(1));
        }
        pauses.push((world.row(user).await.updated_at - died_at).num_seconds());
    }

    kill(&world, &mut reconciler, user).await;

    assert_eq!(pauses, [0, 10, 20, 40]);
    let failed = world.row(user).await;
    assert_eq!(
        (failed.status, failed.failure.unwrap().as_str()),
        (SandboxStatus::Failed, "exited")
    );
    assert_eq!(world.told().await, ["sandbox_failed"]);
    world.clock.set(failed.retry_at.unwrap());
    pass(&mut reconciler).await;
    assert_eq!(world.row(user).await.status, SandboxStatus::Ready);
}

#[tokio::test]
async fn ends_that_are_far_apart_are_not_counted_together() {
    let world = World::new().await;
    let user = world.ready(1).await.user;
    let mut reconciler = world.reconciler();
    kill(&world, &mut reconciler, user).await;
    assert_eq!(world.row(user).await.failures, 1);

    for _ in 0..2 {
        pass(&mut reconciler).await;
        world.clock.advance(TimeDelta::minutes(10));
    }
    pass(&mut reconciler).await;

    assert_eq!(world.row(user).await.failures, 0);
}

#[tokio::test]
async fn a_restart_outlasts_an_engine_that_is_away_for_minutes() {
    let world = World::new().await;
    let ready = world.ready(1).await;
    world.runtime.kill(&ContainerName::of(ready.id, 1));
    world.runtime.set_fault(Some(EngineFault::NoImage));
    let mut reconciler = world.reconciler();
    reconciler.pass(&CancellationToken::new()).await.unwrap();
    eventually("the start begins", async || {
        world.row(ready.user).await.status == SandboxStatus::Starting
    })
    .await;

    world.runtime.set_fault(Some(EngineFault::Failing));
    world.clock.advance(TimeDelta::minutes(4));
    let is_over = async || {
        let status = world.row(ready.user).await.status;
        status != SandboxStatus::Starting
    };
    assert!(!is_over().await);
    world.runtime.set_fault(None);
    reconciler.settle().await;

    world.assert_ready(ready.user, 2).await;
    assert_eq!(world.keys.made(), 1);
    assert!(world.told().await.is_empty());
}

#[tokio::test]
async fn a_request_whose_handler_panicked_is_driven_nevertheless() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    let handler = HandleRequest::new(Arc::new(world.provisioner()));
    world.probe.panic_once();

    let event = requested.clone();
    let handling = tokio::spawn(async move { handler.handle(&event, &attempt()).await });
    assert!(handling.await.unwrap_err().is_panic());
    world.pass().await;

    world.assert_ready(requested.user, 1).await;
}

#[tokio::test]
async fn a_request_that_is_given_up_before_it_was_stored_is_driven_nevertheless() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    let handler = HandleRequest::new(Arc::new(world.provisioner()));

    handler.given_up(&requested).await.unwrap();
    world.pass().await;

    world.assert_ready(requested.user, 1).await;
}

/// Kills the user's container and lets the reconciler see it; returns when.
async fn kill(world: &World, reconciler: &mut Reconciler, user: UserId) -> DateTime<Utc> {
    let sandbox = world.row(user).await;
    world
        .runtime
        .kill(&ContainerName::of(sandbox.id, sandbox.start));
    pass(reconciler).await;
    world.clock.now()
}
