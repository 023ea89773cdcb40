use std::time::Duration;

use claw_bus::{Bus, BusConfig};
use claw_events::SuspensionChanged;
use claw_testkit::user_of;
use futures_util::StreamExt;
use serde_json::json;
use tokio::time::timeout;

use crate::ada::{World, ada};

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_suspended_and_resumed_and_the_services_are_told() {
    let world = World::new().await;
    let gateway = BusConfig {
        url: world.nats.url("gateway").into(),
        service: "gateway",
    };
    let gateway = Bus::connect(&gateway).await.unwrap();
    let signals = gateway.hear_signals::<SuspensionChanged>(None).await;
    let signals = signals.unwrap();
    assert!(
        gateway.is_ready().await,
        "the server knows the subscription"
    );

    let first = world
        .run("person suspend +15550000001 --reason abuse")
        .await;
    let again = world
        .run("person suspend +15550000001 --reason fraud --json")
        .await;

    let ada = user_of(&ada());
    assert_eq!(first.out, format!("{ada} is suspended\n"), "{}", first.err);
    assert_eq!(
        again.json(),
        [json!({"user": ada, "outcome": "reason_changed", "users": 1})]
    );
    let in_force = world.store.suspensions().in_force().await.unwrap();
    assert_eq!(in_force.of(ada).unwrap().reason, "fraud");

    let resumed = world
        .run("person resume +15550000001 --reason cleared")
        .await;
    let again = world.run("person resume +15550000001").await;

    assert_eq!(resumed.out, format!("{ada} is no longer suspended\n"));
    assert_eq!(again.out, format!("{ada} was not suspended\n"));
    assert_eq!([first.status, resumed.status, again.status], [0, 0, 0]);
    let told = timeout(Duration::from_secs(20), signals.take(4).collect::<Vec<_>>());
    let told = told.await.unwrap();
    assert!(told.iter().all(|signal| signal.user == Some(ada)));
    assert_eq!(told[2].resumed_because.as_deref(), Some("cleared"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_blocked_and_unblocked_and_the_services_are_told() {
    let world = World::new().await;
    let gateway = BusConfig {
        url: world.nats.url("gateway").into(),
        service: "gateway",
    };
    let gateway = Bus::connect(&gateway).await.unwrap();
    let signals = gateway.hear_signals::<SuspensionChanged>(None).await;
    let signals = signals.unwrap();
    assert!(
        gateway.is_ready().await,
        "the server knows the subscription"
    );
    let ada = user_of(&ada());

    let blocked = world.run("person block +15550000001 --note spam").await;
    let in_force = world.store.suspensions().in_force().await.unwrap();
    let unblocked = world.run("person unblock +15550000001").await;

    assert_eq!([blocked.status, unblocked.status], [0, 0]);
    assert!(in_force.is_blocked(ada));
    let in_force = world.store.suspensions().in_force().await.unwrap();
    assert!(in_force.of(ada).is_none());
    let told = timeout(Duration::from_secs(20), signals.take(2).collect::<Vec<_>>());
    let told = told.await.unwrap();
    assert!(told.iter().all(|signal| signal.user == Some(ada)));
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_is_suspended_and_resumed_by_one_command_each() {
    let world = World::new().await;

    let stopped = world.run("suspend --all --reason incident --json").await;
    let resumed = world.run("resume --all").await;
    let again = world.run("resume --all --json").await;

    assert_eq!(
        stopped.json(),
        [json!({"user": null, "outcome": "suspended", "users": 1})]
    );
    assert_eq!(resumed.out, "everybody is no longer suspended (1 users)\n");
    assert_eq!(again.json()[0]["outcome"], "not_suspended");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_said_in_a_sentence() {
    let mut world = World::new().await;

    let unknown = world
        .run("person suspend +15550000009 --reason abuse")
        .await;
    world.nats.kill().await.unwrap();
    let untold = world.run("suspend --all --reason incident").await;

    assert_eq!(unknown.status, 1);
    assert!(unknown.err.contains("never written or called"));
    assert_eq!(untold.status, 1);
    assert!(untold.err.contains("could not be told"), "{}", untold.err);
    let in_force = world.store.suspensions().in_force().await.unwrap();
    assert!(in_force.everybody.is_some(), "it is stored nevertheless");
}
