use claw_domain::{MessageId, UserId};
use claw_store::{
    Disposition, InboundMessage, NewReply, Origin, Sandbox, Settlement, StoreError,
    TranscriptCursor, TranscriptMove, WaitingMessage,
};
use tokio::task::JoinSet;

use crate::world::{World, address, at, message, reply, settlement};

#[tokio::test]
async fn messages_wait_in_the_order_they_came_until_they_are_answered() {
    let world = World::new().await;
    let [first, second, third] = took(&world, 1).await;
    world.person(2).await;

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
            sent_at: third.sent_at,
            taken_at: third.now,
            sequence: third.sequence,
            batch: None,
        }
    );
    let one = world.store.messages().waiting(first.user, 1).await.unwrap();
    assert_eq!(ids(&one), [first.id]);
}

#[tokio::test]
async fn what_was_given_up_is_closed_until_it_is_replayed() {
    let world = World::new().await;
    let [first, second, _third] = took(&world, 1).await;
    let messages = world.store.messages();
    world.answer(&first, reply("a")).await;
    world.answer(&second, reply("b")).await;
    messages.give_up(first.user, &[second.id]).await.unwrap();
    let again = |message: &InboundMessage, is_replay| InboundMessage {
        is_replay,
        ..message.clone()
    };

    let repeated = messages.receive(&again(&second, false)).await.unwrap();
    let answered = messages.receive(&again(&first, true)).await.unwrap();
    let replayed = messages.receive(&again(&second, true)).await.unwrap();

    assert!(repeated.complete && answered.complete);
    assert!(!replayed.complete && !replayed.fresh);
    assert!(ids(&waiting(&world, first.user).await).contains(&second.id));
}

#[tokio::test]
async fn what_was_said_is_found_by_its_id_and_by_nobody_else() {
    let world = World::new().await;
    let messages = world.store.messages();
    let [first, ..] = took(&world, 1).await;
    let other = world.person(2).await;
    let (said, kept_back) = (
        reply("a"),
        NewReply {
            disposition: Disposition::Withheld,
            ..reply("b")
        },
    );
    let replies = [said.clone(), kept_back.clone()];
    world
        .settle(&settlement(first.user, &[first.id], &replies))
        .await;

    let found = async |user, reply| messages.said(user, reply).await.unwrap();

    assert_eq!(found(first.user, said.id).await, Some(said.text));
    assert_eq!(found(other, said.id).await, None);
    assert_eq!(found(first.user, kept_back.id).await, None);
}

#[tokio::test]
async fn a_successor_finds_the_batch_that_was_formed_and_cannot_form_another_of_it() {
    let world = World::new().await;
    let messages = world.store.messages();
    let [first, second, third] = took(&world, 1).await;
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
async fn nobody_puts_another_persons_message_into_a_batch() {
    let world = World::new().await;
    let [first, ..] = took(&world, 1).await;
    let other = world.person(2).await;

    world
        .store
        .messages()
        .form_batch(other, first.id, &[first.id])
        .await
        .unwrap();

    assert_eq!(waiting(&world, first.user).await[0].batch, None);
}

#[tokio::test]
async fn replies_are_kept_in_the_order_they_were_said_and_once_each() {
    let world = World::new().await;
    let [first, second, third] = took(&world, 1).await;
    let batch = [first.id, second.id];
    let said: Vec<NewReply> = (0..20)
        .map(|n| NewReply {
            cause: Some(first.id),
            ..reply(&format!("reply {n}"))
        })
        .collect();

    for _ in 0..2 {
        world.settle(&settlement(first.user, &batch, &said)).await;
    }

    let expected: Vec<_> = said.iter().map(|reply| reply.text.expose()).collect();
    assert!(world.said_to(first.user).await.iter().eq(expected));
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
async fn settling_many_times_at_once_settles_once() {
    let world = World::new().await;
    let [first, second, _] = took(&world, 1).await;
    let mut calls = JoinSet::new();
    for _ in 0..40 {
        let messages = world.store.messages();
        let said = [reply("a"), reply("b")];
        let settlement = settlement(first.user, &[first.id, second.id], &said);
        calls.spawn(async move { messages.settle(&settlement).await });
    }

    assert!(calls.join_all().await.iter().all(Result::is_ok));
    assert_eq!(world.said_to(first.user).await, ["a", "b"]);
    assert_eq!(waiting(&world, first.user).await.len(), 1);
}

#[tokio::test]
async fn the_first_answer_ends_first_contact_and_a_proactive_text_does_not() {
    let world = World::new().await;
    let messages = world.store.messages();
    let [first, ..] = took(&world, 1).await;

    world
        .settle(&settlement(first.user, &[], &[reply("by the way")]))
        .await;
    let before = messages.receive(&first).await.unwrap();
    world.answer(&first, reply("a")).await;
    let after = messages.receive(&first).await.unwrap();

    assert!(before.first_contact && !before.complete);
    assert!(!after.first_contact && after.complete);
}

#[tokio::test]
async fn nobody_settles_another_persons_message() {
    let world = World::new().await;
    let [mine, ..] = took(&world, 1).await;
    let other = world.person(2).await;
    let messages = world.store.messages();

    world.settle(&settlement(other, &[mine.id], &[])).await;

    assert_eq!(waiting(&world, mine.user).await.len(), 3);
    assert!(!messages.exists(other, mine.id).await.unwrap());
    assert!(messages.exists(mine.user, mine.id).await.unwrap());
}

#[tokio::test]
async fn for_somebody_we_never_heard_from_nothing_is_settled() {
    let world = World::new().await;
    let stranger = address(9).user();

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
async fn the_transcript_is_read_on_from_where_the_last_settlement_left_it() {
    let world = World::new().await;
    let sandbox = world.person_with_sandbox(1).await;

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
async fn who_was_deposed_keeps_what_was_said_but_does_not_take_the_transcript_back() {
    let world = World::new().await;
    let sandbox = world.person_with_sandbox(1).await;
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
    assert_eq!(world.said_to(sandbox.user).await, ["a"]);
}

#[tokio::test]
async fn nobody_moves_the_cursor_of_another_persons_sandbox() {
    let world = World::new().await;
    let sandbox = world.person_with_sandbox(1).await;
    let other = world.person(2).await;

    let settled = world
        .settle(&Settlement {
            user: other,
            ..read(&sandbox, None, "10")
        })
        .await;

    assert_eq!(settled.transcript, None);
    assert_eq!(world.sandbox_of(sandbox.user).await.transcript, None);
}

/// A person's first three messages, taken.
async fn took(world: &World, number: u32) -> [InboundMessage; 3] {
    let taken = [0, 1, 2].map(|n| message(number, n));
    for message in &taken {
        world.store.messages().receive(message).await.unwrap();
    }
    taken
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
