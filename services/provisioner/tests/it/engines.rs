//! A provisioner leaves the sandboxes of another engine alone.

use std::sync::Arc;

use claw_bus::{Handler, HandlerError};
use claw_docker::{ContainerName, Runtime, fake::FakeRuntime};
use claw_events::{SandboxIdle, SandboxOrder, SandboxOrdered};
use claw_runtime::Clock;
use claw_testkit::eventually;
use provisioner::{HandleIdle, HandleOrder, HandleRequest};
use uuid::Uuid;

use crate::world::{World, attempt, drive, pass, reconciler_of};

#[tokio::test]
async fn a_standby_at_another_engine_touches_nothing_and_says_so_once() {
    let world = World::new().await;
    let there = Arc::new(FakeRuntime::default());
    there.set_engine_id("there");
    let ready = world.ready(1).await;
    let before = world.row(ready.user).await;
    // Dead at its engine, which the standby does not see.
    world.runtime.kill(&ContainerName::of(ready.id, 1));
    let standby = Arc::new(world.provisioner_at(&there));
    let mut reconciler = reconciler_of(Arc::clone(&standby));

    for _ in 0..2 {
        pass(&mut reconciler).await;
    }
    let requested = world.message(1, 2).await;
    let handled = HandleRequest::new(Arc::clone(&standby))
        .handle(&requested, &attempt())
        .await;
    let idle = SandboxIdle {
        user: ready.user,
        sandbox: ready.id,
        start: ready.start,
        since: world.clock.now(),
        needed_at: None,
        needed_for: None,
    };
    let reported = HandleIdle::new(Arc::clone(&standby))
        .handle(&idle, &attempt())
        .await;
    let ordered = SandboxOrdered {
        user: ready.user,
        order: SandboxOrder::Remove,
        start: ready.start,
        id: Uuid::new_v4(),
    };
    let ordered = HandleOrder::new(standby).handle(&ordered, &attempt()).await;

    // The gateway asks again; an operator does not.
    assert!(handled.is_ok() && reported.is_ok());
    assert!(matches!(ordered, Err(HandlerError::Retry { .. })));
    assert_eq!(world.row(ready.user).await, before);
    assert_eq!((there.made(), world.runtime.made()), (0, 1));
    assert!(there.volumes().is_empty());
    assert_eq!(world.told().await, ["sandboxes_elsewhere"]);

    world.pass().await;
    world.assert_ready(ready.user, 2).await;
}

#[tokio::test]
async fn a_provisioner_notices_another_engine_before_it_changes_anything() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    let provisioner = Arc::new(world.provisioner());
    assert!(drive(&provisioner, &requested).await.unwrap());
    let before = world.row(requested.user).await;
    let container = ContainerName::of(before.id, 1);

    // As if the engine had lost its id and everything else.
    world.runtime.set_engine_id("new");
    world.runtime.remove(&container).await.unwrap();
    assert!(world.drive(&provisioner, requested.user).await);

    assert_eq!(world.row(requested.user).await, before);
    assert_eq!(world.runtime.made(), 1);
    assert_eq!(world.told().await, ["sandboxes_elsewhere"]);
}

#[tokio::test]
async fn a_standby_takes_newcomers_who_have_never_been_started() {
    let world = World::new().await;
    let there = Arc::new(FakeRuntime::default());
    there.set_engine_id("there");
    let requested = world.message_from(1).await;
    world.provisioner().request(&requested).await.unwrap();

    let mut reconciler = reconciler_of(Arc::new(world.provisioner_at(&there)));
    pass(&mut reconciler).await;

    eventually("it is ready there", async || {
        world.row(requested.user).await.status.is_ready()
    })
    .await;
    assert_eq!((there.made(), world.runtime.made()), (1, 0));
    let engine = world.row(requested.user).await.engine;
    assert_eq!(engine.as_deref(), Some("there"));
}
