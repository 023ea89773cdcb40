use std::sync::Arc;

use claw_bus::Handler;
use claw_docker::{ContainerName, VolumeName, fake::EngineFault};
use claw_domain::SandboxStatus;
use claw_events::{SandboxOrder, SandboxOrdered};
use claw_runtime::Clock;
use claw_store::Sandbox;
use provisioner::{HandleOrder, HandleRequest, Readiness};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::world::{World, attempt, drive, reconciler_of};

#[tokio::test]
async fn a_restart_stops_the_container_gracefully_and_keeps_volume_and_key() {
    let world = World::new().await;
    let ready = world.ready(1).await;

    order(&world, &ready, SandboxOrder::Restart).await;
    world.pass().await;

    world.assert_ready(ready.user, 2).await;
    let first = ContainerName::of(ready.id, 1).to_string();
    assert_eq!(world.runtime.stopped(), [first]);
    assert_eq!(world.keys.made(), 1);
    assert_eq!(world.row(ready.user).await.failures, 0);
}

#[tokio::test]
async fn a_restart_and_a_wake_also_start_what_has_failed() {
    for by in [SandboxOrder::Restart, SandboxOrder::Wake] {
        let world = World::new().await;
        let requested = world.message_from(1).await;
        world.probe.fix(Some(Readiness::Rejected));
        drive(&Arc::new(world.provisioner()), &requested)
            .await
            .unwrap();
        world.probe.fix(None);

        let failed = world.row(requested.user).await;
        assert_eq!(failed.status, SandboxStatus::Failed);
        order(&world, &failed, by).await;
        world.pass().await;

        world.assert_ready(requested.user, 2).await;
    }
}

