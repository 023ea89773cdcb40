use claw_domain::DeliveryState;
use claw_events::{ReplyDelivered, ReplyFailed};
use claw_whatsapp::fake::Plan;

use crate::world::{LONG_TIMEOUTS, World, next};

#[tokio::test]
async fn a_final_refusal_is_recorded_and_announced_and_the_next_reply_goes_out() {
    let world = World::new().await;
    let mut failed = world.watch::<ReplyFailed>().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    world.whatsapp.plan([Plan::Refuse(131_026)]);
    let _outbound = world.outbound(LONG_TIMEOUTS).await;

    let lost = world.say("Hello").await;
    let next_one = world.say("Hello again").await;

    let announced = next(&mut failed).await;
    assert_eq!((announced.reply, announced.code), (lost.id, Some(131_026)));
    let piece = world.piece(&lost, 0).await.unwrap();
    assert_eq!(
        (piece.state, piece.error_code),
        (DeliveryState::Failed, Some(131_026))
    );
    assert_eq!(next(&mut delivered).await.reply, next_one.id);
    assert_eq!(world.whatsapp.texts_to(&world.ada), ["Hello again"]);
}

#[tokio::test]
async fn without_a_template_a_reply_outside_the_window_fails_with_its_code() {
    let world = World::new().await;
    let mut failed = world.watch::<ReplyFailed>().await;
    world.whatsapp.plan([Plan::Refuse(131_047)]);
    let _outbound = world.outbound(LONG_TIMEOUTS).await;

    world.say("Hello").await;

    assert_eq!(next(&mut failed).await.code, Some(131_047));
}

#[tokio::test]
async fn temporary_failures_are_retried() {
    let world = World::new().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    world.whatsapp.plan([
        Plan::Unreachable,
        Plan::Refuse(131_016),
        Plan::Refuse(130_429),
        Plan::Refuse(131_000),
    ]);
    let _outbound = world.outbound(LONG_TIMEOUTS).await;

    let reply = world.say("Hello").await;

    assert_eq!(next(&mut delivered).await.reply, reply.id);
    assert_eq!(world.whatsapp.texts_to(&world.ada), ["Hello"]);
    assert_eq!(world.whatsapp.attempts(), 5);
}

#[tokio::test]
async fn a_reply_refused_for_an_invalid_token_stays_pending() {
    let world = World::new().await;
    world.whatsapp.plan([Plan::Refuse(190)]);
    let _outbound = world.outbound(LONG_TIMEOUTS).await;

    let reply = world.say("Hello").await;
    world.attempted(1).await;

    world.piece_becomes(&reply, 0, DeliveryState::Pending).await;
    assert!(world.whatsapp.accepted().is_empty());
}
