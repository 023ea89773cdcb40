use std::time::Instant;

use claw_domain::{DeliveryState, ReplyId, Wamid};
use claw_store::{Store, WhileSuspended};
use tokio::task::JoinSet;

use crate::world::{World, at, message, receive, reply, settlement};

const WORKERS: u32 = 20;
const MESSAGES_EACH: u32 = 200;

/// So low that a slow machine reaches it, unless an index is missing or a call needs a second round trip.
const FLOOR_PER_SECOND: f64 = 100.0;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_connections_carry_a_minimum_of_messages_per_second() {
    let world = World::with_connections(WORKERS).await;
    let started = Instant::now();
    let mut workers = JoinSet::new();
    for number in 0..WORKERS {
        workers.spawn(converse(world.store.clone(), number));
    }

    workers.join_all().await;

    let per_second = f64::from(WORKERS * MESSAGES_EACH) / started.elapsed().as_secs_f64();
    eprintln!(
        "{per_second:.0} messages a second: received, batched, settled, begun, accepted and reported"
    );
    assert!(per_second > FLOOR_PER_SECOND);
}

/// Makes every call to the store that a message needs, once for each message.
async fn converse(store: Store, number: u32) {
    let (messages, deliveries) = (store.messages(), store.deliveries());
    receive(&store, &message(number, 0)).await;
    for n in 0..MESSAGES_EACH {
        let asked = message(number, n);
        let name = format!("{number} {n}");
        let wamid = Wamid::new(name.as_str());
        messages.receive(&asked).await.unwrap();
        let waiting = messages.waiting(asked.user, 10).await.unwrap();
        messages
            .form_batch(asked.user, asked.id, &[waiting[0].id])
            .await
            .unwrap();
        messages
            .settle(&settlement(asked.user, &[asked.id], &[reply(&name)]))
            .await
            .unwrap();
        let begun = deliveries
            .begin(
                asked.user,
                ReplyId::derived_from(&name),
                1,
                true,
                WhileSuspended::Hold,
                at(1),
            )
            .await
            .unwrap();
        let piece = begun.unwrap().pieces[0].id;
        deliveries
            .mark_accepted(piece, &wamid, at(2))
            .await
            .unwrap();
        deliveries
            .report(Some(piece), &wamid, DeliveryState::Read, None, at(3))
            .await
            .unwrap();
    }
}
