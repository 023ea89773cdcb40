use claw_domain::{DeliveryState, ReplyId, Wamid};
use claw_store::WhileSuspended;
use claw_testkit::eventually;

use crate::world::{OLD_KEY, World, at, keyring, message, new_sandbox, reply, request, settlement};

#[tokio::test(flavor = "multi_thread")]
async fn every_error_is_transient_while_the_database_is_down_and_the_pool_recovers() {
    let world = World::with_connections(4).await;
    let asked = message(1, 0);
    world.receive(&asked).await;
    assert!(world.store.is_reachable().await);

    world.server.stop().await.unwrap();

    assert!(!world.store.is_reachable().await);
    for transient in calls_during_an_outage(&world).await {
        assert!(transient);
    }
    world.server.start_again().await.unwrap();
    eventually("the pool has connections again", || async {
        world.store.is_reachable().await
    })
    .await;
    assert!(!world.receive(&asked).await.fresh);
    world.answer(&asked, reply("a")).await;
}

/// Whether each kind of call failed with a transient error.
async fn calls_during_an_outage(world: &World) -> Vec<bool> {
    let asked = message(1, 0);
    let store = &world.store;
    let (messages, deliveries, sandboxes) =
        (store.messages(), store.deliveries(), store.sandboxes());
    let reply_id = ReplyId::derived_from("r");
    let (wamid, request) = (Wamid::new("w"), request(asked.user, "a", 1));
    let (new, keyring) = (new_sandbox(asked.user), keyring(OLD_KEY));
    let answered = settlement(asked.user, &[asked.id], &[]);
    let (received, settled, begun, reported, requested, read) = tokio::join!(
        messages.receive(&asked),
        messages.settle(&answered),
        deliveries.begin(asked.user, reply_id, 1, true, WhileSuspended::Hold, at(1)),
        deliveries.report(None, &wamid, DeliveryState::Read, None, at(1)),
        sandboxes.request(&request, &new, &keyring),
        sandboxes.of_user(asked.user),
    );
    vec![
        received.is_err_and(|error| error.is_transient()),
        settled.is_err_and(|error| error.is_transient()),
        begun.is_err_and(|error| error.is_transient()),
        reported.is_err_and(|error| error.is_transient()),
        requested.is_err_and(|error| error.is_transient()),
        read.is_err_and(|error| error.is_transient()),
    ]
}
