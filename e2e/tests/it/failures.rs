use std::{collections::HashSet, sync::Arc, time::Duration};

use e2e::harness::{Service, World};
use sim_openclaw::{Restart, SimOpenClaw};
use tokio::time::{Instant, sleep};

use crate::crowd::Crowd;

/// Time that the crowd writes before the first failure.
const KILL_DELAY: Duration = Duration::from_secs(4);

/// Time between two outages of a server.
const BETWEEN_OUTAGES: Duration = Duration::from_secs(6);

/// Duration of an outage.
const OUTAGE: Duration = Duration::from_secs(2);

/// Pause between two searches for busy sandboxes.
const KILL_PAUSE: Duration = Duration::from_millis(200);

/// Longest time until a third of the crowd's sandboxes were busy, and so could be killed.
const KILL_LIMIT: Duration = Duration::from_mins(3);

/// Kills a sandbox, which is down for 500 ms and starts for 300 ms.
const SANDBOX_KILL: Restart = Restart {
    down_ms: 500,
    starting_ms: 300,
    ..Restart::KILL
};

#[tokio::test(flavor = "multi_thread")]
async fn meta_gets_503_while_nats_is_down_and_no_message_is_lost() {
    let mut world = Crowd::world().await;
    let meta = Arc::clone(&world.meta);
    let outage = async {
        sleep(KILL_DELAY).await;
        world.nats.kill().await.unwrap();
        sleep(Duration::from_secs(6)).await;
        let refused = meta.stats().webhooks.refused;
        world.nats.start_again().await.unwrap();
        refused
    };

    let ((), refused) = tokio::join!(Crowd::USUAL.write(&meta), outage);

    assert!(refused > 0, "no webhook was refused while NATS was down");
    Crowd::USUAL.verify(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_message_is_lost_during_twenty_seconds_without_postgres() {
    let world = Crowd::world().await;
    let meta = Arc::clone(&world.meta);
    let outage = async {
        sleep(KILL_DELAY).await;
        world.postgres.stop().await.unwrap();
        sleep(Duration::from_secs(20)).await;
        world.postgres.start_again().await.unwrap();
    };

    tokio::join!(Crowd::USUAL.write(&meta), outage);

    Crowd::USUAL.verify(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sandboxes_killed_during_their_turns_answer_once() {
    let world = Crowd::world().await;
    let openclaw = world.openclaw.clone().unwrap();
    let deaths = async {
        for _ in 0..2 {
            sleep(KILL_DELAY).await;
            openclaw.restart(None, &SANDBOX_KILL);
        }
    };

    tokio::join!(Crowd::SHORT.write(&world.meta), deaths);

    Crowd::SHORT.verify(&world).await;
    assert!(openclaw.stats().resumed > 0, "no turn was interrupted");
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_servers_and_sandboxes_under_full_load_loses_and_duplicates_nothing() {
    let mut world = Crowd::world_of_gateways(3).await;
    let meta = Arc::clone(&world.meta);
    let openclaw = world.openclaw.clone().unwrap();

    tokio::join!(
        Crowd::MANY.write(&meta),
        kill_servers(&mut world),
        kill_a_third_during_turns(&openclaw)
    );

    Crowd::MANY.verify(&world).await;
    assert!(openclaw.stats().resumed > 0, "no turn was interrupted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_service_ends_within_its_grace_period() {
    let mut world = Crowd::world().await;
    for service in Service::ALL {
        assert!(
            world.stop(service).await.unwrap(),
            "{service:?} ended with an error"
        );
    }
}

/// Kills the bus three times and stops the database twice, alternately.
async fn kill_servers(world: &mut World) {
    for outage in 0..5 {
        sleep(BETWEEN_OUTAGES).await;
        if outage % 2 == 0 {
            world.nats.kill().await.unwrap();
            sleep(OUTAGE).await;
            world.nats.start_again().await.unwrap();
        } else {
            world.postgres.stop().await.unwrap();
            sleep(OUTAGE).await;
            world.postgres.start_again().await.unwrap();
        }
    }
}

/// Kills busy sandboxes, each once, until a third of the crowd's were killed.
async fn kill_a_third_during_turns(openclaw: &SimOpenClaw) {
    sleep(KILL_DELAY).await;
    let (third, mut killed) = (Crowd::MANY.users as usize / 3, HashSet::new());
    let give_up_at = Instant::now() + KILL_LIMIT;
    while killed.len() < third {
        assert!(
            Instant::now() < give_up_at,
            "only {} sandboxes were busy and could be killed",
            killed.len()
        );
        for sandbox in openclaw.busy() {
            if killed.len() < third && killed.insert(sandbox.clone()) {
                openclaw.restart(Some(&sandbox), &SANDBOX_KILL);
            }
        }
        sleep(KILL_PAUSE).await;
    }
}
