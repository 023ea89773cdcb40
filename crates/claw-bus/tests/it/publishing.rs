use std::time::Duration;

use claw_bus::{Outgoing, PublishError};
use claw_events::Stream;

use crate::world::{World, connect, request};

async fn stored(world: &World) -> u64 {
    let jetstream = world.nats.jetstream_of("provisioner").await.unwrap();
    jetstream
        .get_stream(Stream::Sandbox.name())
        .await
        .unwrap()
        .cached_info()
        .state
        .messages
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_published_twice_is_stored_once() {
    let world = World::new().await;
    let publisher = world.gateway.publisher();

    let first = publisher.publish(&request(1, 0)).await.unwrap();
    let second = publisher.publish(&request(1, 0)).await.unwrap();

    assert!(!first.duplicate && second.duplicate);
    assert_eq!(stored(&world).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_in_a_batch_is_not_stored_again() {
    let world = World::new().await;
    let publisher = world.gateway.publisher();
    publisher.publish(&request(1, 1)).await.unwrap();
    let batch: Vec<_> = (0..3)
        .map(|n| Outgoing::new(&request(1, n)).unwrap())
        .collect();

    publisher
        .publish_all(&batch, Duration::from_secs(5))
        .await
        .unwrap();

    assert_eq!(stored(&world).await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_fails_while_the_server_is_down_and_a_retry_stores_the_event_once() {
    let mut world = World::new().await;
    let publisher = world.gateway.publisher();
    let batch = vec![Outgoing::new(&request(1, 0)).unwrap()];
    world.nats.kill().await.unwrap();

    let refused = publisher
        .publish_all(&batch, Duration::from_millis(300))
        .await;
    world.nats.start_again().await.unwrap();
    let taken = publisher.publish_all(&batch, Duration::from_secs(15)).await;

    assert!(matches!(refused, Err(PublishError::NotAcknowledged { .. })));
    assert!(taken.is_ok());
    assert_eq!(stored(&world).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_cannot_publish_the_events_of_another() {
    let world = World::new().await;
    let outbound = connect(&world.nats, "outbound").await;
    let foreign = vec![Outgoing::new(&request(1, 0)).unwrap()];

    let refused = outbound
        .publisher()
        .publish_all(&foreign, Duration::from_millis(300))
        .await;

    assert!(refused.is_err());
    assert_eq!(stored(&world).await, 0);
}
