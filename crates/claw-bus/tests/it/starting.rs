//! A service that starts where every write to the server's disk is slow.

use std::time::Duration;

use claw_bus::{Bus, Share};
use claw_testkit::eventually;
use tokio::time::timeout;

use crate::{
    slow_disk::SlowDisk,
    world::{Recorder, Replica, World, connect_at, request, run},
};

/// How long one write takes: what a busy machine was seen to need.
const SYNC: Duration = Duration::from_millis(50);

#[tokio::test(flavor = "multi_thread")]
async fn replicas_on_a_slow_disk_take_their_share_in_few_writes_and_keep_it() {
    let world = World::new().await;
    let disk = SlowDisk::of(&world.nats, SYNC).await;
    let services = ["gateway", "outbound", "provisioner"];
    let mut replicas = Vec::new();
    for service in services {
        let bus = connect_at(disk.port, &world.nats, service).await;
        replicas.push(Replica::holding(&bus, Share::Partitions));
    }

    for replica in &replicas {
        replica.has(64).await;
    }
    let writes = disk.writes_to("OWN").await;
    let tenures = replicas[0].tenures().await;
    let lost = tenures[0].lost();
    assert!(writes < 64, "{writes} writes for three services");
    // Longer than a lease.
    assert!(
        timeout(Duration::from_secs(4), lost.cancelled())
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_events_on_a_slow_disk_wait_for_no_floor_to_be_written() {
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
