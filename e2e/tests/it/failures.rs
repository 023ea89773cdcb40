use std::{sync::Arc, time::Duration};

use e2e::{harness::Service, sim_openclaw::Restart};
use tokio::time::sleep;

use crate::crowd::Crowd;

/// How long the crowd writes before something dies.
const UNDER_WAY: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn while_nats_is_away_meta_hears_503_and_afterwards_nothing_is_missing() {
    let mut world = Crowd::world().await;
    let meta = Arc::clone(&world.meta);
    let outage = async {
        sleep(UNDER_WAY).await;
        world.nats.kill().await.unwrap();
        sleep(Duration::from_secs(6)).await;
        let refused = meta.stats().webhooks.refused;
        world.nats.start_again().await.unwrap();
        refused
    };

    let ((), refused) = tokio::join!(Crowd::USUAL.write(&meta), outage);

    assert!(refused > 0, "no webhook was refused while NATS was away");
    Crowd::USUAL.verify(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_seconds_without_postgres_lose_nothing() {
    let world = Crowd::world().await;
    let meta = Arc::clone(&world.meta);
    let outage = async {
        sleep(UNDER_WAY).await;
        world.postgres.stop().await.unwrap();
        sleep(Duration::from_secs(20)).await;
        world.postgres.start_again().await.unwrap();
    };

    tokio::join!(Crowd::USUAL.write(&meta), outage);

    Crowd::USUAL.verify(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sandboxes_killed_in_the_middle_of_their_turns_answer_once() {
    let world = Crowd::world().await;
    let openclaw = world.openclaw.clone().unwrap();
    let deaths = async {
        for _ in 0..3 {
            sleep(UNDER_WAY).await;
            openclaw.restart(
                None,
                &Restart {
                    down_ms: 500,
                    starting_ms: 300,
                    ..Restart::KILL
                },
            );
        }
    };

    tokio::join!(Crowd::USUAL.write(&world.meta), deaths);

    Crowd::USUAL.verify(&world).await;
    assert!(openclaw.stats().resumed > 0, "no turn was interrupted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_told_to_stop_ends_within_its_grace() {
    let mut world = Crowd::world().await;
    for service in Service::ALL {
        assert!(
            world.stop(service).await.unwrap(),
            "{service:?} ended with an error"
        );
    }
}
