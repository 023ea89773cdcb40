use claw_domain::{Attestation, CallOutcome, VoiceKind};
use claw_store::{Call, CallBegin, CallEnd, StoreError, VoiceMessage};
use claw_testkit::user_of;
use tokio::task::JoinSet;

use crate::world::{World, address, at, call, speech};

#[tokio::test]
async fn a_call_reads_back_as_it_was_stored() {
    let world = World::new().await;
    let calls = world.store.calls();
    let id = call(1);
    assert_eq!(calls.of(id).await.unwrap(), None);

    calls.begin(&closed()).await.unwrap();
    say(&world, 3).await;
    calls.await_setup(id).await.unwrap();
    for second in [5, 6] {
        let opened = CallBegin {
            opened_at: Some(at(second)),
            unstored_turn: 2,
            ..closed()
        };
        calls.begin(&opened).await.unwrap();
    }
    calls.end(id, user_of(&address(1)), &end(9)).await.unwrap();

    let went = Call {
        id,
        user: user_of(&address(1)),
        attestation: Some(Attestation::NoVerdict),
        started_at: at(1),
        turns: 1,
        last_turn: 3,
        last_spoken_at: Some(at(3)),
        setup_awaited: true,
        opened_at: Some(at(5)),
        unstored_turn: 2,
        pin_tries: 0,
        wrong_pins: 0,
        end: Some(end(9)),
    };
    assert_eq!(calls.of(id).await.unwrap(), Some(went));
}

