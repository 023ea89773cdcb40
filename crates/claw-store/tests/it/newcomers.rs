//! Who comes in, who is refused, and who is blocked.

use chrono::{DateTime, Utc};
use claw_domain::{CallOutcome, InviteCode, InviteId, MessageId, ReplyId, UserId};
use claw_store::{
    AccessList, CallEnd, Entrance, InboundMessage, Invite, NewRefusal, Receipt, Refusal,
    WhileSuspended,
};
use tokio::task::JoinSet;

use crate::world::{World, at, call, message, newcomer_of, speech};

const LIMITED: Entrance = Entrance::Counted {
    per_hour: 10,
    per_day: 15,
};

/// How long a refusal is kept after it was forgotten: 31 days.
const KEPT_SECONDS: i64 = 31 * 86_400;

#[tokio::test(flavor = "multi_thread")]
async fn no_more_newcomers_come_in_than_allowed_however_many_try_at_once() {
    let world = World::new().await;

    let first_hour = admit_at_once(&world, 0..60, at(0)).await;
    let second_hour = admit_at_once(&world, 100..160, at(3_600)).await;
    let first_again = admit_at_once(&world, 0..60, at(3_600)).await;
    let second_day = admit_at_once(&world, 200..260, at(86_400)).await;

    assert_eq!((first_hour, second_hour, second_day), (10, 5, 10));
    // Those who are known are not counted again.
    assert_eq!(first_again, 10);
    assert_eq!(world.count("\"user\"").await, 25);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_user_is_counted_once_however_often_they_write_at_once() {
    let world = World::new().await;
    let one = std::iter::repeat_n(1, 30);

    assert_eq!(admit_at_once(&world, one, at(0)).await, 30);

    let record = world.store.newcomers().record(user(2), None, at(0)).await;
    assert_eq!(record.unwrap().this_hour, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_lets_in_as_many_as_it_is_for_until_it_expires_or_is_revoked() {
    let world = World::new().await;
    let (newcomers, invites) = (world.store.newcomers(), world.store.invites());
    let id = InviteId::derived_from("a code");
    let invite = Invite {
        id,
        note: "class".to_owned(),
        uses: 3,
        used: 0,
        expires_at: at(100),
        created_at: at(0),
    };
    invites.create(&invite).await.unwrap();
    let entrance = Entrance::Invited(id);

    let mut admitted = 0;
    for number in 0..6 {
        let newcomer = newcomer_of(&message(number, 0));
        let is_admitted = newcomers.admit(&newcomer, entrance, at(99)).await.unwrap();
        admitted += u32::from(is_admitted);
    }

    assert_eq!(admitted, 3);
    assert_eq!(
        invites.all().await.unwrap(),
        [Invite {
            used: 3,
            ..invite.clone()
        }]
    );
    let is_invited = async |id, second| {
        let record = newcomers.record(user(9), Some(id), at(second)).await;
        record.unwrap().is_invited
    };
    let other = Invite {
        id: InviteId::derived_from("another code"),
        ..invite
    };
    invites.create(&other).await.unwrap();
    assert!(!is_invited(id, 99).await && is_invited(other.id, 99).await);
    assert!(!is_invited(other.id, 100).await);
    assert!(invites.revoke(other.id).await.unwrap());
    assert!(!is_invited(other.id, 99).await && !invites.revoke(other.id).await.unwrap());
    let late = newcomer_of(&message(7, 0));
    let late = newcomers.admit(&late, Entrance::Invited(other.id), at(99));
    assert!(!late.await.unwrap());
    assert_eq!(world.count("\"user\"").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_guessed_codes_are_the_code_of_no_invite() {
    let world = World::new().await;
    for invite in 0..100 {
        let invite = Invite {
            id: code(&format!("invite {invite}")).id(),
            note: String::new(),
            uses: 1,
            used: 0,
            expires_at: at(100),
            created_at: at(0),
        };
        world.store.invites().create(&invite).await.unwrap();
    }
    let mut calls = JoinSet::new();
    for guesser in 0..20 {
        let newcomers = world.store.newcomers();
        calls.spawn(async move {
            for guess in 0..500 {
                let guess = code(&format!("guess {guesser} {guess}")).id();
                let record = newcomers.record(user(1), Some(guess), at(0)).await;
                assert!(!record.unwrap().is_invited);
            }
        });
    }

    calls.join_all().await;

    let right = code("invite 7").id();
    let record = world
        .store
        .newcomers()
        .record(user(1), Some(right), at(0))
        .await;
    assert!(record.unwrap().is_invited);
}

#[tokio::test]
async fn a_message_of_a_newcomer_is_not_stored() {
    let world = World::new().await;

    let receipt = world
        .store
        .messages()
        .receive(&message(1, 0))
        .await
        .unwrap();

    assert!(matches!(receipt, Receipt::Newcomer));
    assert_eq!(rows(&world).await, [0; 4]);
}

#[tokio::test]
async fn the_answer_to_a_refused_newcomer_finds_their_address_and_both_are_forgotten() {
    let world = World::new().await;
    let (newcomers, deliveries) = (world.store.newcomers(), world.store.deliveries());
    let answer = ReplyId::derived_from("answer");
    let refusal = refusal(&message(1, 0), Some(answer));

    for _ in 0..2 {
        newcomers.refuse(&refusal, at(0)).await.unwrap();
        let begun = deliveries
            .begin(user(1), answer, 1, true, WhileSuspended::Hold, at(0))
            .await;
        let begun = begun.unwrap().unwrap();
        assert_eq!(begun.address, message(1, 0).address);
        assert_eq!(begun.last_written_at, Some(at(0)));
    }
    assert_eq!(rows(&world).await, [0, 0, 1, 1]);

    let record = newcomers.record(user(1), None, at(99)).await.unwrap();
    assert_eq!(record.refusal, Some(refusal.refusal.clone()));
    let record = newcomers.record(user(1), None, at(100)).await.unwrap();
    assert_eq!(record.refusal, None);
    // As long as the bus may deliver the answer again, its delivery is known.
    let other = self::refusal(&message(2, 0), None);
    let due = 100 + KEPT_SECONDS;
    newcomers.refuse(&other, at(due - 1)).await.unwrap();
    assert_eq!(rows(&world).await, [0, 0, 2, 1]);
    let begin_again = async || {
        deliveries
            .begin(user(1), answer, 1, true, WhileSuspended::Hold, at(due))
            .await
            .unwrap()
    };
    assert!(!begin_again().await.unwrap().claimed_first);
    // Another refusal makes room.
    newcomers.refuse(&other, at(due)).await.unwrap();
    assert_eq!(rows(&world).await, [0, 0, 1, 0]);
    assert!(begin_again().await.is_none());
}

#[tokio::test]
async fn old_answers_to_a_newcomer_who_keeps_being_refused_are_forgotten() {
    let world = World::new().await;
    let (newcomers, deliveries) = (world.store.newcomers(), world.store.deliveries());
    let day = |day: i64| at(day * 86_400);

    for (number, expected) in [(0, 1), (30, 2), (31, 2)] {
        let answer = ReplyId::derived_from(&format!("answer {number}"));
        let mut refusal = refusal(&message(1, 0), Some(answer));
        refusal.refusal.message = MessageId::derived_from(&format!("message {number}"));
        refusal.forget_at = day(number + 1);
        newcomers.refuse(&refusal, day(number)).await.unwrap();
        deliveries
            .begin(user(1), answer, 1, true, WhileSuspended::Hold, day(number))
            .await
            .unwrap();

        assert_eq!(rows(&world).await, [0, 0, 1, expected], "{number}");
    }
}

#[tokio::test]
async fn nothing_from_or_to_a_blocked_user_is_stored() {
    let world = World::new().await;
    let lists = world.store.access_lists();
    let known = world.user(1).await;
    for blocked in [known, user(2)] {
        lists
            .put(blocked, AccessList::Block, "spam", at(0))
            .await
            .unwrap();
    }
    let before = rows(&world).await;

    for number in [1, 2] {
        let messages = world.store.messages();
        let receipt = messages.receive(&message(number, 1)).await.unwrap();
        assert!(matches!(receipt, Receipt::Blocked));
        let spoken = messages.receive_voice(&speech(number, 1)).await.unwrap();
        assert!(spoken.is_none());
        let end = CallEnd {
            at: at(9),
            duration_seconds: 9,
            outcome: CallOutcome::Completed,
        };
        let calls = world.store.calls();
        calls.end(call(number), user(number), &end).await.unwrap();
        assert!(calls.of(call(number)).await.unwrap().is_none());
        let (deliveries, reply) = (world.store.deliveries(), ReplyId::derived_from("r"));
        let begun = deliveries
            .begin(user(number), reply, 1, true, WhileSuspended::Hold, at(1))
            .await;
        assert!(begun.unwrap().is_none());
        assert!(deliveries.is_blocked(user(number)).await.unwrap());
    }

    assert_eq!(rows(&world).await, before);
    let (users, partition) = (world.store.users(), partition_of(&world, known).await);
    assert!(users.active_in(partition).await.unwrap().is_empty());
    assert!(lists.remove(known, AccessList::Block).await.unwrap());
    assert!(!lists.remove(known, AccessList::Block).await.unwrap());
    assert!(world.receive(&message(1, 1)).await.fresh);
}

#[tokio::test]
async fn a_user_is_on_one_list_at_most() {
    let world = World::new().await;
    let lists = world.store.access_lists();
    for list in [AccessList::Block, AccessList::Allow] {
        lists.put(user(1), list, "note", at(0)).await.unwrap();
    }

    let listed = lists.all().await.unwrap();

    assert_eq!(listed.len(), 1);
    assert_eq!(
        (listed[0].user, listed[0].list),
        (user(1), AccessList::Allow)
    );
    assert!(!lists.remove(user(1), AccessList::Block).await.unwrap());
    let record = world.store.newcomers().record(user(1), None, at(0)).await;
    assert_eq!(record.unwrap().list, Some(AccessList::Allow));
}

/// How many of these are users afterwards, all of whom try at once.
async fn admit_at_once(
    world: &World,
    numbers: impl IntoIterator<Item = u32>,
    now: DateTime<Utc>,
) -> usize {
    let mut calls = JoinSet::new();
    for number in numbers {
        let newcomers = world.store.newcomers();
        calls.spawn(async move {
            let newcomer = newcomer_of(&message(number, 0));
            newcomers.admit(&newcomer, LIMITED, now).await.unwrap()
        });
    }
    let admitted = calls.join_all().await;
    admitted
        .into_iter()
        .filter(|is_admitted| *is_admitted)
        .count()
}

fn refusal(message: &InboundMessage, answer: Option<ReplyId>) -> NewRefusal {
    NewRefusal {
        newcomer: newcomer_of(message),
        written_at: message.sent_at,
        answer,
        refusal: Refusal {
            message: MessageId::derived_from(message.wamid.as_str()),
            is_told: answer.is_some(),
            wrong_codes: 0,
            wait_until: at(0),
        },
        forget_at: at(100),
    }
}

/// The code of these random bytes.
fn code(seed: &str) -> InviteCode {
    let random = *MessageId::derived_from(seed).as_uuid().as_bytes();
    InviteCode::from_random(*random.first_chunk().unwrap())
}

fn user(number: u32) -> UserId {
    message(number, 0).user
}

/// Rows of messages, users, refusals and deliveries.
async fn rows(world: &World) -> [i64; 4] {
    let mut rows = [0; 4];
    for (count, table) in rows
        .iter_mut()
        .zip(["message", "\"user\"", "refusal", "delivery"])
    {
        *count = world.count(table).await;
    }
    rows
}

async fn partition_of(world: &World, user: UserId) -> u16 {
    let sql = format!(
        "SELECT partition FROM \"user\" WHERE id = '{}'",
        user.as_uuid()
    );
    let rows = world.sql(&sql).await;
    rows[0]
        .try_get::<i16>("", "partition")
        .unwrap()
        .cast_unsigned()
}
