use chrono::TimeDelta;
use claw_domain::{Pin, UserId};
use claw_store::{KeyringError, PinOutcome, StoreError};
use claw_testkit::user_of;
use tokio::task::JoinSet;

use crate::world::{NEW_KEY, OLD_KEY, World, address, at, keyring, message};

const RIGHT: &str = "90817263";
const WRONG: &str = "90817264";

#[tokio::test]
async fn a_pin_is_right_until_it_is_replaced_or_removed() {
    let world = World::new().await;
    let user = world.user(1).await;
    let users = world.store.users();
    assert_eq!(tried(&world, user, RIGHT, 0).await, PinOutcome::NotSet);
    assert!(!users.has_pin(user).await.unwrap());

    set(&world, user, RIGHT).await;
    assert!(users.has_pin(user).await.unwrap());
    assert_eq!(tried(&world, user, RIGHT, 0).await, PinOutcome::Right);

    set(&world, user, "4711").await;
    assert_eq!(tried(&world, user, RIGHT, 0).await, wrong(4));
    assert_eq!(tried(&world, user, "4711", 0).await, PinOutcome::Right);

    users.remove_pin(user).await.unwrap();
    assert_eq!(tried(&world, user, "4711", 0).await, PinOutcome::NotSet);
    assert!(!users.has_pin(user).await.unwrap());
}

#[tokio::test]
async fn after_the_fifth_consecutive_wrong_try_even_the_right_pin_is_refused_for_an_hour() {
    let world = World::new().await;
    let user = with_pin(&world, 1).await;
    let until = at(4) + TimeDelta::hours(1);
    for (second, left) in [(0, 4), (1, 3), (2, 2), (3, 1)] {
        assert_eq!(tried(&world, user, WRONG, second).await, wrong(left));
    }

    assert_eq!(
        tried(&world, user, WRONG, 4).await,
        PinOutcome::Locked { until }
    );
    assert_eq!(
        tried(&world, user, RIGHT, 3603).await,
        PinOutcome::Locked { until }
    );
    assert_eq!(tried(&world, user, WRONG, 3604).await, wrong(4));
    assert_eq!(tried(&world, user, RIGHT, 3604).await, PinOutcome::Right);
}

#[tokio::test]
async fn a_right_try_clears_the_wrong_tries_and_a_new_pin_clears_the_lock() {
    let world = World::new().await;
    let user = with_pin(&world, 1).await;
    for _ in 0..4 {
        tried(&world, user, WRONG, 0).await;
    }

    assert_eq!(tried(&world, user, RIGHT, 0).await, PinOutcome::Right);
    for left in [4, 3, 2, 1] {
        assert_eq!(tried(&world, user, WRONG, 0).await, wrong(left));
    }
    tried(&world, user, WRONG, 0).await;
    set(&world, user, RIGHT).await;
    assert_eq!(tried(&world, user, RIGHT, 0).await, PinOutcome::Right);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_of_many_concurrent_wrong_tries_count_and_none_counts_twice() {
    let world = World::new().await;
    let user = with_pin(&world, 1).await;
    let mut tries = JoinSet::new();
    for _ in 0..40 {
        let users = world.store.users();
        tries.spawn(async move {
            let pin = pin(WRONG);
            users.try_pin(user, &pin, at(0), &keyring(OLD_KEY)).await
        });
    }

    let outcomes = tries.join_all().await.into_iter().map(Result::unwrap);

    let (mut left, mut locked) = (Vec::new(), 0);
    for outcome in outcomes {
        match outcome {
            PinOutcome::Wrong { left: tries } => left.push(tries),
            PinOutcome::Locked { .. } => locked += 1,
            PinOutcome::Right | PinOutcome::NotSet => panic!("{outcome:?}"),
        }
    }
    left.sort_unstable();
    assert_eq!((left, locked), (vec![1, 2, 3, 4], 36));
}

#[tokio::test]
async fn a_locked_pin_affects_neither_other_users_nor_the_users_messages() {
    let world = World::new().await;
    let [user, other] = [with_pin(&world, 1).await, with_pin(&world, 2).await];
    for _ in 0..5 {
        tried(&world, user, WRONG, 0).await;
    }

    assert_eq!(tried(&world, other, RIGHT, 0).await, PinOutcome::Right);
    let messages = world.store.messages();
    assert!(messages.receive(&message(1, 1)).await.unwrap().fresh);
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
    assert_eq!(tried(&world, stranger, RIGHT, 0).await, PinOutcome::NotSet);
    assert!(!users.has_pin(stranger).await.unwrap());
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
    let error = world
        .store
        .users()
        .try_pin(user, &pin("4711"), at(0), &keyring(OLD_KEY))
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
    tried(&world, user, WRONG, 0).await;
    let users = world.store.users();
    let both = keyring(&format!("{NEW_KEY},{OLD_KEY}"));

    let rewrapped = users.rewrap_pins(&both).await.unwrap();
    let again = users.rewrap_pins(&both).await.unwrap();

    assert_eq!((rewrapped, again), (1, 0));
    let new = keyring(NEW_KEY);
    let outcome = users.try_pin(user, &pin(WRONG), at(0), &new).await;
    assert_eq!(outcome.unwrap(), wrong(3));
    let outcome = users.try_pin(user, &pin(RIGHT), at(0), &new).await;
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

async fn tried(world: &World, user: UserId, digits: &str, second: i64) -> PinOutcome {
    let users = world.store.users();
    users
        .try_pin(user, &pin(digits), at(second), &keyring(OLD_KEY))
        .await
        .unwrap()
}

fn wrong(left: u32) -> PinOutcome {
    PinOutcome::Wrong { left }
}

fn pin(digits: &str) -> Pin {
    Pin::try_from(digits).unwrap()
}