#[tokio::test]
async fn each_utterance_is_counted_once_in_any_order() {
    let world = World::new().await;
    let calls = world.store.calls();
    calls.begin(&open()).await.unwrap();
    let rings = VoiceMessage {
        kind: VoiceKind::CallStarted,
        ..speech(1, 0)
    };
    world.store.messages().receive_voice(&rings).await.unwrap();
    assert_eq!(turns(&world).await, (0, 0));

    for number in [1, 1000, 2, 1000, 1] {
        say(&world, number).await;
    }

    assert_eq!(turns(&world).await, (3, 1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_utterance_stored_many_times_at_once_counts_once() {
    let world = World::new().await;
    world.store.calls().begin(&open()).await.unwrap();
    let mut calls = JoinSet::new();
    for n in 0..20 {
        let messages = world.store.messages();
        calls.spawn(async move { messages.receive_voice(&speech(1, 1 + n % 4)).await });
    }
    assert!(calls.join_all().await.iter().all(Result::is_ok));

    assert_eq!(turns(&world).await, (4, 4));
}

#[tokio::test]
async fn a_call_counts_as_silent_from_its_last_utterance_until_it_ends() {
    let world = World::new().await;
    let calls = world.store.calls();
    calls.begin(&open()).await.unwrap();
    let other = CallBegin {
        call: call(2),
        at: at(0),
        ..closed()
    };
    calls.begin(&other).await.unwrap();
    let silent = async |since, limit| {
        let silent = calls.silent_since(at(since), limit).await.unwrap();
        silent.iter().map(|call| call.id).collect::<Vec<_>>()
    };

    assert_eq!(silent(5, 9).await, [call(2), call(1)]);
    assert_eq!(silent(5, 1).await, [call(2)]);
    say(&world, 7).await;
    assert_eq!(silent(5, 9).await, [call(2)]);
    assert_eq!(silent(8, 9).await, [call(2), call(1)]);
    calls
        .end(call(2), user_of(&address(1)), &end(9))
        .await
        .unwrap();
    assert_eq!(silent(8, 9).await, [call(1)]);
}

#[tokio::test]
async fn a_repeated_beginning_changes_nothing_and_does_not_reopen_the_call() {
    let world = World::new().await;
    let calls = world.store.calls();
    let id = call(1);
    calls.begin(&closed()).await.unwrap();
    say(&world, 2).await;
    calls.end(id, user_of(&address(1)), &end(9)).await.unwrap();
    let over = calls.of(id).await.unwrap();

    calls.begin(&closed()).await.unwrap();

    assert_eq!(calls.of(id).await.unwrap(), over);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_many_concurrent_ends_counts_and_a_later_one_does_not() {
    let world = World::new().await;
    let calls = world.store.calls();
    calls.begin(&open()).await.unwrap();
    let mut ends = JoinSet::new();
    for second in 10..40 {
        let calls = world.store.calls();
        ends.spawn(async move { calls.end(call(1), user_of(&address(1)), &end(second)).await });
    }
    assert!(ends.join_all().await.iter().all(Result::is_ok));
    let first = calls.of(call(1)).await.unwrap().unwrap().end.unwrap();

    let other = CallEnd {
        outcome: CallOutcome::Failed,
        ..end(99)
    };
    calls
        .end(call(1), user_of(&address(1)), &other)
        .await
        .unwrap();

    let kept = calls.of(call(1)).await.unwrap().unwrap();
    assert_eq!(kept.end, Some(first));
    assert_eq!(first.outcome, CallOutcome::Completed);
}

#[tokio::test]
async fn an_end_that_arrives_first_is_stored_and_the_beginning_does_not_reopen_the_call() {
    let world = World::new().await;
    world.user(1).await;
    let calls = world.store.calls();
    let user = world.user(1).await;

    calls.end(call(1), user, &end(9)).await.unwrap();
    calls.begin(&closed()).await.unwrap();

    let kept = calls.of(call(1)).await.unwrap().unwrap();
    assert_eq!(kept.end, Some(end(9)));
    assert_eq!((kept.user, kept.started_at), (user, at(5)));
    assert!(!kept.is_open());
}

#[tokio::test]
async fn the_end_of_a_strangers_call_leaves_no_row() {
    let world = World::new().await;
    let calls = world.store.calls();

    calls
        .end(call(1), user_of(&address(1)), &end(9))
        .await
        .unwrap();

    assert_eq!(world.count("\"call\"").await, 0);
}

#[tokio::test]
async fn an_open_call_stays_open() {
    let world = World::new().await;
    let calls = world.store.calls();
    calls.begin(&open()).await.unwrap();

    calls.begin(&closed()).await.unwrap();

    let kept = calls.of(call(1)).await.unwrap().unwrap();
    assert!(kept.is_open());
    assert_eq!(kept.attestation, Some(Attestation::Full));
}

#[tokio::test]
async fn a_call_is_not_opened_as_another_user() {
    let world = World::new().await;
    let calls = world.store.calls();
    calls.begin(&closed()).await.unwrap();

    let as_other = CallBegin {
        user: user_of(&address(2)),
        ..open()
    };
    calls.begin(&as_other).await.unwrap();

    let kept = calls.of(call(1)).await.unwrap().unwrap();
    assert_eq!((kept.user, kept.is_open()), (user_of(&address(1)), false));
    calls.begin(&open()).await.unwrap();
    assert!(calls.of(call(1)).await.unwrap().unwrap().is_open());
}

#[tokio::test]
async fn an_unknown_call_cannot_be_updated() {
    let world = World::new().await;
    let calls = world.store.calls();
    let id = call(1);

    let refused = calls.await_setup(id).await;

    assert!(matches!(refused, Err(StoreError::Missing { .. })));
}

#[tokio::test]
async fn every_outcome_can_be_stored() {
    use CallOutcome::{Busy, Canceled, Completed, Failed, NoAnswer};
    let world = World::new().await;
    let calls = world.store.calls();
    for (number, outcome) in (1..).zip([Completed, Busy, Failed, NoAnswer, Canceled]) {
        world.user(number).await;
        let end = CallEnd { outcome, ..end(9) };
        world.user(number).await;

        calls
            .end(call(number), user_of(&address(number)), &end)
            .await
            .unwrap();

        let kept = calls.of(call(number)).await.unwrap().unwrap();
        assert_eq!(kept.end, Some(end));
    }
}

/// Stores an utterance of the caller with this number.
async fn say(world: &World, number: u32) {
    let spoken = speech(1, number);
    world.store.messages().receive_voice(&spoken).await.unwrap();
}

/// The number of utterances and the highest of their numbers.
async fn turns(world: &World) -> (u32, u32) {
    let call = world.store.calls().of(call(1)).await.unwrap().unwrap();
    (call.turns, call.last_turn)
}

/// A call whose caller was put through.
fn open() -> CallBegin {
    CallBegin {
        attestation: Attestation::Full,
        opened_at: Some(at(1)),
        ..closed()
    }
}

/// A call whose caller has to give a PIN.
fn closed() -> CallBegin {
    CallBegin {
        call: call(1),
        user: user_of(&address(1)),
        attestation: Attestation::NoVerdict,
        at: at(1),
        opened_at: None,
        unstored_turn: 0,
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
