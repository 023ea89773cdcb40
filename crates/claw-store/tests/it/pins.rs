use claw_domain::{
    Attestation::{self, Failed, Full, Hidden, NoVerdict, Partial},
    CallId, Pin, UserId,
};
use claw_store::{CallBegin, Keyring, KeyringError, PinOutcome, PinTry, StoreError};
use claw_testkit::user_of;
use tokio::task::JoinSet;

use crate::world::{NEW_KEY, OLD_KEY, World, address, at, keyring, message};

const RIGHT: &str = "90817263";
const WRONG: &str = "90817264";

/// Seconds of a day.
const DAY: i64 = 24 * 60 * 60;

#[tokio::test]
async fn a_pin_is_right_until_it_is_replaced_or_removed() {
    let world = World::new().await;
    let user = world.user(1).await;
    let users = world.store.users();
    assert_eq!(users.has_pin(user).await.unwrap(), Some(false));
    assert_eq!(
        calls(&world, user, NoVerdict, RIGHT, 0).await,
        PinOutcome::Refused
    );

    set(&world, user, RIGHT).await;
    assert_eq!(users.has_pin(user).await.unwrap(), Some(true));
    assert_eq!(
        calls(&world, user, NoVerdict, RIGHT, 0).await,
        PinOutcome::Right
    );

    set(&world, user, "4711").await;
    assert_eq!(
        calls(&world, user, NoVerdict, RIGHT, 0).await,
        PinOutcome::Wrong
    );
    assert_eq!(
        calls(&world, user, NoVerdict, "4711", 0).await,
        PinOutcome::Right
    );

    users.remove_pin(user).await.unwrap();
    assert_eq!(
        calls(&world, user, NoVerdict, "4711", 0).await,
        PinOutcome::Refused
    );
}

#[tokio::test]
async fn the_right_pin_opens_the_call_for_good() {
    let world = World::new().await;
    let user = with_pin(&world, 1).await;
    let call = ring(&world, user, "CA1", NoVerdict).await;
    assert_eq!(
        tried(&world, &call, 1, Some(WRONG)).await,
        PinOutcome::Wrong
    );
    assert_eq!(
        tried(&world, &call, 2, Some(RIGHT)).await,
        PinOutcome::Right
    );

    // Repetitions, and what the caller says next.
    for (turn, pin) in [(1, WRONG), (2, RIGHT), (3, WRONG)] {
        assert_eq!(
            tried(&world, &call, turn, Some(pin)).await,
            PinOutcome::Right
        );
    }

    let kept = world.store.calls().of(call.call).await.unwrap().unwrap();
    assert!(kept.is_open());
    assert_eq!(
        (kept.unstored_turn, kept.pin_tries, kept.wrong_pins),
        (2, 2, 1)
    );
}

#[tokio::test]
async fn three_wrong_tries_cost_the_caller_the_call_and_the_owner_nothing() {
    let world = World::new().await;
    let user = with_pin(&world, 1).await;
    let guesser = ring(&world, user, "CA1", NoVerdict).await;
    assert_eq!(
        tried(&world, &guesser, 1, Some(WRONG)).await,
        PinOutcome::Wrong
    );
    // A repetition does not count, and words without a PIN do.
    assert_eq!(
        tried(&world, &guesser, 1, Some(WRONG)).await,
        PinOutcome::Wrong
    );
    assert_eq!(tried(&world, &guesser, 2, None).await, PinOutcome::Wrong);
    assert_eq!(
        tried(&world, &guesser, 3, Some(WRONG)).await,
        PinOutcome::Refused
    );

    assert_eq!(
        tried(&world, &guesser, 4, Some(RIGHT)).await,
        PinOutcome::Refused
    );
    assert_eq!(
        calls(&world, user, NoVerdict, RIGHT, 0).await,
        PinOutcome::Right
    );
    let kept = world.store.calls().of(guesser.call).await.unwrap().unwrap();
    assert_eq!(
        (kept.is_open(), kept.pin_tries, kept.wrong_pins),
        (false, 3, 2)
    );
}

