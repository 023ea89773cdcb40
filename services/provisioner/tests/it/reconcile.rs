use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use claw_docker::{ContainerName, VolumeName};
use claw_domain::SandboxId;
use claw_testkit::eventually;
use provisioner::{Door, KeyName, Reconciler, Rhythm};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::world::{OWNER, World, drive};

#[tokio::test]
async fn what_a_killed_process_left_unfinished_is_finished_without_anybody_asking() {
    let world = World::new().await;
    let wish = world.wish_of(1).await;
    world.provisioner().request(&wish).await.unwrap();

    pass(&mut reconciler(&world)).await;

    let row = world.row(wish.user).await;
    world.assert_told(&format!("ready {} 1", row.id)).await;
    world.assert_ready(wish.user, 1).await;
}

#[tokio::test]
async fn a_sandbox_whose_container_died_starts_over_with_its_volume_and_its_key() {
    let world = World::new().await;
    let wish = world.wish_of(1).await;
    drive(&Arc::new(world.provisioner()), &wish).await.unwrap();
    let before = world.row(wish.user).await;

    world.runtime.kill(&ContainerName::of(before.id, 1));
    pass(&mut reconciler(&world)).await;

    world.assert_told(&format!("ready {} 2", before.id)).await;
    world.assert_ready(wish.user, 2).await;
    let after = world.row(wish.user).await;
    assert_eq!(after.model_key_hash, before.model_key_hash);
    assert_eq!((after.endpoint, after.port), (before.endpoint, before.port));
}

#[tokio::test]
async fn what_an_assistant_knows_outlives_a_restart_that_fails() {
    let world = World::new().await;
    let wish = world.wish_of(1).await;
    drive(&Arc::new(world.provisioner()), &wish).await.unwrap();
    let sandbox = world.row(wish.user).await;
    world.runtime.kill(&ContainerName::of(sandbox.id, 1));
    world.doors.stick(Some(Door::Barred));

    pass(&mut reconciler(&world)).await;

    world
        .assert_told(&format!("failed {} 2 not_approved", sandbox.id))
        .await;
    assert!(world.runtime.containers().is_empty());
    assert_eq!(
        world.runtime.volumes(),
        [VolumeName::of(sandbox.id).to_string()]
    );
    assert!(world.keys.names().is_empty());
}

#[tokio::test]
async fn a_container_nobody_has_a_row_for_is_removed_and_the_others_stay() {
    let world = World::new().await;
    let wish = world.wish_of(1).await;
    drive(&Arc::new(world.provisioner()), &wish).await.unwrap();
    let stray = SandboxId::derived_from("stray");
    world.runtime.add(&ContainerName::of(stray, 1), Some(stray));
    world.runtime.add(&ContainerName::of(stray, 2), None);

    pass(&mut reconciler(&world)).await;

    world.assert_ready(wish.user, 1).await;
}

#[tokio::test]
async fn a_key_nobody_remembers_is_deleted_after_a_while_and_no_other() {
    let world = World::new().await;
    let wish = world.wish_of(1).await;
    drive(&Arc::new(world.provisioner()), &wish).await.unwrap();
    let stray = SandboxId::derived_from("stray");
    world
        .keys
        .add(&KeyName::new(OWNER, stray, Uuid::nil()).to_string());
    let others = KeyName::new("another-installation", stray, Uuid::nil()).to_string();
    world.keys.add(&others);
    let mut reconciler = reconciler(&world);

    pass(&mut reconciler).await;
    assert_eq!(world.keys.names().len(), 3);
    world.clock.advance(TimeDelta::minutes(10));
    pass(&mut reconciler).await;

    let ours = world.row(wish.user).await.model_key_name.unwrap();
    assert_eq!(world.keys.names(), [ours, others]);
}

#[tokio::test]
async fn whoever_waits_for_room_is_let_in_when_there_is_some() {
    let mut world = World::new().await;
    world.settings.cap = 1;
    let (first, second) = (world.wish_of(1).await, world.wish_of(2).await);
    let provisioner = Arc::new(world.provisioner());
    drive(&provisioner, &first).await.unwrap();
    drive(&provisioner, &second).await.unwrap();
    world.assert_told(&format!("queued {}", second.user)).await;

    world.settings.cap = 2;
    pass(&mut reconciler(&world)).await;

    let row = world.row(second.user).await;
    world.assert_told(&format!("ready {} 1", row.id)).await;
}

#[tokio::test]
async fn a_reconciler_told_to_stop_ends_with_what_it_had_begun() {
    let world = World::new().await;
    let wish = world.wish_of(1).await;
    world.provisioner().request(&wish).await.unwrap();
    world.doors.stick(Some(Door::Silent));
    let stop = CancellationToken::new();

    let (mut reconciler, told) = (reconciler(&world), stop.clone());
    let running = tokio::spawn(async move { reconciler.run(told).await });
    eventually("it is knocked", || async { world.doors.knocks() > 0 }).await;
    stop.cancel();
    running.await.unwrap();

    assert_eq!(world.row(wish.user).await.status.as_str(), "starting");
}

fn reconciler(world: &World) -> Reconciler {
    let rhythm = Rhythm {
        sandboxes: Duration::from_hours(1),
        keys: Duration::ZERO,
    };
    Reconciler::new(Arc::new(world.provisioner()), rhythm)
}

async fn pass(reconciler: &mut Reconciler) {
    reconciler.pass(&CancellationToken::new()).await.unwrap();
    reconciler.settle().await;
}
