use claw_domain::{MessageId, Origin, UserId};
use claw_store::{
    Disposition, InboundMessage, NewReply, Sandbox, Settlement, StoreError, TranscriptCursor,
    TranscriptMove, WaitingMessage,
};
use claw_testkit::user_of;
use tokio::task::JoinSet;

use crate::world::{World, address, at, message, reply, settlement};

#[tokio::test]
async fn messages_wait_in_their_order_of_arrival_until_they_are_answered() {
    let world = World::new().await;
    let [first, second, third] = received(&world, 1).await;
    world.user(2).await;

    world.answer(&second, reply("a")).await;

    let waiting = waiting(&world, first.user).await;
    assert_eq!(ids(&waiting), [first.id, third.id]);
    assert_eq!(
        waiting[1],
        WaitingMessage {
            id: third.id,
            origin: Origin::WhatsApp { wamid: third.wamid },
            content_kind: third.content_kind,
            content: third.content,
            taken_at: third.now,
            sequence: third.sequence,
            batch: None,
        }
    );
    let one = world.store.messages().waiting(first.user, 1).await.unwrap();
    assert_eq!(ids(&one), [first.id]);
}

#[tokio::test]
async fn a_message_that_was_given_up_is_closed_until_it_is_replayed() {
    let world = World::new().await;
    let [first, second, _third] = received(&world, 1).await;
    let messages = world.store.messages();
    world.answer(&first, reply("a")).await;
    world.answer(&second, reply("b")).await;
    messages.give_up(first.user, &[second.id]).await.unwrap();
    let again = |message: &InboundMessage, is_replay| InboundMessage {
        is_replay,
        ..message.clone()
    };

    let repeated = world.receive(&again(&second, false)).await;
    let answered = world.receive(&again(&first, true)).await;
    let replayed = world.receive(&again(&second, true)).await;

    assert!(repeated.complete && answered.complete);
    assert!(!replayed.complete && !replayed.fresh);
    assert!(ids(&waiting(&world, first.user).await).contains(&second.id));
}

#[tokio::test]
async fn the_text_of_a_reply_is_found_if_it_was_published_to_this_user() {
    let world = World::new().await;
    let messages = world.store.messages();
    let [first, ..] = received(&world, 1).await;
    let other = world.user(2).await;
    let (published, withheld) = (
        reply("a"),
        NewReply {
            disposition: Disposition::Withheld,
            ..reply("b")
        },
    );
    let replies = [published.clone(), withheld.clone()];
    world
        .settle(&settlement(first.user, &[first.id], &replies))
        .await;

    let found = async |user, reply| messages.published_text(user, reply).await.unwrap();

    assert_eq!(found(first.user, published.id).await, Some(published.text));
    assert_eq!(found(other, published.id).await, None);
    assert_eq!(found(first.user, withheld.id).await, None);
}

#[tokio::test]
async fn a_successor_finds_the_batch_that_was_formed_and_cannot_change_it() {
    let world = World::new().await;
    let messages = world.store.messages();
    let [first, second, third] = received(&world, 1).await;
    messages
        .form_batch(first.user, first.id, &[first.id, second.id])
        .await
        .unwrap();

    let late = [second.id, third.id];
    messages
        .form_batch(first.user, second.id, &late)
        .await
        .unwrap();

    let batches: Vec<_> = waiting(&world, first.user)
        .await
        .iter()
        .map(|message| message.batch)
        .collect();
    assert_eq!(batches, [Some(first.id), Some(first.id), Some(second.id)]);
}

#[tokio::test]
async fn a_message_of_another_user_cannot_be_put_into_a_batch() {
    let world = World::new().await;
    let [first, ..] = received(&world, 1).await;
    let other = world.user(2).await;

    world
        .store
        .messages()
        .form_batch(other, first.id, &[first.id])
        .await
        .unwrap();

    assert_eq!(waiting(&world, first.user).await[0].batch, None);
}

