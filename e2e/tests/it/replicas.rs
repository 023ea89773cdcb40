//! Several gateways, of which one dies, freezes, stops or joins. Times are printed, not asserted, because they
//! depend on how busy the machine is.

use std::{sync::Arc, time::Duration};

use claw_metrics::PARTITIONS_OWNED;
use e2e::harness::{Replica, Service, World};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::crowd::{Crowd, now_ms};

/// The number of gateways; one at a time fails.
const GATEWAYS: usize = 3;

/// Time from one outage to the next.
const BETWEEN_OUTAGES: Duration = Duration::from_secs(5);

/// How long a gateway is frozen: longer than its lease.
const FREEZE: Duration = Duration::from_secs(8);

/// Outages in the 50 s in which the crowd writes.
const OUTAGES: usize = 9;

/// Longest time until a gateway that joins has its share.
const JOIN_LIMIT: Duration = Duration::from_mins(1);

/// The number of partitions.
const PARTITIONS: f64 = 64.0;

/// The least partitions the second of two gateways gets. The fair share is 32; the hash makes it vary.
const MIN_SHARE: f64 = 20.0;

#[tokio::test(flavor = "multi_thread")]
async fn users_do_not_notice_gateways_that_die_or_freeze() {
    let mut world = Crowd::world_of_gateways(GATEWAYS).await;
    let meta = Arc::clone(&world.meta);

    let ((), moments) = tokio::join!(Crowd::MANY.write(&meta), outages(&mut world));

    let outcome = Crowd::MANY.verify(&world).await;
    let takeover = outcome.takeovers(&moments);
    eprintln!("after each of {} outages: {takeover}", moments.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_joins_takes_its_share_of_the_partitions() {
    const CROWD: Crowd = Crowd {
        users: 300,
        messages_each: 8,
        per_second: 150,
        copies: 1,
    };
    let mut world = Crowd::world_of_gateways(1).await;
    let meta = Arc::clone(&world.meta);
    let joining = async {
        sleep(BETWEEN_OUTAGES).await;
        let (began, began_ms) = (Instant::now(), now_ms());
        let second = world.add(Service::Gateway).await.unwrap();
        let shared = timeout(JOIN_LIMIT, until_shared(&world, second)).await;
        shared.expect("the second gateway gets its share in time");
        eprintln!(
            "the second gateway had its share after {:?}",
            began.elapsed()
        );
        began_ms..=now_ms()
    };

    let ((), while_joining) = tokio::join!(CROWD.write(&meta), joining);

    let outcome = CROWD.verify(&world).await;
    let waits = outcome.waits(&while_joining);
    eprintln!("from message to assistant in that time: {waits}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_gateway_hands_its_partitions_over() {
    const CROWD: Crowd = Crowd {
        users: 200,
        messages_each: 6,
        per_second: 150,
        copies: 1,
    };
    let mut world = Crowd::world_of_gateways(2).await;
    let meta = Arc::clone(&world.meta);
    let leaving = async {
        sleep(BETWEEN_OUTAGES).await;
        let began_ms = now_ms();
        let ended_well = world.stop(Service::Gateway.replica(1)).await.unwrap();
        (ended_well, began_ms..=now_ms())
    };

    let ((), (ended_well, while_leaving)) = tokio::join!(CROWD.write(&meta), leaving);

    assert!(ended_well);
    let outcome = CROWD.verify(&world).await;
    let waits = outcome.waits(&while_leaving);
    eprintln!("from message to assistant in that time: {waits}");
}

/// Every 5 s another gateway is killed and restarted, or frozen for 8 s; returns when each outage began, in
/// milliseconds since 1970. A freeze lasts into the next outage, so that one gateway does all the work.
async fn outages(world: &mut World) -> Vec<i64> {
    let (mut moments, mut pauses) = (Vec::new(), Vec::new());
    let mut ticks = interval(BETWEEN_OUTAGES);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    for outage in 0..OUTAGES {
        ticks.tick().await;
        let gateway = Service::Gateway.replica(outage % GATEWAYS);
        moments.push(now_ms());
        if outage % 2 == 0 {
            world.kill(gateway).await.unwrap();
            world.restart(gateway).await.unwrap();
        } else {
            pauses.push(world.pause_for(gateway, FREEZE).await.unwrap());
        }
    }
    for pause in pauses {
        pause.await.unwrap().unwrap();
    }
    moments
}

/// Waits until the second gateway has its share and every partition has an owner.
async fn until_shared(world: &World, second: Replica) {
    loop {
        let owned = |replica| world.metric_of(replica, PARTITIONS_OWNED.name());
        let (first, second) = tokio::join!(owned(Service::Gateway.into()), owned(second));
        let (first, second) = (first.unwrap_or_default(), second.unwrap_or_default());
        if second >= MIN_SHARE && first + second >= PARTITIONS {
            return;
        }
        sleep(Duration::from_millis(100)).await;
    }
}
