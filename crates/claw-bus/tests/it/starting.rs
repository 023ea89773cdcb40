//! Services that start while every write to the server's disk is slow.

use std::time::Duration;

use claw_bus::{Bus, Share};
use claw_testkit::eventually;
use tokio::time::timeout;

use crate::{
    slow_disk::SlowDisk,
    world::{Recorder, Replica, World, connect_at, request, run},
};

/// How long one write takes, as measured on a busy machine.
const SYNC: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn with_a_slow_disk_replicas_claim_all_units_in_few_writes_and_keep_their_leases() {
    let world = World::new().await;
    let disk = SlowDisk::of(&world.nats, SYNC).await;
    let services = ["gateway", "outbound", "provisioner"];
    let mut replicas = Vec::new();
    for service in services {
        let bus = connect_at(disk.port, &world.nats, service).await;
        replicas.push(Replica::holding(&bus, Share::Partitions));
    }

    for replica in &replicas {
        replica.until_it_holds(64).await;
    }
    let writes = disk.writes_to("OWN").await;
    let tenures = replicas[0].tenures();
    let lost = tenures[0].lost();
    assert!(writes < 64, "{writes} writes for three services");
    // Two leases long.
    assert!(
        timeout(Duration::from_secs(4), lost.cancelled())
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_slow_disk_the_first_events_do_not_wait_for_a_stored_floor() {
    const USERS: u32 = 100;
    let world = World::new().await;
    let disk = SlowDisk::of(&world.nats, SYNC).await;
    let slow: Bus = connect_at(disk.port, &world.nats, "provisioner").await;
    for user in 0..USERS {
        let publisher = world.gateway.publisher();
        publisher.publish(&request(user, 0)).await.unwrap();
    }
    let recorder = Recorder::default();

    let _replica = run(&slow, recorder.clone());
    eventually("every user's event was handled", || async {
        recorder.count() >= USERS as usize
    })
    .await;

    assert_eq!(disk.writes_to("FLOORS").await, 0);
}
