use claw_domain::DeliveryState;
use claw_events::{ReplyDelivered, ReplyFailed};
use claw_whatsapp::fake::Plan;

use crate::world::{PATIENT, World, next};

#[tokio::test]
async fn a_final_refusal_is_recorded_and_announced_and_the_next_reply_goes_out() {
    let world = World::new().await;
    let mut failed = world.watch::<ReplyFailed>().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    world.phone.plan([Plan::Refuse(131_026)]);
    let _outbound = world.outbound(PATIENT).await;

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
    assert_eq!(world.phone.texts_to(&world.ada), ["Hello again"]);
}

#[tokio::test]
async fn outside_the_window_the_reply_fails_with_its_code() {
    let world = World::new().await;
    let mut failed = world.watch::<ReplyFailed>().await;
    world.phone.plan([Plan::Refuse(131_047)]);
    let _outbound = world.outbound(PATIENT).await;

    world.say("Hello").await;

    assert_eq!(next(&mut failed).await.code, Some(131_047));
}

#[tokio::test]
async fn passing_trouble_is_sat_out() {
    let world = World::new().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    world.phone.plan([
        Plan::Unreachable,
        Plan::Refuse(131_016),
        Plan::Refuse(130_429),
        Plan::Refuse(131_000),
    ]);
    let _outbound = world.outbound(PATIENT).await;

    let reply = world.say("Hello").await;

    assert_eq!(next(&mut delivered).await.reply, reply.id);
    assert_eq!(world.phone.texts_to(&world.ada), ["Hello"]);
    assert_eq!(world.phone.attempts(), 5);
}

#[tokio::test]
async fn trouble_for_the_operator_keeps_the_reply() {
    let world = World::new().await;
    world.phone.plan([Plan::Refuse(190)]);
    let _outbound = world.outbound(PATIENT).await;

    let reply = world.say("Hello").await;
    world.attempted(1).await;

    world.piece_becomes(&reply, 0, DeliveryState::Pending).await;
    assert!(world.phone.taken().is_empty());
}