#[tokio::test]
async fn guessers_find_ten_wrong_pins_a_day_and_lock_nobody_out_who_has_better_proof() {
    let world = World::new().await;
    let user = with_pin(&world, 1).await;

    let mut checked = 0;
    for _ in 0..50 {
        checked += guess(&world, user, Hidden, 0).await;
    }
    assert_eq!(checked, 10);
    assert_eq!(
        calls(&world, user, Failed, RIGHT, 0).await,
        PinOutcome::Refused
    );
    assert_eq!(
        calls(&world, user, NoVerdict, RIGHT, 0).await,
        PinOutcome::Right
    );

    for _ in 0..50 {
        checked += guess(&world, user, Partial, 0).await;
    }
    assert_eq!(checked, 20);
    assert_eq!(
        calls(&world, user, NoVerdict, RIGHT, 0).await,
        PinOutcome::Refused
    );
    assert_eq!(calls(&world, user, Full, RIGHT, 0).await, PinOutcome::Right);

    // The next day, or with a new PIN from the chat, they can try again.
    assert_eq!(
        calls(&world, user, Hidden, RIGHT, DAY - 1).await,
        PinOutcome::Refused
    );
    assert_eq!(
        calls(&world, user, Hidden, RIGHT, DAY).await,
        PinOutcome::Right
    );
    set(&world, user, "4711").await;
    assert_eq!(
        calls(&world, user, NoVerdict, "4711", 0).await,
        PinOutcome::Right
    );
    assert_eq!(world.count("pin_guesses").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_of_many_concurrent_wrong_pins_count_and_none_counts_twice() {
    let world = World::new().await;
    let user = with_pin(&world, 1).await;
    let mut tries = JoinSet::new();
    for n in 0..20 {
        let store = world.store.clone();
        tries.spawn(async move {
            let begin = rings(user, &format!("CA{n}"), NoVerdict);
            store.calls().begin(&begin).await.unwrap();
            let pin = pin(WRONG);
            let wrong = PinTry {
                call: begin.call,
                user,
                attestation: NoVerdict,
                turn: 1,
                pin: Some(&pin),
            };
            store
                .users()
                .try_pin(&wrong, at(0), &keyring(OLD_KEY))
                .await
        });
    }

    let outcomes = tries.join_all().await.into_iter().map(Result::unwrap);

    let wrong = outcomes.filter(|outcome| *outcome == PinOutcome::Wrong);
    assert_eq!(wrong.count(), 10);
    assert_eq!(world.count("pin_guesses WHERE wrong = 10").await, 1);
}

#[tokio::test]
async fn guesses_affect_neither_other_users_nor_the_users_messages() {
    let world = World::new().await;
    let [user, other] = [with_pin(&world, 1).await, with_pin(&world, 2).await];
    for _ in 0..5 {
        guess(&world, user, NoVerdict, 0).await;
    }

    assert_eq!(
        calls(&world, other, NoVerdict, RIGHT, 0).await,
        PinOutcome::Right
    );
    assert!(world.receive(&message(1, 1)).await.fresh);
}

#[tokio::test]
async fn a_call_from_another_number_is_not_opened() {
    let world = World::new().await;
    let [user, other] = [with_pin(&world, 1).await, with_pin(&world, 2).await];
    let call = ring(&world, user, "CA1", NoVerdict).await;

    let of_other = CallBegin {
        user: other,
        ..call
    };

    assert_eq!(
        tried(&world, &of_other, 1, Some(RIGHT)).await,
        PinOutcome::Refused
    );
}

#[tokio::test]
async fn one_call_a_day_has_the_claim_on_a_warning() {
    let world = World::new().await;
    let user = world.user(1).await;
    let [first, second] = ["CA1", "CA2"].map(CallId::derived_from);
    let users = world.store.users();
    let claim = async |call, second| users.claim_warning(user, call, at(second)).await.unwrap();

    assert!(claim(first, 0).await && claim(first, 5).await);
    assert!(!claim(second, 6).await && !claim(second, DAY).await);
    assert!(claim(second, DAY + 5).await);
    let stranger = user_of(&address(9));
    assert!(!users.claim_warning(stranger, first, at(0)).await.unwrap());
}

#[tokio::test]
async fn an_unknown_user_has_no_pin_and_cannot_set_one() {
    let world = World::new().await;
    let stranger = user_of(&address(9));
    let users = world.store.users();

    let refused = users
        .set_pin(stranger, &pin(RIGHT), &keyring(OLD_KEY))
        .await
        .unwrap_err();

    assert!(matches!(refused, StoreError::Missing { .. }));
    assert_eq!(users.has_pin(stranger).await.unwrap(), None);
    assert_eq!(
        calls(&world, stranger, NoVerdict, RIGHT, 0).await,
        PinOutcome::Refused
    );
}

#[tokio::test]
async fn a_pin_is_not_readable_in_its_row_and_does_not_open_in_another() {
    let world = World::new().await;
    let [user, other] = [with_pin(&world, 1).await, with_pin(&world, 2).await];
    set(&world, other, "4711").await;
    let rows = world
        .sql("SELECT string_agg(\"user\"::text, ' ') AS dump, min(length(pin_sealed)) = max(length(pin_sealed)) AS alike FROM \"user\"")
        .await;
    let dump: String = rows[0].try_get("", "dump").unwrap();
    assert!(!dump.contains(RIGHT) && !dump.contains("3930383137323633"));
    assert!(
        rows[0].try_get::<bool>("", "alike").unwrap(),
        "the sealed value shows the length"
    );

    world
        .sql(&format!(
            "UPDATE \"user\" AS u SET pin_sealed = (SELECT pin_sealed FROM \"user\" WHERE id <> u.id) \
             WHERE id = '{}'",
            user.as_uuid()
        ))
        .await;
    let call = ring(&world, user, "CA1", NoVerdict).await;
    let error = attempt(&world, &call, 1, Some("4711"), &keyring(OLD_KEY))
        .await
        .unwrap_err();

    assert!(matches!(
        error,
        StoreError::Sealed(KeyringError::NotAuthentic { .. })
    ));
}

#[tokio::test]
async fn pins_can_be_sealed_again_with_another_key() {
    let world = World::new().await;
    let user = with_pin(&world, 1).await;
    world.user(2).await;
    let users = world.store.users();
    let both = keyring(&format!("{NEW_KEY},{OLD_KEY}"));

    let rewrapped = users.rewrap_pins(&both).await.unwrap();
    let again = users.rewrap_pins(&both).await.unwrap();

    assert_eq!((rewrapped, again), (1, 0));
    let new = keyring(NEW_KEY);
    let call = ring(&world, user, "CA1", NoVerdict).await;
    let outcome = attempt(&world, &call, 1, Some(RIGHT), &new).await;
    assert_eq!(outcome.unwrap(), PinOutcome::Right);
}

async fn with_pin(world: &World, number: u32) -> UserId {
    let user = world.user(number).await;
    set(world, user, RIGHT).await;
    user
}

async fn set(world: &World, user: UserId, digits: &str) {
    let users = world.store.users();
    users
        .set_pin(user, &pin(digits), &keyring(OLD_KEY))
        .await
        .unwrap();
}

/// The outcome of one try in a call of its own.
async fn calls(
    world: &World,
    user: UserId,
    attestation: Attestation,
    digits: &str,
    second: i64,
) -> PinOutcome {
    let call = ring_anew(world, user, attestation).await;
    let pin = pin(digits);
    let attempt = PinTry {
        call: call.call,
        user,
        attestation,
        turn: 1,
        pin: Some(&pin),
    };
    let users = world.store.users();
    let key = keyring(OLD_KEY);
    users.try_pin(&attempt, at(second), &key).await.unwrap()
}

/// How many wrong PINs of a new call are checked.
async fn guess(world: &World, user: UserId, attestation: Attestation, second: i64) -> u32 {
    let call = ring_anew(world, user, attestation).await;
    let pin = pin(WRONG);
    for turn in 1..=5 {
        let attempt = PinTry {
            call: call.call,
            user,
            attestation,
            turn,
            pin: Some(&pin),
        };
        let users = world.store.users();
        let key = keyring(OLD_KEY);
        users.try_pin(&attempt, at(second), &key).await.unwrap();
    }
    let kept = world.store.calls().of(call.call).await.unwrap();
    kept.unwrap().wrong_pins
}

async fn tried(world: &World, call: &CallBegin, turn: u32, digits: Option<&str>) -> PinOutcome {
    let key = keyring(OLD_KEY);
    attempt(world, call, turn, digits, &key).await.unwrap()
}

async fn attempt(
    world: &World,
    call: &CallBegin,
    turn: u32,
    digits: Option<&str>,
    keyring: &Keyring,
) -> Result<PinOutcome, StoreError> {
    let pin = digits.map(pin);
    let attempt = PinTry {
        call: call.call,
        user: call.user,
        attestation: call.attestation,
        turn,
        pin: pin.as_ref(),
    };
    world.store.users().try_pin(&attempt, at(0), keyring).await
}

/// A call of which nothing but its beginning is stored.
async fn ring(world: &World, user: UserId, sid: &str, attestation: Attestation) -> CallBegin {
    let begin = rings(user, sid, attestation);
    world.store.calls().begin(&begin).await.unwrap();
    begin
}

async fn ring_anew(world: &World, user: UserId, attestation: Attestation) -> CallBegin {
    let number = world.count("\"call\"").await;
    ring(world, user, &format!("new {number}"), attestation).await
}

fn rings(user: UserId, sid: &str, attestation: Attestation) -> CallBegin {
    CallBegin {
        call: CallId::derived_from(sid),
        user,
        attestation,
        at: at(0),
        opened_at: None,
        unstored_turn: 0,
        sequence: 1,
    }
}

fn pin(digits: &str) -> Pin {
    Pin::try_from(digits).unwrap()
}
