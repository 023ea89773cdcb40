use std::collections::HashSet;

use claw_domain::{Address, MessageId, ReplyId, WhatsAppUserId};
use claw_store::{InboundMessage, NewReply, StoreError, TranscriptCursor};
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::task::JoinSet;

use crate::world::{World, at, message, reply};

#[tokio::test]
async fn a_repeated_message_is_written_down_once() {
    let world = World::new().await;
    let messages = world.store.messages();

    let first = messages.receive(&message(1, 0)).await.unwrap();
    let second = messages.receive(&message(1, 0)).await.unwrap();

    assert!(first.fresh && !second.fresh);
    assert!(first.first_contact && second.first_contact && !second.complete);
    assert!(first.sandbox.is_none());
    assert_eq!(world.count("message").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_first_messages_at_once_each_is_fresh_once_and_there_is_one_person() {
    let world = World::new().await;
    let mut calls = JoinSet::new();
    for call in 0..48 {
        let messages = world.store.messages();
        calls.spawn(async move { messages.receive(&message(1, call % 4)).await });
    }

    let answers = calls.join_all().await;

    let fresh = answers
        .into_iter()
        .filter(|answer| answer.as_ref().unwrap().fresh)
        .count();
    assert_eq!(fresh, 4);
    assert_eq!(world.count("\"user\"").await, 1);
}

#[tokio::test]
async fn an_answered_message_is_known_as_complete_and_ends_first_contact() {
    let world = World::new().await;
    let messages = world.store.messages();
    let asked = message(1, 0);
    messages.receive(&asked).await.unwrap();

    messages
        .complete(asked.user, asked.id, &[reply("a")], None, at(1))
        .await
        .unwrap();

    let again = messages.receive(&asked).await.unwrap();
    let next = messages.receive(&message(1, 1)).await.unwrap();
    assert!(again.complete && !again.first_contact);
    assert!(next.fresh && !next.complete && !next.first_contact);
}

#[tokio::test]
async fn a_straggler_does_not_take_back_what_a_newer_message_told_about_its_sender() {
    let world = World::new().await;
    let named = |n, name: &str| InboundMessage {
        name: Some(name.into()),
        ..message(1, n)
    };

    for message in [named(1, "first"), named(5, "newest"), named(3, "straggler")] {
        world.store.messages().receive(&message).await.unwrap();
    }

    let rows = world
        .sql("SELECT name, last_inbound_at FROM \"user\"")
        .await;
    assert_eq!(rows[0].try_get::<String>("", "name").unwrap(), "newest");
    assert_eq!(
        rows[0]
            .try_get::<chrono::DateTime<chrono::Utc>>("", "last_inbound_at")
            .unwrap(),
        at(5)
    );
}

#[tokio::test]
async fn replies_come_back_in_the_order_they_were_said_and_once_each() {
    let world = World::new().await;
    let messages = world.store.messages();
    let asked = message(1, 0);
    messages.receive(&asked).await.unwrap();
    let said: Vec<NewReply> = (0..20).map(|n| reply(&format!("reply {n}"))).collect();

    for _ in 0..2 {
        messages
            .complete(asked.user, asked.id, &said, None, at(1))
            .await
            .unwrap();
    }

    let stored = messages.replies_to(asked.user, asked.id).await.unwrap();
    let texts: Vec<&str> = stored
        .iter()
        .map(|reply| reply.text.expose().as_str())
        .collect();
    let expected: Vec<&str> = said
        .iter()
        .map(|reply| reply.text.expose().as_str())
        .collect();
    assert_eq!(texts, expected);
    assert!(stored.iter().all(|reply| reply.cause == Some(asked.id)));
}

#[tokio::test(flavor = "multi_thread")]
async fn completing_many_times_at_once_completes_once() {
    let world = World::new().await;
    let asked = message(1, 0);
    world.store.messages().receive(&asked).await.unwrap();
    let mut calls = JoinSet::new();
    for _ in 0..40 {
        let (messages, asked) = (world.store.messages(), asked.clone());
        let said = [reply("a"), reply("b")];
        calls.spawn(async move {
            messages
                .complete(asked.user, asked.id, &said, None, at(1))
                .await
        });
    }

    assert!(calls.join_all().await.iter().all(Result::is_ok));
    assert_eq!(world.count("message WHERE role = 'assistant'").await, 2);
}

#[tokio::test]
async fn the_cursor_moves_with_the_first_completion_and_not_with_a_late_repetition() {
    let world = World::new().await;
    let messages = world.store.messages();
    let sandbox = world.person_with_sandbox(1).await;
    let [first, second] = [message(1, 0), message(1, 1)];
    messages.receive(&second).await.unwrap();
    let cursor = |cursor: &str| {
        Some((
            sandbox.id,
            TranscriptCursor {
                cursor: cursor.into(),
                boot_id: "b".into(),
            },
        ))
    };

    for (asked, read_to) in [(&first, "10"), (&second, "20"), (&first, "11")] {
        messages
            .complete(asked.user, asked.id, &[], cursor(read_to), at(2))
            .await
            .unwrap();
    }

    let transcript = world.sandbox_of(sandbox.user).await.transcript.unwrap();
    assert_eq!(
        transcript,
        TranscriptCursor {
            cursor: "20".into(),
            boot_id: "b".into()
        }
    );
}

#[tokio::test]
async fn nobody_completes_or_reads_another_persons_message() {
    let world = World::new().await;
    let messages = world.store.messages();
    let mine = message(1, 0);
    messages.receive(&mine).await.unwrap();
    let other = world.person(2).await;

    let refused = messages
        .complete(other, mine.id, &[reply("a")], None, at(1))
        .await
        .unwrap_err();

    assert!(matches!(refused, StoreError::Missing { .. }) && !refused.is_transient());
    assert!(!messages.exists(other, mine.id).await.unwrap());
    assert!(messages.exists(mine.user, mine.id).await.unwrap());
    assert!(!messages.receive(&mine).await.unwrap().complete);
    assert_eq!(world.count("message WHERE role = 'assistant'").await, 0);
}

#[tokio::test]
async fn a_message_tells_the_state_of_its_senders_sandbox() {
    let world = World::new().await;
    let sandbox = world.person_with_sandbox(1).await;

    let received = world
        .store
        .messages()
        .receive(&message(1, 1))
        .await
        .unwrap();

    assert_eq!(received.sandbox, Some(sandbox));
}

#[tokio::test]
async fn a_text_with_a_nul_can_be_taken() {
    let world = World::new().await;
    let asked = InboundMessage {
        content: "a\0b".into(),
        name: Some("\0".into()),
        ..message(1, 0)
    };

    assert!(world.store.messages().receive(&asked).await.unwrap().fresh);
}

#[tokio::test]
async fn a_person_without_a_number_is_reached_by_whatsapps_id() {
    let world = World::new().await;
    let address = Address::WhatsApp(WhatsAppUserId::try_from("US.1349").unwrap());
    let asked = InboundMessage {
        user: address.user(),
        address: address.clone(),
        ..message(1, 0)
    };

    world.store.messages().receive(&asked).await.unwrap();

    assert_eq!(
        world
            .store
            .users()
            .address_of(address.user())
            .await
            .unwrap(),
        Some(address)
    );
}

/// One thing the gateway may do with a message, again and in any order.
#[derive(Debug, Clone, Copy)]
enum Call {
    Receive(u32),
    Complete(u32),
}

#[test]
fn whatever_is_repeated_in_whatever_order_each_message_and_each_reply_exists_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::with_connections(2));
    let call = prop_oneof![
        (0..4u32).prop_map(Call::Receive),
        (0..4u32).prop_map(Call::Complete)
    ];
    let calls = (any::<u32>(), prop::collection::vec(call, 1..20));

    TestRunner::new(ProptestConfig::with_cases(40))
        .run(&calls, |(person, calls)| {
            runtime.block_on(play(&world, person % 9_999_999, &calls));
            Ok(())
        })
        .unwrap();
}

