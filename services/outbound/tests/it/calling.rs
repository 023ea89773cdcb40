use claw_calls::LiveCalls;
use claw_domain::{CallId, Channel};
use claw_events::{ReplyDelivered, ReplyProduced, TurnStatus};

use crate::world::{LONG_TIMEOUTS, World, connect, next};

#[tokio::test]
async fn a_reply_to_a_caller_is_stored_as_plain_speech_and_not_sent_to_the_chat() {
    let world = World::new().await;
    let (live_calls, _outbound) = (
        live_calls(&world).await,
        world.outbound(LONG_TIMEOUTS).await,
    );

    say(&world, 1, "You had **two rotis** 🫓.").await;

    assert_eq!(
        spoken(&live_calls, 1).await,
        Some(("You had two rotis.".to_owned(), false))
    );
    assert!(world.whatsapp.texts_to(&world.ada).is_empty());
}

#[tokio::test]
async fn a_long_reply_is_spoken_in_part_and_sent_whole_to_the_chat() {
    let world = World::new().await;
    let (live_calls, _outbound) = (
        live_calls(&world).await,
        world.outbound(LONG_TIMEOUTS).await,
    );
    let long = "One sentence of very many. ".repeat(60);

    say(&world, 1, &long).await;

    let (text, is_cut) = spoken(&live_calls, 1).await.unwrap();
    assert!(is_cut && text.len() < 700, "{text}");
    assert_eq!(
        world.whatsapp.texts_to(&world.ada).concat().trim(),
        long.trim()
    );
}

#[tokio::test]
async fn a_reply_that_the_caller_no_longer_waits_for_is_sent_to_the_chat() {
    let world = World::new().await;
    let (live_calls, _outbound) = (
        live_calls(&world).await,
        world.outbound(LONG_TIMEOUTS).await,
    );
    live_calls
        .settle(call(), 1, TurnStatus::GivenUp)
        .await
        .unwrap();

    say(&world, 1, "Late, but here.").await;

    assert_eq!(spoken(&live_calls, 1).await, None);
    assert_eq!(world.whatsapp.texts_to(&world.ada), ["Late, but here."]);
}

async fn live_calls(world: &World) -> LiveCalls {
    LiveCalls::open(&connect(&world.nats, "ingress").await)
        .await
        .unwrap()
}

/// Publishes the reply to a turn of the call and waits until it is delivered.
async fn say(world: &World, turn: u32, text: &str) {
    let mut delivered = world.watch::<ReplyDelivered>().await;
    let reply = ReplyProduced {
        channel: Channel::Voice { call: call(), turn },
        ..world.reply(text)
    };
    world.gateway.publish(&reply).await.unwrap();
    assert_eq!(next(&mut delivered).await.reply, reply.id);
}

async fn spoken(live_calls: &LiveCalls, turn: u32) -> Option<(String, bool)> {
    match live_calls.turn_status(call(), turn).await.unwrap() {
        Some(TurnStatus::Speech(speech)) => Some((speech.text.into_exposed(), speech.is_cut)),
        Some(TurnStatus::GivenUp | TurnStatus::Failed | TurnStatus::SeeCall) | None => None,
    }
}

fn call() -> CallId {
    CallId::derived_from("CA1")
}
