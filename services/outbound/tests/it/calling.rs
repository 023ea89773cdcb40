use claw_calls::LiveCalls;
use claw_domain::{CallId, Channel};
use claw_events::{ReplyDelivered, ReplyProduced, TurnStanding};

use crate::world::{PATIENT, World, connect, next};

#[tokio::test]
async fn what_is_said_on_the_phone_is_laid_ready_without_notation_and_not_written() {
    let world = World::new().await;
    let (door, _outbound) = (door(&world).await, world.outbound(PATIENT).await);

    say(&world, 1, "You had **two rotis** 🫓.").await;

    assert_eq!(
        spoken(&door, 1).await,
        Some(("You had two rotis.".to_owned(), false))
    );
    assert!(world.phone.texts_to(&world.ada).is_empty());
}

#[tokio::test]
async fn of_a_long_answer_the_caller_hears_the_begin_and_the_chat_has_it_all() {
    let world = World::new().await;
    let (door, _outbound) = (door(&world).await, world.outbound(PATIENT).await);
    let long = "One sentence of very many. ".repeat(60);

    say(&world, 1, &long).await;

    let (text, is_cut) = spoken(&door, 1).await.unwrap();
    assert!(is_cut && text.len() < 700, "{text}");
    assert_eq!(
        world.phone.texts_to(&world.ada).concat().trim(),
        long.trim()
    );
}

#[tokio::test]
async fn an_answer_nobody_waits_for_any_more_is_written() {
    let world = World::new().await;
    let (door, _outbound) = (door(&world).await, world.outbound(PATIENT).await);
    door.give_up(call(), 1).await.unwrap();

    say(&world, 1, "Late, but here.").await;

    assert_eq!(spoken(&door, 1).await, None);
    assert_eq!(world.phone.texts_to(&world.ada), ["Late, but here."]);
}

async fn door(world: &World) -> LiveCalls {
    LiveCalls::open(&connect(&world.nats, "ingress").await)
        .await
        .unwrap()
}

/// The assistant answers a turn of the call; returns when that is delivered.
async fn say(world: &World, turn: u32, text: &str) {
    let mut delivered = world.watch::<ReplyDelivered>().await;
    let reply = ReplyProduced {
        channel: Channel::Voice { call: call(), turn },
        ..world.reply(text)
    };
    world.gateway.publish(&reply).await.unwrap();
    assert_eq!(next(&mut delivered).await.reply, reply.id);
}

async fn spoken(door: &LiveCalls, turn: u32) -> Option<(String, bool)> {
    match door.turn_status(call(), turn).await.unwrap() {
        Some(TurnStanding::Speech(speech)) => Some((speech.text.into_exposed(), speech.is_cut)),
        Some(TurnStanding::GivenUp | TurnStanding::Failed | TurnStanding::SeeCall) | None => None,
    }
}

fn call() -> CallId {
    CallId::derived_from("CA1")
}
