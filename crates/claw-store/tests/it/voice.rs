use chrono::{DateTime, Utc};
use claw_domain::{MessageId, Origin, VoiceKind};
use claw_store::{Caller, StoreError, VoiceMessage};
use claw_testkit::user_of;
use tokio::task::JoinSet;

use crate::world::{World, address, at, call, message, phone, reply, settlement, speech};

#[tokio::test]
async fn utterances_and_written_messages_wait_in_one_queue() {
    let world = World::new().await;
    let messages = world.store.messages();
    let (written, spoken) = (message(1, 0), speech(1, 1));

    world.receive(&written).await;
    let received = messages.receive_voice(&spoken).await.unwrap().unwrap();

    assert!(received.fresh && !received.complete);
    let waiting = messages.waiting(spoken.user, 10).await.unwrap();
    assert_eq!(
        [&waiting[0].origin, &waiting[1].origin],
        [
            &Origin::WhatsApp {
                wamid: written.wamid
            },
            &Origin::Voice {
                call: spoken.call,
                turn: 1,
                kind: VoiceKind::Speech
            }
        ]
    );
    assert_eq!(waiting[1].content, spoken.content);
    assert_eq!((waiting[1].id, waiting[1].sequence), (spoken.id, 2));
}

#[tokio::test]
async fn each_event_of_a_call_reads_back_as_it_was_stored() {
    let world = World::new().await;
    let kinds = [
        VoiceKind::CallStarted,
        VoiceKind::Speech,
        VoiceKind::CallEnded,
    ];
    for (turn, kind) in (0..).zip(kinds) {
        let event = VoiceMessage {
            kind,
            ..speech(1, turn)
        };
        world.store.messages().receive_voice(&event).await.unwrap();
    }

    let user = user_of(&address(1));
    let waiting = world.store.messages().waiting(user, 10).await.unwrap();

    let call = call(1);
    let expected = (0..).zip(kinds);
    let expected = expected.map(|(turn, kind)| Origin::Voice { call, turn, kind });
    assert!(
        waiting
            .into_iter()
            .map(|message| message.origin)
            .eq(expected)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stored_many_times_at_once_is_one_row_of_one_user() {
    let world = World::new().await;
    let mut calls = JoinSet::new();
    for n in 0..40 {
        let messages = world.store.messages();
        calls.spawn(async move { messages.receive_voice(&speech(1, n % 4)).await });
    }

    let answers = calls.join_all().await;

    let fresh = answers
        .into_iter()
        .filter(|answer| answer.as_ref().unwrap().as_ref().unwrap().fresh)
        .count();
    assert_eq!(fresh, 4);
    assert_eq!(world.count("\"user\"").await, 1);
    assert_eq!(world.count("message").await, 4);
}

#[tokio::test]
async fn a_call_creates_a_user_whose_24_hour_window_only_a_message_opens() {
    let world = World::new().await;
    let messages = world.store.messages();
    let spoken = speech(1, 0);

    messages.receive_voice(&spoken).await.unwrap();

    let users = world.store.users();
    assert_eq!(
        users.address_of(spoken.user).await.unwrap(),
        Some(address(1))
    );
    assert_eq!(last_inbound_at(&world).await, None);
    world.receive(&message(1, 5)).await;
    assert_eq!(last_inbound_at(&world).await, Some(at(5)));
    messages.receive_voice(&speech(1, 9)).await.unwrap();
    assert_eq!(last_inbound_at(&world).await, Some(at(5)));
    assert_eq!(world.count("\"user\" WHERE name = 'Ada'").await, 1);
}

#[tokio::test]
async fn a_caller_who_was_not_welcomed_creates_no_user() {
    let world = World::new().await;
    let messages = world.store.messages();

    let stranger = messages.receive_voice(&not_welcomed(1)).await.unwrap();

    assert!(stranger.is_none());
    assert_eq!(world.count("\"user\"").await, 0);
    assert_eq!(world.count("message").await, 0);
    let user = world.user(1).await;
    let known = messages.receive_voice(&not_welcomed(1)).await.unwrap();
    assert!(known.is_some_and(|received| received.fresh));
    assert_eq!(messages.waiting(user, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn an_utterance_is_settled_given_up_and_replayed_like_a_message() {
    let world = World::new().await;
    let messages = world.store.messages();
    let spoken = speech(1, 1);
    messages.receive_voice(&spoken).await.unwrap();
    let answered = settlement(spoken.user, &[spoken.id], &[reply("a")]);
    world.settle(&answered).await;

    let answered = messages.receive_voice(&spoken).await.unwrap().unwrap();
    messages.give_up(spoken.user, &[spoken.id]).await.unwrap();
    let given_up = messages.receive_voice(&spoken).await.unwrap().unwrap();
    let replay = VoiceMessage {
        is_replay: true,
        ..spoken.clone()
    };
    let replayed = messages.receive_voice(&replay).await.unwrap().unwrap();

    assert!(answered.complete && !answered.fresh);
    assert!(given_up.complete && !replayed.complete);
    let waiting = messages.waiting(spoken.user, 10).await.unwrap();
    assert_eq!(waiting[0].id, spoken.id);
}

#[tokio::test]
async fn an_event_that_needs_no_answer_is_stored_and_does_not_wait() {
    let world = World::new().await;
    let messages = world.store.messages();
    let end = VoiceMessage {
        id: MessageId::of_call_end(call(1)),
        kind: VoiceKind::CallEnded,
        needs_answer: false,
        content: "\0".into(),
        ..speech(1, 3)
    };

    let received = messages.receive_voice(&end).await.unwrap().unwrap();
    let again = messages.receive_voice(&end).await.unwrap().unwrap();

    assert!(received.fresh && again.complete);
    assert_eq!(received.sandbox, None);
    let ended = "message WHERE kind = 'call_ended' AND call_id IS NOT NULL AND wamid IS NULL";
    assert_eq!(world.count(ended).await, 1);
    assert!(messages.waiting(end.user, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn receiving_an_event_of_a_call_returns_the_callers_sandbox() {
    let world = World::new().await;
    let sandbox = world.user_with_sandbox(1).await;

    let received = world.store.messages().receive_voice(&speech(1, 1)).await;

    assert_eq!(received.unwrap().unwrap().sandbox, Some(sandbox));
}

#[tokio::test]
async fn a_call_cannot_take_over_another_users_number() {
    let world = World::new().await;
    world.user(1).await;
    let impostor = VoiceMessage {
        user: user_of(&address(2)),
        caller: Caller::Welcomed {
            phone: phone(1),
            wants_template: false,
        },
        ..speech(2, 1)
    };

    let refused = world.store.messages().receive_voice(&impostor).await;

    assert!(matches!(refused, Err(StoreError::Database { .. })));
    assert_eq!(world.count("message").await, 1);
}

fn not_welcomed(number: u32) -> VoiceMessage {
    VoiceMessage {
        caller: Caller::Known,
        ..speech(number, 1)
    }
}

async fn last_inbound_at(world: &World) -> Option<DateTime<Utc>> {
    let rows = world.sql("SELECT last_inbound_at FROM \"user\"").await;
    rows[0].try_get("", "last_inbound_at").unwrap()
}
