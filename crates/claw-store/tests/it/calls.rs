use claw_domain::{CallOutcome, Trust};
use claw_store::{Call, CallBegin, CallEnd, StoreError};
use tokio::task::JoinSet;

use crate::world::{World, address, at, call};

#[tokio::test]
async fn a_call_comes_back_as_it_went() {
    let world = World::new().await;
    let calls = world.store.calls();
    let id = call(1);
    assert_eq!(calls.of(id).await.unwrap(), None);

    calls.begin(&begin(Trust::Unverified)).await.unwrap();
    for turn in [1, 3, 2, 3] {
        calls.count_turn(id, turn).await.unwrap();
    }
    calls.count_wrong_pin(id).await.unwrap();
    calls.count_wrong_pin(id).await.unwrap();
    calls.await_setup(id).await.unwrap();
    calls.unlock(id, at(5)).await.unwrap();
    calls.unlock(id, at(6)).await.unwrap();
    calls.end(id, address(1).user(), &end(9)).await.unwrap();

    let went = Call {
        id,
        user: address(1).user(),
        trust: Trust::Unverified,
        sequence: Some(7),
        started_at: at(1),
        turns: 3,
        setup_awaited: true,
        pin_failures: 2,
        unlocked_at: Some(at(5)),
        end: Some(end(9)),
    };
    assert_eq!(calls.of(id).await.unwrap(), Some(went));
}

#[tokio::test]
async fn a_repeated_beginning_changes_nothing_and_opens_nothing_again() {
    let world = World::new().await;
    let calls = world.store.calls();
    let id = call(1);
    calls.begin(&begin(Trust::Unverified)).await.unwrap();
    calls.count_turn(id, 2).await.unwrap();
    calls.end(id, address(1).user(), &end(9)).await.unwrap();
    let over = calls.of(id).await.unwrap();

    calls.begin(&begin(Trust::Trusted)).await.unwrap();

    assert_eq!(calls.of(id).await.unwrap(), over);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_ends_at_once_one_counts_and_later_ones_do_not() {
    let world = World::new().await;
    let calls = world.store.calls();
    calls.begin(&begin(Trust::Trusted)).await.unwrap();
    let mut ends = JoinSet::new();
    for second in 10..40 {
        let calls = world.store.calls();
        ends.spawn(async move { calls.end(call(1), address(1).user(), &end(second)).await });
    }
    assert!(ends.join_all().await.iter().all(Result::is_ok));
    let first = calls.of(call(1)).await.unwrap().unwrap().end.unwrap();

    let other = CallEnd {
        outcome: CallOutcome::Failed,
        ..end(99)
    };
    calls.end(call(1), address(1).user(), &other).await.unwrap();

    let kept = calls.of(call(1)).await.unwrap().unwrap();
    assert_eq!(kept.end, Some(first));
    assert_eq!(first.outcome, CallOutcome::Completed);
}

#[tokio::test]
async fn an_end_that_comes_first_is_kept_and_the_beginning_does_not_open_the_call() {
    let world = World::new().await;
    let calls = world.store.calls();
    let user = address(1).user();

    calls.end(call(1), user, &end(9)).await.unwrap();
    calls.begin(&begin(Trust::Trusted)).await.unwrap();

    let kept = calls.of(call(1)).await.unwrap().unwrap();
    assert_eq!(kept.end, Some(end(9)));
    assert_eq!((kept.user, kept.started_at), (user, at(5)));
    assert!(!kept.is_open_to_its_user());
}

#[tokio::test]
async fn a_call_is_its_users_when_the_number_or_the_pin_says_so() {
    let world = World::new().await;
    let calls = world.store.calls();
    let is_open = async |id| {
        let call = calls.of(id).await.unwrap().unwrap();
        call.is_open_to_its_user()
    };
    let trusted = CallBegin {
        call: call(2),
        ..begin(Trust::Trusted)
    };
    calls.begin(&trusted).await.unwrap();
    calls.begin(&begin(Trust::Unverified)).await.unwrap();

    assert_eq!(
        (is_open(call(2)).await, is_open(call(1)).await),
        (true, false)
    );
    calls.unlock(call(1), at(2)).await.unwrap();
    assert!(is_open(call(1)).await);
}

#[tokio::test]
async fn nothing_is_noted_about_a_call_nobody_wrote_down() {
    let world = World::new().await;
    let calls = world.store.calls();
    let id = call(1);

    let refused = [
        calls.count_turn(id, 1).await,
        calls.unlock(id, at(1)).await,
        calls.count_wrong_pin(id).await,
        calls.await_setup(id).await,
    ];

    for answer in refused {
        assert!(matches!(answer, Err(StoreError::Missing { .. })));
    }
}

#[tokio::test]
async fn every_outcome_can_be_kept() {
    use CallOutcome::{Busy, Canceled, Completed, Failed, NoAnswer};
    let world = World::new().await;
    let calls = world.store.calls();
    for (number, outcome) in (1..).zip([Completed, Busy, Failed, NoAnswer, Canceled]) {
        let end = CallEnd { outcome, ..end(9) };

        calls
            .end(call(number), address(number).user(), &end)
            .await
            .unwrap();

        let kept = calls.of(call(number)).await.unwrap().unwrap();
        assert_eq!(kept.end, Some(end));
    }
}

fn begin(trust: Trust) -> CallBegin {
    CallBegin {
        call: call(1),
        user: address(1).user(),
        trust,
        at: at(1),
        sequence: 7,
    }
}

fn end(second: i64) -> CallEnd {
    CallEnd {
        at: at(second),
        duration_seconds: 4,
        outcome: CallOutcome::Completed,
    }
}
