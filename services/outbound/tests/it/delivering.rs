use std::num::NonZeroU32;

use claw_bus::{Attempt, Handler, HandlerError, Tenure};
use claw_domain::{DeliveryState, ReplySource};
use claw_events::{ReplyDelivered, ReplyProduced};
use claw_runtime::{HttpTimeouts, http};
use claw_testkit::eventually;

use outbound::RateLimiter;
use tokio::time::Instant;

use crate::world::{LONG, LONG_TIMEOUTS, SHORT_TIMEOUTS, World, next, unknown_user};

pub fn first_attempt() -> Attempt {
    Attempt {
        number: 1,
        sequence: 1,
        is_replay: false,
        stop: never(),
        tenure: Tenure::unshared(),
    }
}

/// A stop token that is never cancelled. Its type is inferred, because this crate does not depend on `tokio-util`.
fn never<T: Default>() -> T {
    T::default()
}

#[tokio::test]
async fn a_reply_is_formatted_sent_and_announced() {
    let world = World::new().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    let _outbound = world.outbound(LONG_TIMEOUTS).await;

    let reply = world.say("**Done**").await;

    let announced = next(&mut delivered).await;
    assert_eq!((announced.reply, announced.pieces), (reply.id, 1));
    assert_eq!(world.whatsapp.texts_to(&world.ada), ["*Done*"]);
    let piece = world.piece(&reply, 0).await.unwrap();
    assert_eq!(piece.state, DeliveryState::Accepted);
    assert_eq!(
        piece.wamid,
        Some(world.whatsapp.accepted()[0].wamid.clone())
    );
}

#[tokio::test]
async fn a_redelivered_event_sends_its_reply_once() {
    let world = World::new().await;
    let handler = world.deliver_reply().await;
    let reply = world.reply("Hello");

    for _ in 0..2 {
        handler.handle(&reply, &first_attempt()).await.unwrap();
    }

    assert_eq!(world.whatsapp.texts_to(&world.ada), ["Hello"]);
}

#[tokio::test]
async fn a_reply_whose_turn_to_be_sent_has_not_come_can_be_sent_by_the_next_replica_at_once() {
    let world = World::new().await;
    let rate = NonZeroU32::new(1).unwrap();
    let far_off = Instant::now() + LONG;
    let waiting = world
        .deliver_reply_with(RateLimiter::new(rate, far_off))
        .await;
    let reply = world.reply("Hello");
    let stopped = first_attempt();
    stopped.stop.cancel();

    let outcome = waiting.handle(&reply, &stopped).await;

    assert!(matches!(outcome, Err(HandlerError::Retry { .. })));
    let piece = world.piece(&reply, 0).await.unwrap();
    assert_eq!((piece.state, piece.attempts), (DeliveryState::Pending, 0));
    let next = world.deliver_reply().await;
    next.handle(&reply, &first_attempt()).await.unwrap();
    assert_eq!(world.whatsapp.texts_to(&world.ada), ["Hello"]);
}

#[tokio::test]
async fn a_reply_for_an_unknown_user_is_rejected() {
    let world = World::new().await;
    let handler = world.deliver_reply().await;
    let reply = ReplyProduced {
        user: unknown_user(),
        ..world.reply("Hello")
    };

    let outcome = handler.handle(&reply, &first_attempt()).await;

    assert!(matches!(outcome, Err(HandlerError::Reject { .. })));
    assert_eq!(world.whatsapp.attempts(), 0);
}

#[tokio::test]
async fn a_notice_for_somebody_who_is_not_remembered_is_done() {
    let world = World::new().await;
    let handler = world.deliver_reply().await;
    let notice = ReplyProduced {
        user: unknown_user(),
        source: ReplySource::Notice,
        ..world.reply("Hello")
    };

    handler.handle(&notice, &first_attempt()).await.unwrap();

    assert_eq!(world.whatsapp.attempts(), 0);
}

#[tokio::test]
async fn a_blank_reply_sends_nothing() {
    let world = World::new().await;
    let handler = world.deliver_reply().await;

    handler
        .handle(&world.reply(" \n"), &first_attempt())
        .await
        .unwrap();

    assert_eq!(world.whatsapp.attempts(), 0);
}

#[tokio::test]
async fn the_second_piece_waits_until_the_first_is_delivered() {
    let world = World::new().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    let _outbound = world.outbound(LONG_TIMEOUTS).await;
    let (first, second) = ("First. ".repeat(500), "Second. ".repeat(400));

    world.say(&format!("{first}\n\n{second}")).await;

    world.attempted(1).await;
    world
        .report(&world.whatsapp.accepted()[0], DeliveryState::Sent)
        .await;
    world.attempted(1).await;
    world
        .report(&world.whatsapp.accepted()[0], DeliveryState::Delivered)
        .await;
    assert_eq!(next(&mut delivered).await.pieces, 2);
    assert_eq!(
        world.whatsapp.texts_to(&world.ada),
        [first.trim(), second.trim()]
    );
}

#[tokio::test]
async fn without_a_report_the_second_piece_is_sent_after_the_timeout() {
    let world = World::new().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    let _outbound = world.outbound(SHORT_TIMEOUTS).await;

    world.say(&"word ".repeat(2_000)).await;

    assert_eq!(next(&mut delivered).await.pieces, 3);
    assert_eq!(world.whatsapp.accepted().len(), 3);
}

#[tokio::test]
async fn replies_to_one_user_keep_their_order() {
    let world = World::new().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    let _outbound = world.outbound(LONG_TIMEOUTS).await;
    let texts: Vec<String> = (0..20).map(|number| format!("reply {number}")).collect();

    for text in &texts {
        world.say(text).await;
    }

    for _ in &texts {
        next(&mut delivered).await;
    }
    assert_eq!(world.whatsapp.texts_to(&world.ada), texts);
}

#[tokio::test]
async fn outbound_reports_its_readiness_and_stops_on_request() {
    let world = World::new().await;
    let outbound = world.outbound(LONG_TIMEOUTS).await;
    let url = format!("http://{}/readyz", outbound.address);
    let client = http::client(HttpTimeouts::default());

    let ready = async || {
        let answer = client.get(&url).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    };
    eventually("outbound is ready", &ready).await;
    world.postgres.stop().await.unwrap();
    eventually("outbound is not ready", async || !ready().await).await;
    world.postgres.start_again().await.unwrap();
    eventually("outbound is ready again", &ready).await;

    outbound.stop().await.unwrap();
}
