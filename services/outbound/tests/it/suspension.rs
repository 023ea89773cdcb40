//! Replies to suspended users.

use claw_bus::{Handler, HandlerError};
use claw_domain::{CallId, Channel, DeliveryState, ReplySource};
use claw_events::ReplyProduced;
use claw_testkit::eventually;

use crate::{
    delivering::first_attempt,
    world::{LONG_TIMEOUTS, Whom, World},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_users_replies_wait_and_are_sent_once_and_in_order_afterwards() {
    for whom in [Whom::Ada, Whom::Everybody] {
        let world = World::new().await;
        let outbound = world.outbound(LONG_TIMEOUTS).await;
        // Outbound is not told: unless it has just read the database, the statement that begins a delivery refuses.
        world.suspend(whom).await;

        world.say("one").await;
        world.say("two").await;
        // Behind the others in the lane.
        let line = tell(&world, "You are suspended.").await;

        // Recorded as well: a send whose outcome is unknown holds up what is behind it.
        world.piece_becomes(&line, 0, DeliveryState::Accepted).await;
        assert_eq!(world.whatsapp.texts_to(&world.ada), ["You are suspended."]);
        outbound.crash().await;
        let _outbound = world.outbound(LONG_TIMEOUTS).await;
        world.say("three").await;

        world.resume(whom).await;

        eventually("everything is sent", async || {
            world.whatsapp.texts_to(&world.ada).len() >= 4
        })
        .await;
        assert_eq!(
            world.whatsapp.texts_to(&world.ada),
            ["You are suspended.", "one", "two", "three"],
            "{whom:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_a_reply_waits_if_its_user_is_suspended_between_two_pieces() {
    let world = World::new().await;
    let _outbound = world.outbound(LONG_TIMEOUTS).await;
    let reply = world.say(&"word ".repeat(1_500)).await;
    world.attempted(1).await;

    world.suspend(Whom::Ada).await;
    let first = world.whatsapp.accepted().remove(0);
    world.report(&first, DeliveryState::Delivered).await;
    // Behind the rest in the lane.
    tell(&world, "You are suspended.").await;
    eventually("the line about it is sent", async || {
        world.whatsapp.texts_to(&world.ada).len() == 2
    })
    .await;
    assert_eq!(
        world.piece(&reply, 1).await.unwrap().state,
        DeliveryState::Pending
    );

    world.resume(Whom::Ada).await;

    eventually("the rest is sent", async || {
        world.whatsapp.texts_to(&world.ada).len() == 3
    })
    .await;
}

#[tokio::test]
async fn a_suspended_caller_hears_no_answer() {
    let world = World::new().await;
    world.suspend(Whom::Ada).await;
    let handler = world.deliver_reply().await;
    let call = CallId::derived_from("CA1");
    let reply = ReplyProduced {
        channel: Channel::Voice { call, turn: 1 },
        ..world.reply("Hello")
    };

    let parked = handler.handle(&reply, &first_attempt()).await;

    assert!(matches!(parked, Err(HandlerError::Park(_))));
    let live_calls = world.live_calls().await;
    assert_eq!(live_calls.turn_status(call, 1).await.unwrap(), None);
}

#[tokio::test]
async fn a_blocked_users_replies_are_dropped_and_not_spoken() {
    let world = World::new().await;
    let handler = world.deliver_reply().await;
    world.suspend(Whom::Ada).await;
    world.block_ada().await;
    // The second handler knows of the block.
    for handler in [handler, world.deliver_reply().await] {
        handler
            .handle(&world.reply("Hello"), &first_attempt())
            .await
            .unwrap();
    }
    let handler = world.deliver_reply().await;
    let call = CallId::derived_from("CA1");
    let spoken = ReplyProduced {
        channel: Channel::Voice { call, turn: 1 },
        ..world.reply("Hello again")
    };

    handler.handle(&spoken, &first_attempt()).await.unwrap();

    assert_eq!(world.whatsapp.attempts(), 0);
    let live_calls = world.live_calls().await;
    assert_eq!(live_calls.turn_status(call, 1).await.unwrap(), None);
}

/// Publishes the line that tells Ada of her suspension.
async fn tell(world: &World, text: &str) -> ReplyProduced {
    let line = ReplyProduced {
        source: ReplySource::Suspension,
        ..world.reply(text)
    };
    world.gateway.publish(&line).await.unwrap();
    line
}
