use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use claw_bus::Handler;
use claw_docker::{ContainerName, VolumeName};
use claw_domain::{SandboxStatus, WakeReason};
use claw_events::SandboxIdle;
use claw_runtime::Clock;
use claw_store::Sandbox;
use claw_testkit::eventually;
use provisioner::{HandleIdle, HandleRequest};
use tokio_util::sync::CancellationToken;

use crate::world::{World, attempt, drive, start_of_time};

#[tokio::test]
async fn an_idle_sandbox_is_stopped_gracefully_and_keeps_only_its_volume_and_its_key() {
    let world = World::new().await;
    let ready = world.ready(1).await;
    let needed_at = start_of_time() + TimeDelta::minutes(10);

    for _ in 0..2 {
        handle(&world, &idle(&ready, Some(needed_at))).await;
    }

    let asleep = world.row(ready.user).await;
    let container = ContainerName::of(ready.id, 1).to_string();
    assert_eq!(
        (asleep.status, asleep.port, asleep.endpoint),
        (SandboxStatus::Asleep, None, None)
    );
    assert_eq!(asleep.wake_at, Some(needed_at - Duration::from_secs(45)));
    assert_eq!(world.runtime.stopped(), [container]);
    assert!(world.runtime.containers().is_empty());
    assert_eq!(
        world.runtime.volumes(),
        [VolumeName::of(ready.id).to_string()]
    );
    assert_eq!(world.keys.names().len(), 1);
    world
        .assert_announced(&format!("asleep {} 1", ready.id))
        .await;
}

#[tokio::test]
async fn nothing_sleeps_that_is_asked_or_needed_soon_or_was_idle_long_ago() {
    let world = World::new().await;
    let ready = world.ready(1).await;
    let soon = start_of_time() + TimeDelta::seconds(45);

    handle(&world, &idle(&ready, Some(soon))).await;
    let old = SandboxIdle {
        since: start_of_time() - TimeDelta::minutes(2),
        ..idle(&ready, None)
    };
    handle_as_it_is(&world, &old).await;
    world.message(1, 2).await;
    handle(&world, &idle(&ready, None)).await;

    assert_eq!(world.row(ready.user).await.status, SandboxStatus::Ready);
    assert!(world.runtime.stopped().is_empty());
}

#[tokio::test]
async fn a_report_from_before_an_answer_puts_nothing_to_sleep() {
    let world = World::new().await;
    let ready = world.ready(1).await;
    let report = idle(&ready, None);
    world.clock.advance(TimeDelta::seconds(10));
    // In its turn, the assistant plans a reminder of which the report does not know.
    let asked = world.message(1, 2).await;
    world.answer(&asked).await;

    handle_as_it_is(&world, &report).await;

    assert_eq!(world.row(ready.user).await.status, SandboxStatus::Ready);
}

#[tokio::test]
async fn a_message_wakes_a_sleeper_with_its_volume_and_its_key() {
    let world = World::new().await;
    let ready = world.ready(1).await;
    handle(&world, &idle(&ready, None)).await;

    let requested = world.message(1, 2).await;
    let handler = HandleRequest::new(Arc::new(world.provisioner()));
    handler.handle(&requested, &attempt()).await.unwrap();

    world.assert_ready(ready.user, 2).await;
    assert_eq!(world.keys.made(), 1);
}

#[tokio::test]
async fn a_sleeper_is_woken_so_early_that_its_job_is_on_time() {
    let world = World::new().await;
    let ready = world.ready(1).await;
    let needed_at = start_of_time() + TimeDelta::minutes(10);
    handle(&world, &idle(&ready, Some(needed_at))).await;

    world.clock.set(needed_at - TimeDelta::seconds(46));
    world.pass().await;
    assert_eq!(world.row(ready.user).await.status, SandboxStatus::Asleep);
    world.clock.set(needed_at - TimeDelta::seconds(45));
    world.pass().await;

    world.assert_ready(ready.user, 2).await;
    let woken = world.row(ready.user).await;
    assert_eq!(
        (woken.wake_for, woken.job_wakes),
        (Some(WakeReason::Job), 1)
    );
}

