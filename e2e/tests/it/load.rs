use std::{sync::Arc, time::Duration};

use e2e::harness::{Service, World};
use tokio::time::sleep;

use crate::crowd::Crowd;

/// Time between two kills, long enough for the services to be busy again.
const KILL_PAUSE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn every_user_gets_each_answer_once_and_in_order() {
    let world = Crowd::world().await;

    Crowd::USUAL.write(&world.meta).await;

    Crowd::USUAL.verify(&world).await;
    world.assert_no_wait_ended_by_clock().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_arrive_once_and_in_order_while_each_service_is_killed() {
    let mut world = Crowd::world().await;
    let meta = Arc::clone(&world.meta);

    tokio::join!(Crowd::USUAL.write(&meta), kill_each_service(&mut world));

    Crowd::USUAL.verify(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_arrive_once_and_in_order_if_every_webhook_arrives_five_times() {
    let world = Crowd::world().await;
    let crowd = Crowd {
        copies: 5,
        ..Crowd::SHORT
    };

    crowd.write(&world.meta).await;

    crowd.verify(&world).await;
}

async fn kill_each_service(world: &mut World) {
    for service in Service::ALL {
        sleep(KILL_PAUSE).await;
        world.kill(service).await.unwrap();
        world.restart(service).await.unwrap();
    }
}
