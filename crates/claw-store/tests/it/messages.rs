use std::collections::HashSet;

use claw_domain::{Address, MessageId, WhatsAppUserId};
use claw_store::InboundMessage;
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::task::JoinSet;

use crate::world::{World, at, message, reply, settlement};

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

    world.answer(&asked, reply("a")).await;

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

#[tokio::test]
async fn a_message_tells_how_many_wait_with_it() {
    let world = World::new().await;
    let messages = world.store.messages();
    for n in 0..3 {
        messages.receive(&message(1, n)).await.unwrap();
    }
    world.person(2).await;

    let fourth = messages.receive(&message(1, 3)).await.unwrap();
    let repeated = messages.receive(&message(1, 1)).await.unwrap();
    world.answer(&message(1, 0), reply("a")).await;
    let answered = messages.receive(&message(1, 0)).await.unwrap();

    assert_eq!((fourth.waiting, repeated.waiting), (4, 4));
    assert_eq!((answered.complete, answered.waiting), (true, 3));
}

#[tokio::test]
async fn a_backlog_is_counted_up_to_a_thousand() {
    let world = World::new().await;
    let user = world.person(1).await.as_uuid();
    world
        .sql(&format!(
            "INSERT INTO message (id, user_id, role, status, source, kind, content, created_at) \
             SELECT gen_random_uuid(), '{user}', 'user', 'received', 'whatsapp', 'text', 'x', now() \
             FROM generate_series(1, 1500)"
        ))
        .await;

    let next = world.store.messages().receive(&message(1, 1)).await;

    assert_eq!(next.unwrap().waiting, 1_000);
}

/// One thing the gateway may do with a message, again and in any order.
#[derive(Debug, Clone, Copy)]
enum Call {
    Receive(u32),
    Settle(u32),
}

#[test]
fn whatever_is_repeated_in_whatever_order_each_message_and_each_reply_exists_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::with_connections(2));
    let call = prop_oneof![
        (0..4u32).prop_map(Call::Receive),
        (0..4u32).prop_map(Call::Settle)
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
    let user = message(person, 0).user;
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
            Call::Settle(n) => {
                let asked = message(person, n);
                let done = messages
                    .settle(&settlement(user, &[asked.id], &[reply_to(n)]))
                    .await;
                assert!(done.is_ok() || seen.is_empty());
                complete.extend((done.is_ok() && seen.contains(&asked.id)).then_some(asked.id));
            }
        }
    }
    let said = world.said_to(user).await;
    for n in 0..4 {
        let text = format!("{person} {n}");
        let times = said.iter().filter(|said| **said == text).count();
        assert!(times <= 1);
        assert!(!complete.contains(&message(person, n).id) || times == 1);
    }
}
