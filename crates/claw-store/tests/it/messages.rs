use std::collections::HashSet;

use claw_domain::{Address, MessageId, WhatsAppUserId};
use claw_store::InboundMessage;
use claw_testkit::user_of;
use proptest::{prelude::*, test_runner::TestRunner};
use tokio::task::JoinSet;

use crate::world::{World, at, message, receive, reply, settlement};

#[tokio::test]
async fn a_repeated_message_is_stored_once() {
    let world = World::new().await;

    let first = world.receive(&message(1, 0)).await;
    let second = world.receive(&message(1, 0)).await;

    assert!(first.fresh && !second.fresh);
    assert!(!second.complete && first.sandbox.is_none());
    assert_eq!(world.count("message").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_concurrent_first_messages_are_each_fresh_once_and_create_one_user() {
    let world = World::new().await;
    let mut calls = JoinSet::new();
    for call in 0..48 {
        let store = world.store.clone();
        calls.spawn(async move { receive(&store, &message(1, call % 4)).await });
    }

    let answers = calls.join_all().await;

    let fresh = answers.into_iter().filter(|answer| answer.fresh).count();
    assert_eq!(fresh, 4);
    assert_eq!(world.count("\"user\"").await, 1);
}

#[tokio::test]
async fn an_answered_message_is_complete_and_the_next_one_is_not() {
    let world = World::new().await;
    let asked = message(1, 0);
    world.receive(&asked).await;

    world.answer(&asked, reply("a")).await;

    let again = world.receive(&asked).await;
    let next = world.receive(&message(1, 1)).await;
    assert!(again.complete && !again.fresh);
    assert!(next.fresh && !next.complete);
}

#[tokio::test]
async fn a_late_message_does_not_overwrite_what_a_newer_one_says_about_the_sender() {
    let world = World::new().await;
    let named = |n, name: &str| InboundMessage {
        name: Some(name.into()),
        ..message(1, n)
    };

    for message in [named(1, "first"), named(5, "newest"), named(3, "late")] {
        world.receive(&message).await;
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
async fn receiving_a_message_returns_the_senders_sandbox() {
    let world = World::new().await;
    let sandbox = world.user_with_sandbox(1).await;

    let received = world.receive(&message(1, 1)).await;

    assert_eq!(received.sandbox, Some(sandbox));
}

#[tokio::test]
async fn a_text_with_a_nul_can_be_stored() {
    let world = World::new().await;
    let asked = InboundMessage {
        content: "a\0b".into(),
        name: Some("\0".into()),
        ..message(1, 0)
    };

    assert!(world.receive(&asked).await.fresh);
}

#[tokio::test]
async fn the_address_of_a_user_without_a_number_is_whatsapps_id() {
    let world = World::new().await;
    let address = Address::WhatsApp(WhatsAppUserId::try_from("US.1349").unwrap());
    let asked = InboundMessage {
        user: user_of(&address),
        address: address.clone(),
        ..message(1, 0)
    };

    world.receive(&asked).await;

    assert_eq!(
        world
            .store
            .users()
            .address_of(user_of(&address))
            .await
            .unwrap(),
        Some(address)
    );
}

/// A call that the gateway may repeat, in any order.
#[derive(Debug, Clone, Copy)]
enum Action {
    Receive(u32),
    Settle(u32),
}

#[test]
fn each_message_and_each_reply_is_stored_once_whatever_is_repeated_in_any_order() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::with_connections(2));
    let action = prop_oneof![
        (0..4u32).prop_map(Action::Receive),
        (0..4u32).prop_map(Action::Settle)
    ];
    let actions = (any::<u32>(), prop::collection::vec(action, 1..20));

    TestRunner::new(ProptestConfig::with_cases(40))
        .run(&actions, |(user, actions)| {
            runtime.block_on(play(&world, user % 9_999_999, &actions));
            Ok(())
        })
        .unwrap();
}

async fn play(world: &World, number: u32, actions: &[Action]) {
    let messages = world.store.messages();
    let reply_to = |n| reply(&format!("{number} {n}"));
    let user = message(number, 0).user;
    // Earlier cases may have had the same user: only this case's own calls count.
    let (mut seen, mut complete) = (HashSet::<MessageId>::new(), HashSet::<MessageId>::new());
    for action in actions {
        match *action {
            Action::Receive(n) => {
                let asked = message(number, n);
                let received = world.receive(&asked).await;
                assert!(!(received.fresh && seen.contains(&asked.id)));
                assert!(received.complete || !complete.contains(&asked.id));
                seen.insert(asked.id);
            }
            Action::Settle(n) => {
                let asked = message(number, n);
                let done = messages
                    .settle(&settlement(user, &[asked.id], &[reply_to(n)]))
                    .await;
                assert!(done.is_ok() || seen.is_empty());
                complete.extend((done.is_ok() && seen.contains(&asked.id)).then_some(asked.id));
            }
        }
    }
    let published = world.published_to(user).await;
    for n in 0..4 {
        let text = format!("{number} {n}");
        let times = published
            .iter()
            .filter(|published| **published == text)
            .count();
        assert!(times <= 1);
        assert!(!complete.contains(&message(number, n).id) || times == 1);
    }
}