#[tokio::test]
async fn jobs_that_are_due_at_the_same_time_start_one_after_the_other_so_that_all_are_on_time() {
    let world = World::new().await;
    let needed_at = start_of_time() + TimeDelta::minutes(10);
    let mut sleepers = Vec::new();
    for number in 1..=5 {
        let ready = world.ready(number).await;
        handle(&world, &idle(&ready, Some(needed_at))).await;
        sleepers.push(ready.user);
    }
    let mut awake = Vec::new();

    // Two can start at the same time, and a start takes 45 s.
    for seconds in [136, 135, 90, 45] {
        world.clock.set(needed_at - TimeDelta::seconds(seconds));
        world.pass().await;
        let mut ready = 0;
        for sleeper in &sleepers {
            ready += usize::from(world.row(*sleeper).await.status.is_ready());
        }
        awake.push(ready);
    }

    assert_eq!(awake, [0, 1, 3, 5]);
}

#[tokio::test]
async fn a_due_job_does_not_wait_for_the_next_pass() {
    let world = World::new().await;
    let ready = world.ready(1).await;
    let needed_at = start_of_time() + TimeDelta::milliseconds(45_300);
    handle(&world, &idle(&ready, Some(needed_at))).await;
    let other = world.message_from(2).await;
    world.provisioner().request(&other).await.unwrap();
    let (mut reconciler, stop) = (world.reconciler(), CancellationToken::new());

    let stopped = stop.clone();
    let running = tokio::spawn(async move { reconciler.run(stopped).await });
    // The first and only pass has begun this start.
    let other = world.row(other.user).await.id;
    world.assert_announced(&format!("ready {other} 1")).await;
    world.clock.set(needed_at);

    world
        .assert_announced(&format!("ready {} 2", ready.id))
        .await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn the_operator_is_told_once_if_a_due_sandbox_finds_no_place() {
    let mut world = World::new().await;
    let sleepers = [world.ready(1).await, world.ready(2).await];
    let needed_at = start_of_time() + TimeDelta::minutes(10);
    for sleeper in &sleepers {
        handle(&world, &idle(sleeper, Some(needed_at))).await;
    }
    world.clock.set(needed_at);
    world.settings.cap = 1;
    let mut reconciler = world.reconciler();

    for _ in 0..2 {
        crate::world::pass(&mut reconciler).await;
    }

    assert_eq!(world.runtime.containers().len(), 1);
    assert_eq!(world.told().await, ["no_place_to_wake"]);
}

#[tokio::test]
async fn a_failed_sandbox_is_tried_again_without_a_message() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    world.probe.fix(Some(provisioner::Readiness::Rejected));
    drive(&Arc::new(world.provisioner()), &requested)
        .await
        .unwrap();
    world
        .assert_nothing_is_left_but(requested.user, "not_approved")
        .await;
    world.probe.fix(None);

    world.clock.advance(TimeDelta::seconds(59));
    world.pass().await;
    assert_eq!(
        world.row(requested.user).await.status,
        SandboxStatus::Failed
    );
    world.clock.advance(TimeDelta::seconds(1));
    world.pass().await;

    world.assert_ready(requested.user, 2).await;
}

#[tokio::test]
async fn a_suspended_user_s_sandbox_falls_asleep_and_does_not_wake() {
    let world = World::new().await;
    let ready = world.ready(1).await;
    let needed_at = start_of_time() + TimeDelta::minutes(10);
    let suspensions = world.store.suspensions();
    let suspended = suspensions.suspend(ready.user, "abuse", start_of_time());
    assert!(suspended.await.unwrap().is_some());
    assert!(world.suspensions.refresh().await.unwrap());

    handle(&world, &idle(&ready, Some(needed_at))).await;
    world.clock.set(needed_at);
    world.pass().await;
    assert_eq!(world.row(ready.user).await.status, SandboxStatus::Asleep);

    assert!(suspensions.resume(ready.user).await.unwrap().is_some());
    assert!(world.suspensions.refresh().await.unwrap());
    world.pass().await;
    eventually("it wakes", async || {
        world.row(ready.user).await.status == SandboxStatus::Ready
    })
    .await;
}

/// Handles a report of now.
async fn handle(world: &World, idle: &SandboxIdle) {
    let since = world.clock.now();
    handle_as_it_is(
        world,
        &SandboxIdle {
            since,
            ..idle.clone()
        },
    )
    .await;
}

async fn handle_as_it_is(world: &World, idle: &SandboxIdle) {
    let handler = HandleIdle::new(Arc::new(world.provisioner()));
    handler.handle(idle, &attempt()).await.unwrap();
}

fn idle(sandbox: &Sandbox, needed_at: Option<DateTime<Utc>>) -> SandboxIdle {
    SandboxIdle {
        user: sandbox.user,
        sandbox: sandbox.id,
        start: sandbox.start,
        since: start_of_time(),
        needed_at,
        needed_for: needed_at.map(|_| WakeReason::Job),
    }
}
