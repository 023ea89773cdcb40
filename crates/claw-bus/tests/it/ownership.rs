//! Each unit has one holder, and another replica claims it only when that one may no longer act.
//!
//! No test claims how fast the machine is. A change of holder is checked by the order of events, and waits end
//! only at a generous deadline. That deadline is shorter than the 30 s after which a replica reads the whole bucket
//! again, so a replica that misses a change fails the test.

use std::collections::HashMap;

use async_nats::jetstream::kv;
use claw_bus::{Share, ensure};
use claw_domain::UserId;
use claw_events::{PARTITIONS, Stream, partition_of, partition_of_subject};
use claw_testkit::eventually;
use tokio::time::timeout;

use crate::{
    owners::Owners,
    wire::Wire,
    world::{DEADLINE, Replica, World, connect, connect_through, until_they_share_all},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_replica_gets_its_part_after_the_others_have_released_it() {
    let world = World::new().await;
    let first = Replica::holding(&world.gateway, Share::Partitions);
    first.until_it_holds(64).await;
    let second = world.gateway_replica().await;
    until_they_share_all(&[&first, &second]).await;
    let former: HashMap<_, _> = [first.tenures(), second.tenures()]
        .concat()
        .into_iter()
        .map(|tenure| (tenure.unit(), tenure))
        .collect();
    assert_eq!(former.len(), 64);

    let third = world.gateway_replica().await;
    let taken = timeout(DEADLINE, third.ownership.tenures().next()).await;
    let taken = taken.unwrap().unwrap();
    assert!(
        !former[&taken.unit()].may_act(),
        "two may act for {taken:?}"
    );

    let all = [&first, &second, &third];
    eventually(
        "each has its part, and every partition is held once",
        || async {
            let held: Vec<_> = all.iter().map(|replica| replica.tenures()).collect();
            let tenures = held.iter().flatten();
            let mut partitions: Vec<_> = tenures.filter_map(claw_bus::Tenure::partition).collect();
            partitions.sort_unstable();
            held.iter().all(|part| part.len() >= 8) && partitions.into_iter().eq(0..PARTITIONS)
        },
    )
    .await;
    for taken in third.tenures() {
        let former = &former[&taken.unit()];
        assert!(!former.may_act(), "two may act for {taken:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_replica_has_released_its_lease_and_all_its_units() {
    let world = World::new().await;
    let first = Replica::holding(&world.gateway, Share::Partitions);
    first.until_it_holds(64).await;
    let second = world.gateway_replica().await;
    until_they_share_all(&[&first, &second]).await;
    let owners = Owners::of(&world, "gateway").await;
    let id = owners.id_of(&first).await;

    first.stop().await;

    assert!(
        !owners.members().await.contains(&id),
        "its lease is still valid"
    );
    assert!(
        !owners.holders().await.contains(&id),
        "it still holds units"
    );
    second.until_it_holds(64).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_units_of_a_dead_replica_are_claimed_after_its_lease_has_expired() {
    let world = World::new().await;
    let first = Replica::holding(&world.gateway, Share::Partitions);
    first.until_it_holds(64).await;
    let second = world.gateway_replica().await;
    until_they_share_all(&[&first, &second]).await;
    let owners = Owners::of(&world, "gateway").await;
    let id = owners.id_of(&first).await;
    let lost = first.tenures();

    first.kill();
    second.until_it_holds(64).await;

    let expired_at = owners.lease_ended_at(&id).await;
    let expired_at = expired_at.expect("its units were claimed under a valid lease");
    for tenure in lost {
        assert!(owners.claimed_at(tenure.unit()).await > expired_at);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_cut_off_stops_acting_before_another_claims_its_units() {
    let world = World::new().await;
    let wire = Wire::to(&world.nats).await;
    let bus = connect_through(&wire, &world.nats, "gateway").await;
    let first = Replica::holding(&bus, Share::Partitions);
    first.until_it_holds(64).await;
    let second = world.gateway_replica().await;
    until_they_share_all(&[&first, &second]).await;
    let lost: HashMap<_, _> = first
        .tenures()
        .into_iter()
        .map(|tenure| (tenure.unit(), tenure))
        .collect();
    assert!(lost.values().all(claw_bus::Tenure::may_act));

    wire.block();
    let mut taken = second.ownership.tenures();
    let mut left = lost.len();
    while left > 0 {
        let tenure = timeout(DEADLINE, taken.next()).await;
        if let Some(former) = lost.get(&tenure.unwrap().unwrap().unit()) {
            assert!(!former.may_act(), "two may act for {:?}", former.unit());
            left -= 1;
        }
    }

    assert!(lost.values().all(|tenure| tenure.lost().is_cancelled()));
    wire.unblock();
    until_they_share_all(&[&first, &second]).await;
    assert!(lost.values().all(|tenure| !tenure.may_act()));
}

#[tokio::test(flavor = "multi_thread")]
async fn undivided_work_has_one_holder_and_the_other_replica_stands_by() {
    let world = World::new().await;
    let first = Replica::holding(&world.provisioner, Share::Whole);
    first.until_it_holds(1).await;
    let other = connect(&world.nats, "provisioner").await;
    let second = Replica::holding(&other, Share::Whole);
    eventually("the second has joined", || async {
        second.ownership.has_joined()
    })
    .await;
    eventually("one of them holds the work", || async {
        first.ownership.holdings() + second.ownership.holdings() == 1
    })
    .await;
    let (owner, waiting) = if first.ownership.holdings() == 1 {
        (first, second)
    } else {
        (second, first)
    };

    owner.stop().await;

    waiting.until_it_holds(1).await;
    let user = claw_testkit::user("any user");
    assert!(waiting.ownership.tenure_of(user).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn partition_of_computes_the_partition_that_the_server_stores() {
    let world = World::new().await;
    for user in 0..200 {
        world.publish(user, 0).await;
    }

    let stream = (world.nats.jetstream_of("provisioner").await.unwrap())
        .get_stream(Stream::Sandbox.name())
        .await
        .unwrap();
    for sequence in 1..=200 {
        let stored = stream.get_raw_message(sequence).await.unwrap();
        let subject = stored.subject.as_str();
        let user: UserId = subject.rsplit('.').next().unwrap().parse().unwrap();
        assert_eq!(partition_of_subject(subject), Some(partition_of(user)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ensure_updates_a_bucket_that_was_created_without_leases() {
    let world = World::new().await;
    let jetstream = world.nats.jetstream_of("gateway").await.unwrap();
    jetstream.delete_key_value("OWN").await.unwrap();
    let plain = kv::Config {
        bucket: "OWN".into(),
        history: 1,
        ..kv::Config::default()
    };
    jetstream.create_key_value(plain).await.unwrap();

    ensure(&connect(&world.nats, "admin").await).await.unwrap();

    let replica = Replica::holding(&world.gateway, Share::Partitions);
    replica.until_it_holds(64).await;
}