async fn play(world: &World, person: u32, calls: &[Call]) {
    let messages = world.store.messages();
    let reply_to = |n| reply(&format!("{person} {n}"));
    // Earlier cases may have had the same person: what counts is what this case sees first.
    let (mut seen, mut complete) = (HashSet::<MessageId>::new(), HashSet::<MessageId>::new());
    for call in calls {
        match *call {
            Call::Receive(n) => {
                let asked = message(person, n);
                let received = messages.receive(&asked).await.unwrap();
                assert!(!(received.fresh && seen.contains(&asked.id)));
                assert!(received.complete || !complete.contains(&asked.id));
                seen.insert(asked.id);
            }
            Call::Complete(n) => {
                let asked = message(person, n);
                let done = messages
                    .complete(asked.user, asked.id, &[reply_to(n)], None, at(1))
                    .await;
                assert!(done.is_ok() || !seen.contains(&asked.id));
                complete.extend(done.is_ok().then_some(asked.id));
            }
        }
    }
    for n in 0..4 {
        let asked = message(person, n);
        let replies = messages.replies_to(asked.user, asked.id).await.unwrap();
        let ids: Vec<ReplyId> = replies.iter().map(|reply| reply.id).collect();
        assert!(ids.is_empty() || ids == [reply_to(n).id]);
        assert!(!complete.contains(&asked.id) || ids.len() == 1);
    }
}
