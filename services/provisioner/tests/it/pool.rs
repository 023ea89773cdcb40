//! The pool of spare sandboxes: newcomers get one at once, and none is left over.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use claw_bus::Handler;
use claw_docker::{
    ContainerName,
    fake::{EngineFault, FakeRuntime},
};
use claw_domain::SandboxStatus;
use claw_events::{SandboxReady, SandboxRequested};
use futures_util::{StreamExt, future::join_all};
use provisioner::HandleRequest;

use crate::request::Running;
use crate::world::{World, attempt, pass, start_of_time};

/// So long that only a claim that waits for something takes longer, also on a slow machine.
const SLOWEST_CLAIM: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn fifty_newcomers_at_once_get_a_sandbox_each_and_nobody_waits_for_a_start() {
    let mut world = World::new().await;
    world.settings.cap = 100;
    world.fill_pool(51).await;
    let mut requests = Vec::new();
    for number in 0..50 {
        requests.push(world.message_from(number).await);
    }
    let mut ready = world.gateway.watch::<SandboxReady>().await.unwrap().boxed();
    let publisher = world.gateway.publisher();
    let running = Running::start(&world, world.provisioner());
    let earlier = world.message_from(99).await;
    publisher.publish(&earlier).await.unwrap();
    ready.next().await.unwrap();

    let began = Instant::now();
    let publishing = requests
        .iter()
        .map(|requested| publisher.publish(requested));
    let (answers, times) = tokio::join!(join_all(publishing), async {
        let times = ready.take(50).map(|_| began.elapsed());
        times.collect::<Vec<_>>().await
    });

    assert!(answers.iter().all(Result::is_ok));
    let (median, most) = (times[24], times[47]);
    eprintln!("from the first of 50 requests until ready: p50 {median:?}, p95 {most:?}");
    assert!(most < SLOWEST_CLAIM);
    running.stop().await;
    let mut sandboxes = HashSet::new();
    for requested in &requests {
        let row = world.row(requested.user).await;
        assert_eq!(row.cause, Some(requested.cause));
        assert!(sandboxes.insert(row.id), "{} is shared", row.id);
        world.assert_announced(&format!("ready {} 1", row.id)).await;
    }
    assert_eq!((world.runtime.made(), world.keys.made()), (51, 51));
    assert!(world.spares().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_claims_one_sandbox_however_often_and_for_whatever_they_ask() {
    let mut world = World::new().await;
    world.fill_pool(4).await;
    let (first, second) = (world.message_from(1).await, world.message(1, 2).await);
    let handler = HandleRequest::new(Arc::new(world.provisioner()));

    let asked = [&first, &first, &second, &second];
    let results = join_all(asked.map(|requested| handle(&handler, requested))).await;
    handle(&handler, &first).await;

    assert_eq!(results.len(), 4);
    assert_eq!(world.spares().await.len(), 3);
    assert_eq!(world.row(first.user).await.start, 1);
    assert_eq!(world.runtime.made(), 4);
}

#[tokio::test]
async fn a_newcomer_is_started_as_usual_if_no_spare_sandbox_is_ready_here() {
    let mut world = World::new().await;
    world.fill_pool(1).await;
    let spare = world.spares().await[0].clone();
    let elsewhere = Arc::new(FakeRuntime::default());
    elsewhere.set_engine_id("elsewhere");
    let requested = world.message_from(1).await;

    let handler = HandleRequest::new(Arc::new(world.provisioner_at(&elsewhere)));
    handle(&handler, &requested).await;

    assert_ne!(world.row(requested.user).await.id, spare.id);
    assert_eq!(elsewhere.containers().len(), 1);
    assert_eq!(world.spares().await, [spare]);
}

#[tokio::test]
async fn the_heartbeats_of_a_spare_assistant_begin_with_its_first_start_for_a_user() {
    let mut world = World::new().await;
    world.container_settings.heartbeat_every = "30m".to_owned();
    world.fill_pool(1).await;
    let every = |sandbox, start| {
        let container = ContainerName::of(sandbox, start);
        world.runtime.variable(&container, "HEARTBEAT_EVERY")
    };
    let spare = world.spares().await[0].id;
    assert_eq!(every(spare, 1).as_deref(), Some("0m"));

    let requested = world.message_from(1).await;
    let provisioner = world.provisioner();
    provisioner.request(&requested).await.unwrap();
    world.runtime.kill(&ContainerName::of(spare, 1));
    assert!(world.drive(&provisioner, requested.user).await);

    assert_eq!(every(spare, 2).as_deref(), Some("30m"));
}

#[tokio::test]
async fn a_claim_whose_process_dies_is_announced_by_the_next_one() {
    let mut world = World::new().await;
    world.fill_pool(1).await;
    let requested = world.message_from(1).await;
    world.provisioner().request(&requested).await.unwrap();

    world.settings.pool_size = 0;
    world.pass().await;

    world.assert_ready(requested.user, 1).await;
    assert_eq!(world.runtime.made(), 1);
}

#[tokio::test]
async fn the_pool_is_filled_again_and_an_emergency_stop_keeps_it_from_growing() {
    let mut world = World::new().await;
    world.fill_pool(2).await;
    let suspensions = world.store.suspensions();
    let suspended = suspensions.suspend_all("emergency", start_of_time());
    suspended.await.unwrap();
    assert!(world.suspensions.refresh().await.unwrap());
    world.settings.pool_size = 3;

    world.pass().await;
    let newcomer = world.message_from(1).await;
    let during = world.provisioner().request(&newcomer).await.unwrap();

    assert_eq!(during.status, SandboxStatus::Requested, "it claims none");
    assert_eq!(world.keys.disabled(), 2);
    assert_eq!(world.spares().await.len(), 2);

    suspensions.resume_all().await.unwrap();
    assert!(world.suspensions.refresh().await.unwrap());
    for _ in 0..3 {
        world.pass().await;
    }
    assert_eq!(world.keys.disabled(), 0);
    assert_eq!(world.spares().await.len(), 3);
}

#[tokio::test]
async fn a_spare_sandbox_that_dies_is_removed_and_replaced_after_a_pause() {
    let mut world = World::new().await;
    world.fill_pool(1).await;
    let dead = world.spares().await[0].clone();
    world.runtime.kill(&ContainerName::of(dead.id, 1));
    let mut reconciler = world.reconciler();

    for _ in 0..3 {
        pass(&mut reconciler).await;
    }
    assert_nothing_is_left(&world).await;

    world.clock.advance(TimeDelta::minutes(1));
    for _ in 0..2 {
        pass(&mut reconciler).await;
    }
    let spares = world.spares().await;
    assert_eq!(spares.len(), 1);
    assert_ne!(spares[0].id, dead.id);
    assert_eq!(spares[0].status, SandboxStatus::Ready);
}

#[tokio::test]
async fn a_pool_whose_starts_fail_pauses_and_tells_the_operator_once() {
    let mut world = World::new().await;
    world.settings.pool_size = 2;
    world.runtime.set_fault(Some(EngineFault::NoImage));
    let mut reconciler = world.reconciler();

    for _ in 0..40 {
        pass(&mut reconciler).await;
        world.clock.advance(TimeDelta::seconds(30));
    }

    // In twenty minutes two start at a time: at once, and after 1, 2, 4 and 8 minutes.
    assert_eq!(world.keys.made(), 10);
    assert_eq!(world.told().await, ["pool_failing"]);
    world.runtime.set_fault(None);
    world.settings.pool_size = 0;
    world.pass().await;
    assert_nothing_is_left(&world).await;
}

#[tokio::test]
async fn a_smaller_pool_removes_the_surplus_and_leaves_nothing_behind() {
    let mut world = World::new().await;
    world.fill_pool(3).await;

    world.settings.pool_size = 1;
    world.pass().await;
    assert_eq!(world.spares().await.len(), 1);
    assert_eq!(world.runtime.containers().len(), 1);
    assert_eq!(world.runtime.volumes().len(), 1);
    assert_eq!(world.keys.names().len(), 1);

    world.settings.pool_size = 0;
    world.pass().await;
    assert_nothing_is_left(&world).await;
}

#[tokio::test]
async fn spare_sandboxes_of_an_old_image_or_with_another_model_are_replaced() {
    let mut world = World::new().await;
    world.fill_pool(1).await;
    let mut earlier = world.spares().await;

    for change in ["image", "model"] {
        if change == "image" {
            world.container_settings.image = "clawkaka/sandbox:next".to_owned();
        } else {
            world.settings.model = "openrouter/next".to_owned();
            let newcomer = world.message_from(1).await;
            let claimed = world.provisioner().request(&newcomer).await.unwrap();
            assert_ne!(claimed.id, earlier[0].id, "it has the old model");
        }
        for _ in 0..3 {
            world.pass().await;
        }

        let spares = world.spares().await;
        assert_eq!(spares.len(), 1, "{change}");
        assert_eq!(spares[0].status, SandboxStatus::Ready, "{change}");
        assert_ne!(spares[0].id, earlier[0].id, "{change}");
        earlier = spares;
    }
    assert_eq!(world.runtime.volumes().len(), 2);
    assert_eq!(world.keys.names().len(), 2);
}

async fn handle(handler: &HandleRequest, requested: &SandboxRequested) {
    handler.handle(requested, &attempt()).await.unwrap();
}

async fn assert_nothing_is_left(world: &World) {
    assert!(world.spares().await.is_empty());
    assert!(world.runtime.containers().is_empty());
    assert!(world.runtime.volumes().is_empty());
    assert!(world.keys.names().is_empty());
}
