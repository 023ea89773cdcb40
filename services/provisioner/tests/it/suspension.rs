//! What becomes of the sandboxes and model keys of suspended users.

use std::sync::Arc;

use claw_bus::Handler;
use claw_docker::ContainerName;
use claw_domain::UserId;
use claw_store::AccessList;
use claw_testkit::eventually;
use provisioner::{HandleRequest, Readiness};
use tokio_util::sync::CancellationToken;

use crate::world::{World, attempt, drive, start_of_time};

#[tokio::test]
async fn the_model_key_of_a_suspended_user_is_disabled_and_that_of_another_is_not() {
    let world = World::new().await;
    let (ada, _bob) = (ready(&world, 1).await, ready(&world, 2).await);

    suspend(&world, Some(ada)).await;
    world.pass().await;

    assert_eq!(world.keys.disabled(), 1);
    assert!(!world.row(ada).await.has_enabled_key);
    assert_eq!(
        world.row(ada).await.status.as_str(),
        "ready",
        "it goes on running"
    );

    resume(&world, Some(ada)).await;
    world.pass().await;
    assert_eq!(world.keys.disabled(), 0);
    assert!(world.row(ada).await.has_enabled_key);
}

#[tokio::test]
async fn the_model_key_of_a_blocked_user_is_disabled_until_they_are_unblocked() {
    let world = World::new().await;
    let ada = ready(&world, 1).await;
    let lists = world.store.access_lists();

    let put = lists.put(ada, AccessList::Block, "spam", start_of_time());
    put.await.unwrap();
    assert!(world.suspensions.refresh().await.unwrap());
    world.pass().await;

    assert_eq!(world.keys.disabled(), 1);

    assert!(lists.remove(ada, AccessList::Block).await.unwrap());
    assert!(world.suspensions.refresh().await.unwrap());
    world.pass().await;
    assert_eq!(world.keys.disabled(), 0);
}

#[tokio::test]
async fn a_change_of_a_key_that_fails_is_made_by_the_next_pass_or_process() {
    let world = World::new().await;
    let users = [ready(&world, 1).await, ready(&world, 2).await];
    world.keys.refuse_to_mint(Some(503));

    suspend(&world, None).await;
    world.pass().await;
    assert_eq!(world.keys.disabled(), 0);
    world.keys.refuse_to_mint(None);
    world.pass().await;
    assert_eq!(world.keys.disabled(), 2);

    world.keys.refuse_to_mint(Some(503));
    resume(&world, None).await;
    world.pass().await;
    for user in users {
        assert!(!world.row(user).await.has_enabled_key, "it may be disabled");
    }
    world.keys.refuse_to_mint(None);
    world.pass().await;
    assert_eq!(world.keys.disabled(), 0);
    for user in users {
        assert!(world.row(user).await.has_enabled_key);
    }
}

#[tokio::test]
async fn a_running_reconciler_disables_and_enables_keys_as_it_hears_of_suspensions() {
    let world = World::new().await;
    let ada = ready(&world, 1).await;
    let mut reconciler = world.reconciler();
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    let running = tokio::spawn(async move { reconciler.run(stopping).await });

    suspend(&world, None).await;
    eventually("the key is disabled", async || world.keys.disabled() == 1).await;
    resume(&world, None).await;

    eventually("the key is enabled", async || {
        world.row(ada).await.has_enabled_key
    })
    .await;
    assert_eq!(world.keys.disabled(), 0);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn a_suspended_users_sandbox_is_started_after_the_suspension() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    suspend(&world, None).await;
    let handler = HandleRequest::new(Arc::new(world.provisioner()));

    handler.handle(&requested, &attempt()).await.unwrap();
    world.pass().await;

    assert_eq!(world.row(requested.user).await.status.as_str(), "requested");
    assert!(world.runtime.containers().is_empty());
    resume(&world, None).await;
    world.pass().await;
    world.assert_ready(requested.user, 1).await;
}

#[tokio::test]
async fn no_sandbox_is_started_for_a_suspended_user_after_a_reboot() {
    let world = World::new().await;
    let ada = ready(&world, 1).await;
    suspend(&world, None).await;
    let row = world.row(ada).await;
    world.runtime.kill(&ContainerName::of(row.id, row.start));

    // Of a new process: its first pass looks at every ready sandbox.
    world.pass().await;

    assert_eq!((world.runtime.made(), world.keys.made()), (1, 1));
    assert_eq!(world.keys.disabled(), 1);

    resume(&world, None).await;
    world.pass().await;
    assert_eq!(world.runtime.made(), 2, "it is started afterwards");
}

#[tokio::test]
async fn a_key_that_is_made_for_a_suspended_user_is_disabled_at_once() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    let provisioner = Arc::new(world.provisioner());
    provisioner.request(&requested).await.unwrap();
    // It begins, reserves a port, and has decided to make a key.
    for _ in 0..2 {
        world.take_step(&provisioner, requested.user, 1).await;
    }
    suspend(&world, None).await;
    world.take_step(&provisioner, requested.user, 1).await;

    assert_eq!((world.keys.made(), world.keys.disabled()), (1, 1));
    assert!(!world.row(requested.user).await.has_enabled_key);
}

#[tokio::test]
async fn a_start_that_waits_for_a_permit_ends_if_its_user_is_suspended_meanwhile() {
    let mut world = World::new().await;
    world.settings.starts_at_once = 1;
    let (first, second) = (world.message_from(1).await, world.message_from(2).await);
    let provisioner = Arc::new(world.provisioner());
    world.probe.fix(Some(Readiness::NotReady));
    let starting = drive(&provisioner, &first);
    eventually("the first has the permit", async || {
        world.runtime.made() == 1
    })
    .await;
    let waiting = drive(&provisioner, &second);
    eventually("the second waits", async || {
        provisioner.waiting_starts() == 1
    })
    .await;

    suspend(&world, Some(second.user)).await;
    world.probe.fix(None);

    assert!(starting.await.unwrap() && waiting.await.unwrap());
    assert_eq!((world.keys.made(), world.runtime.made()), (1, 1));
    assert!(world.row(first.user).await.status.is_ready());
    resume(&world, Some(second.user)).await;
    world.pass().await;
    assert!(world.row(second.user).await.status.is_ready());
}

/// A user with a ready sandbox.
async fn ready(world: &World, number: u32) -> UserId {
    let requested = world.message_from(number).await;
    let provisioner = Arc::new(world.provisioner());
    assert!(drive(&provisioner, &requested).await.unwrap());
    requested.user
}

/// Suspends a user, or everybody, and lets the provisioners know.
async fn suspend(world: &World, user: Option<UserId>) {
    let suspensions = world.store.suspensions();
    if let Some(user) = user {
        let change = suspensions.suspend(user, "abuse", start_of_time()).await;
        assert!(change.unwrap().is_some());
    } else {
        let change = suspensions.suspend_all("incident", start_of_time()).await;
        assert!(!change.unwrap().was_suspended);
    }
    assert!(world.suspensions.refresh().await.unwrap());
}

async fn resume(world: &World, user: Option<UserId>) {
    let suspensions = world.store.suspensions();
    match user {
        Some(user) => assert!(suspensions.resume(user).await.unwrap().is_some()),
        None => assert!(suspensions.resume_all().await.unwrap().was_suspended),
    }
    assert!(world.suspensions.refresh().await.unwrap());
}
