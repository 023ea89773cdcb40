use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use claw_bus::Handler;
use claw_docker::{ContainerName, VolumeName, fake::EngineFault};
use claw_domain::{SandboxId, WakeReason};
use claw_events::SandboxIdle;
use claw_testkit::eventually;
use provisioner::{HandleIdle, KeyName, Readiness, Reconciler, ReconcilerIntervals};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::world::{OWNER, World, attempt, drive, pass, start_of_time};

#[tokio::test]
async fn the_reconciler_finishes_a_start_that_a_killed_process_began() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    world.provisioner().request(&requested).await.unwrap();

    world.pass().await;

    let row = world.row(requested.user).await;
    world.assert_announced(&format!("ready {} 1", row.id)).await;
    world.assert_ready(requested.user, 1).await;
}

#[tokio::test]
async fn a_sandbox_whose_container_died_restarts_with_its_volume_and_its_model_key() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    drive(&Arc::new(world.provisioner()), &requested)
        .await
        .unwrap();
    let before = world.row(requested.user).await;

    world.runtime.kill(&ContainerName::of(before.id, 1));
    world.pass().await;

    world
        .assert_announced(&format!("ready {} 2", before.id))
        .await;
    world.assert_ready(requested.user, 2).await;
    let after = world.row(requested.user).await;
    assert_eq!(after.model_key_hash, before.model_key_hash);
    assert_eq!((after.endpoint, after.port), (before.endpoint, before.port));
}

#[tokio::test]
async fn the_volume_survives_a_failed_restart() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    drive(&Arc::new(world.provisioner()), &requested)
        .await
        .unwrap();
    let sandbox = world.row(requested.user).await;
    world.runtime.kill(&ContainerName::of(sandbox.id, 1));
    world.probe.fix(Some(Readiness::Rejected));

    world.pass().await;

    world
        .assert_announced(&format!("failed {} 2 not_approved", sandbox.id))
        .await;
    assert!(world.runtime.containers().is_empty());
    assert_eq!(
        world.runtime.volumes(),
        [VolumeName::of(sandbox.id).to_string()]
    );
    assert!(world.keys.names().is_empty());
}

#[tokio::test]
async fn a_container_without_a_row_is_removed_and_the_others_stay() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    drive(&Arc::new(world.provisioner()), &requested)
        .await
        .unwrap();
    let stray = SandboxId::derived_from("stray");
    world.runtime.add(&ContainerName::of(stray, 1), Some(stray));
    world.runtime.add(&ContainerName::of(stray, 2), None);

    world.pass().await;

    world.assert_ready(requested.user, 1).await;
}

#[tokio::test]
async fn only_a_model_key_without_a_row_is_deleted_and_only_after_ten_minutes() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    drive(&Arc::new(world.provisioner()), &requested)
        .await
        .unwrap();
    let stray = SandboxId::derived_from("stray");
    world
        .keys
        .add(&KeyName::new(OWNER, stray, Uuid::nil()).to_string());
    let others = KeyName::new("another-installation", stray, Uuid::nil()).to_string();
    world.keys.add(&others);
    let mut reconciler = world.reconciler();

    pass(&mut reconciler).await;
    assert_eq!(world.keys.names().len(), 3);
    world.clock.advance(TimeDelta::minutes(10));
    pass(&mut reconciler).await;

    let ours = world.row(requested.user).await.model_key_name.unwrap();
    assert_eq!(world.keys.names(), [ours, others]);
}

#[tokio::test]
async fn a_queued_sandbox_starts_when_a_place_is_free() {
    let mut world = World::new().await;
    world.settings.cap = 1;
    let (first, second) = (world.message_from(1).await, world.message_from(2).await);
    let provisioner = Arc::new(world.provisioner());
    drive(&provisioner, &first).await.unwrap();
    drive(&provisioner, &second).await.unwrap();
    world
        .assert_announced(&format!("queued {}", second.user))
        .await;

    world.settings.cap = 2;
    world.pass().await;

    let row = world.row(second.user).await;
    world.assert_announced(&format!("ready {} 1", row.id)).await;
}

#[tokio::test]
async fn a_wake_does_not_wait_for_an_engine_that_hangs() {
    let world = World::new().await;
    let sleeper = world.ready(1).await;
    let needed_at = start_of_time() + TimeDelta::milliseconds(45_500);
    let idle = SandboxIdle {
        user: sleeper.user,
        sandbox: sleeper.id,
        start: sleeper.start,
        since: start_of_time(),
        needed_at: Some(needed_at),
        needed_for: Some(WakeReason::Job),
    };
    let provisioner = Arc::new(world.provisioner());
    let handler = HandleIdle::new(Arc::clone(&provisioner));
    handler.handle(&idle, &attempt()).await.unwrap();
    let intervals = ReconcilerIntervals {
        sandboxes: Duration::from_millis(10),
        keys: Duration::ZERO,
    };
    let mut reconciler = Reconciler::new(Arc::clone(&provisioner), intervals);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let running = tokio::spawn(async move { reconciler.run(stopped).await });
    // Its start shows that passes are made.
    let other = world.message_from(2).await;
    let other = provisioner.request(&other).await.unwrap();
    world
        .assert_announced(&format!("ready {} 1", other.id))
        .await;

    world.runtime.set_fault(Some(EngineFault::Hangs));
    world.clock.set(needed_at);

    let begins = eventually("its start begins", async || {
        world.row(sleeper.user).await.start == 2
    });
    // The engine is given up after 10 s.
    timeout(Duration::from_secs(5), begins).await.unwrap();
    world.runtime.set_fault(None);
    world
        .assert_announced(&format!("ready {} 2", sleeper.id))
        .await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_stopped_reconciler_ends_its_running_starts() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    world.provisioner().request(&requested).await.unwrap();
    world.probe.fix(Some(Readiness::NotReady));
    let stop = CancellationToken::new();

    let (mut reconciler, stopped) = (world.reconciler(), stop.clone());
    let running = tokio::spawn(async move { reconciler.run(stopped).await });
    eventually("the sandbox is probed", || async {
        world.probe.count() > 0
    })
    .await;
    stop.cancel();
    running.await.unwrap();

    assert_eq!(world.row(requested.user).await.status.as_str(), "starting");
}
