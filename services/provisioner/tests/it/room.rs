//! What happens when all places are taken.

use std::sync::Arc;

use chrono::TimeDelta;
use claw_bus::Handler;
use claw_domain::{SandboxStatus, UserId, WakeReason};
use claw_events::{SandboxIdle, SandboxOrder, SandboxOrdered};
use claw_runtime::Clock;
use claw_store::Sandbox;
use futures_util::{FutureExt, Stream, StreamExt};
use provisioner::{HandleIdle, Readiness};
use tokio_util::sync::CancellationToken;

use crate::world::{World, attempt, pass, reconciler_of, start_of_time};

#[tokio::test]
async fn who_was_not_there_for_longest_gives_up_the_place_and_nobody_who_is_talking() {
    let mut world = World::new().await;
    world.settings.cap = 3;
    let orders = world.gateway.watch::<SandboxOrdered>().await.unwrap();
    let mut orders = orders.boxed();
    let talking = world.ready(1).await;
    let (recent, earlier) = (world.ready(2).await, world.ready(3).await);
    // A minute ago the recent one said more, and now the first, who was not there for longest, waits for an answer.
    let said = world.message_at(2, 2, start_of_time() + TimeDelta::minutes(1));
    world.answer(&said.await).await;
    world.message(1, 2).await;
    world.clock.advance(TimeDelta::minutes(5));
    let newcomer = world.message_from(4).await;
    let provisioner = Arc::new(world.provisioner());
    let waiting = provisioner.request(&newcomer).await.unwrap();
    assert_eq!(waiting.status, SandboxStatus::Queued);
    let mut reconciler = reconciler_of(provisioner.clone());

    pass(&mut reconciler).await;
    assert_eq!(next(&mut orders).await, earlier.user);
    // That one does not sleep: the next is asked.
    pass(&mut reconciler).await;
    assert_eq!(next(&mut orders).await, recent.user);
    // All have been asked within the last minute.
    pass(&mut reconciler).await;
    assert_eq!(world.told().await, ["no_place_for_people"]);

    // The gateway finds nobody who needs this one.
    let handler = HandleIdle::new(provisioner);
    let idle = SandboxIdle {
        since: world.clock.now(),
        ..idle(&recent)
    };
    handler.handle(&idle, &attempt()).await.unwrap();
    pass(&mut reconciler).await;

    assert_eq!(world.row(recent.user).await.status, SandboxStatus::Asleep);
    assert_eq!(world.row(newcomer.user).await.status, SandboxStatus::Ready);
    assert_eq!(world.row(talking.user).await.start, 1);
    world.clock.advance(TimeDelta::minutes(1));
    pass(&mut reconciler).await;
    assert!(orders.next().now_or_never().is_none(), "nobody waits");
}

#[tokio::test]
async fn the_pool_gives_its_places_to_those_who_come_back() {
    let mut world = World::new().await;
    world.settings.cap = 4;
    let sleepers = [
        world.ready(1).await,
        world.ready(2).await,
        world.ready(3).await,
    ];
    let handler = HandleIdle::new(Arc::new(world.provisioner()));
    for sleeper in &sleepers {
        handler.handle(&idle(sleeper), &attempt()).await.unwrap();
    }
    world.fill_pool(2).await;

    let mut last = None;
    for number in 1..=3 {
        let requested = world.message(number, 2).await;
        last = Some(world.provisioner().request(&requested).await.unwrap());
    }
    assert_eq!(last.unwrap().status, SandboxStatus::Queued);
    // They all talk, so nobody is asked to sleep.
    world.pass().await;

    for sleeper in &sleepers {
        assert_eq!(world.row(sleeper.user).await.status, SandboxStatus::Ready);
    }
    assert_eq!(world.spares().await.len(), 1);
    assert_eq!(world.runtime.containers().len(), 4);
}

#[tokio::test]
async fn the_pool_leaves_places_for_those_who_come_back() {
    let mut world = World::new().await;
    world.settings.cap = 3;
    world.settings.pool_size = 3;

    for _ in 0..3 {
        world.pass().await;
    }

    assert_eq!(world.spares().await.len(), 2);
}

#[tokio::test]
async fn a_place_that_is_given_up_is_used_at_once() {
    let mut world = World::new().await;
    world.settings.cap = 1;
    world.probe.fix(Some(Readiness::Rejected));
    let (first, second) = (world.message_from(1).await, world.message_from(2).await);
    let provisioner = Arc::new(world.provisioner());
    for requested in [&first, &second] {
        provisioner.request(requested).await.unwrap();
    }
    let mut reconciler = reconciler_of(provisioner);
    let stop = CancellationToken::new();
    let stopped = stop.clone();

    // Its only pass starts the first, which fails.
    let running = tokio::spawn(async move { reconciler.run(stopped).await });

    let second = world.row(second.user).await.id;
    let failed = format!("failed {second} 1 not_approved");
    world.assert_announced(&failed).await;
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn free_places_go_first_to_a_due_job_and_last_to_a_heartbeat() {
    let mut world = World::new().await;
    let mut sleepers = Vec::new();
    for number in 1..=3 {
        sleepers.push(world.ready(number).await);
    }
    let needed_at = start_of_time() + TimeDelta::minutes(10);
    let needed_for = [Some(WakeReason::Heartbeat), Some(WakeReason::Job), None];
    let handler = HandleIdle::new(Arc::new(world.provisioner()));
    for (sleeper, needed_for) in sleepers.iter().zip(needed_for) {
        let idle = SandboxIdle {
            needed_at: needed_for.map(|_| needed_at),
            needed_for,
            ..idle(sleeper)
        };
        handler.handle(&idle, &attempt()).await.unwrap();
    }
    let [heartbeat, job, back] = [0, 1, 2].map(|of: usize| sleepers[of].user);
    world.settings.cap = 0;
    let newcomer = world.message_from(4).await;
    let provisioner = world.provisioner();
    provisioner.request(&newcomer).await.unwrap();
    let returns = world.message(3, 2).await;
    provisioner.request(&returns).await.unwrap();
    world.clock.set(needed_at);

    let mut started = Vec::new();
    for cap in 1..=4 {
        world.settings.cap = cap;
        world.pass().await;
        for user in [heartbeat, job, back, newcomer.user] {
            if world.row(user).await.status.is_ready() && !started.contains(&user) {
                started.push(user);
            }
        }
    }

    assert_eq!(started, [job, back, newcomer.user, heartbeat]);
}

#[tokio::test]
async fn what_the_memory_of_the_host_holds_is_the_limit() {
    let mut world = World::new().await;
    world.settings.cap = u32::MAX;
    // The fake engine has 2^50 bytes.
    world.container_settings.memory_reserve_mb = (1 << 30) - 2;
    for number in 1..=2 {
        world.ready(number).await;
    }
    let third = world.message_from(3).await;

    let provisioner = world.provisioner();
    let queued = provisioner.request(&third).await.unwrap();

    assert_eq!(provisioner.places(), 2);
    assert_eq!(queued.status, SandboxStatus::Queued);
}

fn idle(sandbox: &Sandbox) -> SandboxIdle {
    SandboxIdle {
        user: sandbox.user,
        sandbox: sandbox.id,
        start: sandbox.start,
        since: start_of_time(),
        needed_at: None,
        needed_for: None,
    }
}

/// Whose sandbox is asked to sleep next.
async fn next(orders: &mut (impl Stream<Item = SandboxOrdered> + Unpin)) -> UserId {
    let ordered = orders.next().await.unwrap();
    assert_eq!(ordered.order, SandboxOrder::Sleep);
    ordered.user
}