#[tokio::test]
async fn replies_are_stored_in_order_and_once_each() {
    let world = World::new().await;
    let [first, second, third] = received(&world, 1).await;
    let batch = [first.id, second.id];
    let replies: Vec<NewReply> = (0..20)
        .map(|n| NewReply {
            cause: Some(first.id),
            ..reply(&format!("reply {n}"))
        })
        .collect();

    for _ in 0..2 {
        world
            .settle(&settlement(first.user, &batch, &replies))
            .await;
    }

    let expected: Vec<_> = replies.iter().map(|reply| reply.text.expose()).collect();
    assert!(world.published_to(first.user).await.iter().eq(expected));
    assert_eq!(ids(&waiting(&world, first.user).await), [third.id]);
    let cause = first.id.as_uuid();
    assert_eq!(
        world
            .count(&format!("message WHERE cause = '{cause}'"))
            .await,
        20
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn many_concurrent_settlements_settle_once() {
    let world = World::new().await;
    let [first, second, _] = received(&world, 1).await;
    let mut calls = JoinSet::new();
    for _ in 0..40 {
        let messages = world.store.messages();
        let replies = [reply("a"), reply("b")];
        let settlement = settlement(first.user, &[first.id, second.id], &replies);
        calls.spawn(async move { messages.settle(&settlement).await });
    }

    assert!(calls.join_all().await.iter().all(Result::is_ok));
    assert_eq!(world.published_to(first.user).await, ["a", "b"]);
    assert_eq!(waiting(&world, first.user).await.len(), 1);
}

#[tokio::test]
async fn the_first_answer_to_a_message_is_recorded_and_a_proactive_message_is_not() {
    let world = World::new().await;
    let [first, ..] = received(&world, 1).await;
    let answered = "\"user\" WHERE first_answered_at IS NOT NULL";

    world
        .settle(&settlement(first.user, &[], &[reply("by the way")]))
        .await;
    assert_eq!(world.count(answered).await, 0);
    world.answer(&first, reply("a")).await;
    assert_eq!(world.count(answered).await, 1);
}

#[tokio::test]
async fn a_message_of_another_user_cannot_be_settled() {
    let world = World::new().await;
    let [mine, ..] = received(&world, 1).await;
    let other = world.user(2).await;
    let messages = world.store.messages();

    world.settle(&settlement(other, &[mine.id], &[])).await;

    assert_eq!(waiting(&world, mine.user).await.len(), 3);
    assert!(!messages.exists(other, mine.id).await.unwrap());
    assert!(messages.exists(mine.user, mine.id).await.unwrap());
}

#[tokio::test]
async fn nothing_is_settled_for_an_unknown_user() {
    let world = World::new().await;
    let stranger = user_of(&address(9));

    let refused = world
        .store
        .messages()
        .settle(&settlement(stranger, &[], &[reply("a")]))
        .await
        .unwrap_err();

    assert!(matches!(refused, StoreError::Missing { .. }) && !refused.is_transient());
    assert_eq!(world.count("message").await, 0);
}

#[tokio::test]
async fn each_settlement_moves_the_transcript_cursor() {
    let world = World::new().await;
    let sandbox = world.user_with_sandbox(1).await;

    let first = world.settle(&read(&sandbox, None, "10")).await;
    let second = world.settle(&read(&sandbox, Some("10"), "20")).await;
    let without = world.settle(&settlement(sandbox.user, &[], &[])).await;

    assert_eq!(first.transcript, Some(cursor("10")));
    assert_eq!(second.transcript, Some(cursor("20")));
    assert_eq!(without.transcript, None);
    let row = world.sandbox_of(sandbox.user).await;
    assert_eq!(row.transcript, Some(cursor("20")));
}

#[tokio::test]
async fn a_replica_that_lost_the_user_stores_its_reply_but_does_not_move_the_cursor_back() {
    let world = World::new().await;
    let sandbox = world.user_with_sandbox(1).await;
    world.settle(&read(&sandbox, None, "10")).await;
    world.settle(&read(&sandbox, Some("10"), "30")).await;

    let late = world
        .settle(&Settlement {
            replies: vec![reply("a")],
            ..read(&sandbox, Some("10"), "20")
        })
        .await;

    assert_eq!(late.transcript, Some(cursor("30")));
    assert_eq!(
        world.sandbox_of(sandbox.user).await.transcript,
        Some(cursor("30"))
    );
    assert_eq!(world.published_to(sandbox.user).await, ["a"]);
}

#[tokio::test]
async fn the_cursor_of_another_users_sandbox_cannot_be_moved() {
    let world = World::new().await;
    let sandbox = world.user_with_sandbox(1).await;
    let other = world.user(2).await;

    let settled = world
        .settle(&Settlement {
            user: other,
            ..read(&sandbox, None, "10")
        })
        .await;

    assert_eq!(settled.transcript, None);
    assert_eq!(world.sandbox_of(sandbox.user).await.transcript, None);
}

/// The first three messages of a user, stored.
async fn received(world: &World, number: u32) -> [InboundMessage; 3] {
    let messages = [0, 1, 2].map(|n| message(number, n));
    for message in &messages {
        world.receive(message).await;
    }
    messages
}

async fn waiting(world: &World, user: UserId) -> Vec<WaitingMessage> {
    world.store.messages().waiting(user, 100).await.unwrap()
}

fn ids(waiting: &[WaitingMessage]) -> Vec<MessageId> {
    waiting.iter().map(|message| message.id).collect()
}

fn read(sandbox: &Sandbox, from: Option<&str>, to: &str) -> Settlement {
    Settlement {
        user: sandbox.user,
        answered: Vec::new(),
        replies: Vec::new(),
        transcript: Some(TranscriptMove {
            sandbox: sandbox.id,
            from: from.map(cursor),
            to: cursor(to),
        }),
        now: at(2),
    }
}

fn cursor(cursor: &str) -> TranscriptCursor {
    TranscriptCursor {
        cursor: cursor.into(),
        boot_id: "b".into(),
    }
}