#[tokio::test]
async fn a_running_reconciler_carries_an_order_out_at_once() {
    let world = World::new().await;
    let ready = world.ready(1).await;
    let provisioner = Arc::new(world.provisioner());
    let (mut reconciler, stop) = (
        reconciler_of(Arc::clone(&provisioner)),
        CancellationToken::new(),
    );
    let stopped = stop.clone();
    let running = tokio::spawn(async move { reconciler.run(stopped).await });

    let handler = HandleOrder::new(provisioner);
    let ordered = ordered(&ready, SandboxOrder::Restart);
    handler.handle(&ordered, &attempt()).await.unwrap();

    world
        .assert_announced(&format!("ready {} 2", ready.id))
        .await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_removal_leaves_nothing_and_a_later_message_begins_anew() {
    let world = World::new().await;
    let ready = world.ready(1).await;

    for _ in 0..2 {
        order(&world, &ready, SandboxOrder::Remove).await;
        world.pass().await;
    }

    let removed = world.row(ready.user).await;
    assert_eq!(removed.status, SandboxStatus::Removed);
    assert_eq!((removed.port, removed.model_key_name), (None, None));
    assert!(world.runtime.containers().is_empty());
    assert!(world.runtime.volumes().is_empty());
    assert!(world.keys.names().is_empty());

    let requested = world.message(1, 2).await;
    drive(&Arc::new(world.provisioner()), &requested)
        .await
        .unwrap();
    world.assert_ready(ready.user, 2).await;
    assert_eq!(world.row(ready.user).await.transcript, None);
}

#[tokio::test]
async fn an_order_that_is_delivered_again_does_nothing_to_what_began_since() {
    let world = World::new().await;
    let ready = world.ready(1).await;

    order(&world, &ready, SandboxOrder::Restart).await;
    world.pass().await;
    order(&world, &ready, SandboxOrder::Restart).await;
    world.pass().await;
    world.assert_ready(ready.user, 2).await;

    order(&world, &ready, SandboxOrder::Remove).await;
    world.pass().await;
    assert!(
        world.runtime.volumes().is_empty(),
        "a restart in between does not save the volume"
    );
    let requested = world.message(1, 2).await;
    drive(&Arc::new(world.provisioner()), &requested)
        .await
        .unwrap();
    for again in [
        SandboxOrder::Remove,
        SandboxOrder::Restart,
        SandboxOrder::Wake,
    ] {
        order(&world, &ready, again).await;
        world.pass().await;
    }

    world.assert_ready(ready.user, 3).await;
}

#[tokio::test]
async fn a_wake_that_is_delivered_again_does_not_wake_a_later_sleeper() {
    let world = World::new().await;
    let ready = world.ready(1).await;
    let falls_asleep = async |start| {
        let sandboxes = world.store.sandboxes();
        let (now, asleep) = (world.clock.now(), world.row(ready.user).await);
        let fallen = sandboxes.fall_asleep(asleep.current_start(), None, now, now);
        assert!(fallen.await.unwrap());
        world.pass().await;
        assert_eq!(asleep.start, start);
    };
    falls_asleep(1).await;

    order(&world, &ready, SandboxOrder::Wake).await;
    world.pass().await;
    falls_asleep(2).await;
    order(&world, &ready, SandboxOrder::Wake).await;

    assert_eq!(world.row(ready.user).await.status, SandboxStatus::Asleep);
}

#[tokio::test]
async fn every_kind_of_start_applies_a_new_model() {
    let mut world = World::new().await;
    let ready = world.ready(1).await;
    let mut expected = 1;
    for (by, model) in [
        (Some(SandboxOrder::Restart), "openrouter/restarted"),
        (Some(SandboxOrder::Wake), "openrouter/woken"),
        (None, "openrouter/died"),
    ] {
        world.settings.model = model.to_owned();
        let row = world.row(ready.user).await;
        match by {
            Some(by) => {
                if by == SandboxOrder::Wake {
                    let now = world.clock.now();
                    let sandboxes = world.store.sandboxes();
                    let fallen = sandboxes.fall_asleep(row.current_start(), None, now, now);
                    assert!(fallen.await.unwrap());
                    world.pass().await;
                }
                order(&world, &row, by).await;
            }
            None => world.runtime.kill(&ContainerName::of(row.id, row.start)),
        }
        world.pass().await;
        expected += 1;

        world.assert_ready(ready.user, expected).await;
        assert_eq!(world.row(ready.user).await.model, model);
    }
}

#[tokio::test]
async fn a_message_during_a_removal_begins_a_new_sandbox_afterwards() {
    let world = World::new().await;
    let ready = world.ready(1).await;
    order(&world, &ready, SandboxOrder::Remove).await;

    let requested = world.message(1, 2).await;
    let handler = HandleRequest::new(Arc::new(world.provisioner()));
    handler.handle(&requested, &attempt()).await.unwrap();

    world.assert_ready(ready.user, 2).await;
    assert_eq!(world.keys.made(), 2);
}

#[tokio::test]
async fn a_removal_waits_for_an_engine_that_is_away_and_removes_containers_of_every_start() {
    let world = World::new().await;
    let ready = world.ready(1).await;
    world
        .runtime
        .add(&ContainerName::of(ready.id, 7), Some(ready.id));
    order(&world, &ready, SandboxOrder::Remove).await;
    world.runtime.set_fault(Some(EngineFault::Failing));
    let provisioner = Arc::new(world.provisioner());
    let (driven, sandbox) = (provisioner.clone(), ready.id);
    let driving =
        tokio::spawn(async move { driven.drive(sandbox, &CancellationToken::new()).await });
    tokio::task::yield_now().await;
    assert_eq!(
        world.runtime.volumes(),
        [VolumeName::of(ready.id).to_string()]
    );

    world.runtime.set_fault(None);
    assert!(driving.await.unwrap().unwrap());

    assert!(world.runtime.containers().is_empty());
    assert_eq!(world.row(ready.user).await.status, SandboxStatus::Removed);
}

async fn order(world: &World, sandbox: &Sandbox, order: SandboxOrder) {
    let handler = HandleOrder::new(Arc::new(world.provisioner()));
    let ordered = ordered(sandbox, order);
    handler.handle(&ordered, &attempt()).await.unwrap();
}

fn ordered(sandbox: &Sandbox, order: SandboxOrder) -> SandboxOrdered {
    SandboxOrdered {
        user: sandbox.user,
        order,
        start: sandbox.start,
        id: Uuid::new_v4(),
    }
}
