use claw_domain::DeliveryState;
use claw_events::{ReplyDelivered, ReplyFailed};

use crate::world::{LONG_TIMEOUTS, World, next};

#[tokio::test]
async fn reports_out_of_order_leave_the_furthest_state() {
    let world = World::new().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    let _outbound = world.outbound(LONG_TIMEOUTS).await;
    let (first, second) = (world.say("One").await, world.say("Two").await);
    next(&mut delivered).await;
    next(&mut delivered).await;
    let accepted = world.whatsapp.accepted();

    for state in [
        DeliveryState::Read,
        DeliveryState::Sent,
        DeliveryState::Delivered,
    ] {
        world.report(&accepted[0], state).await;
    }
    // Reports for one user are handled in order: once this one is recorded, so are the others.
    world.report(&accepted[1], DeliveryState::Sent).await;

    world.piece_becomes(&second, 0, DeliveryState::Sent).await;
    let piece = world.piece(&first, 0).await.unwrap();
    assert_eq!(piece.state, DeliveryState::Read);
}

#[tokio::test]
async fn a_failure_after_acceptance_is_announced_and_one_after_delivery_is_not() {
    let world = World::new().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    let mut failed = world.watch::<ReplyFailed>().await;
    let _outbound = world.outbound(LONG_TIMEOUTS).await;
    let (seen, lost) = (world.say("One").await, world.say("Two").await);
    next(&mut delivered).await;
    next(&mut delivered).await;
    let accepted = world.whatsapp.accepted();

    world.report(&accepted[0], DeliveryState::Delivered).await;
    world
        .report_with(&accepted[0], DeliveryState::Failed, Some(131_000))
        .await;
    world
        .report_with(&accepted[1], DeliveryState::Failed, Some(131_049))
        .await;

    let announced = next(&mut failed).await;
    assert_eq!((announced.reply, announced.code), (lost.id, Some(131_049)));
    let piece = world.piece(&seen, 0).await.unwrap();
    assert_eq!(piece.state, DeliveryState::Delivered);
}

#[tokio::test]
async fn a_report_on_a_message_of_another_system_is_ignored() {
    let world = World::new().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    let _outbound = world.outbound(LONG_TIMEOUTS).await;
    let reply = world.say("One").await;
    next(&mut delivered).await;
    let ours = world.whatsapp.accepted().remove(0);
    let theirs = claw_whatsapp::fake::AcceptedMessage {
        tracker: claw_domain::DeliveryId::derived_from("theirs"),
        wamid: claw_domain::Wamid::new("wamid.theirs"),
        ..ours.clone()
    };

    world.report(&theirs, DeliveryState::Sent).await;
    world.report(&ours, DeliveryState::Sent).await;

    world.piece_becomes(&reply, 0, DeliveryState::Sent).await;
}
