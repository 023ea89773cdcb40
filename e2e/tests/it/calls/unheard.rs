//! Calls that end before the caller has heard everything.

use chrono::TimeDelta;
use claw_domain::{Attestation, CallId, MessageId, VoiceKind};
use claw_runtime::{Clock, SystemClock};
use claw_store::{CallBegin, Caller, VoiceMessage};
use claw_testkit::eventually;
use e2e::harness::{Service, World, user_of};

use super::{
    ADA, all_answered, chat_has, converse, hang_up, received_with, say, store,
    webhooks::WebhookCall, world, write,
};

/// The beginning of the follow-up that the simulated assistant writes after a call.
const FOLLOW_UP: &str = "The phone call is over";

#[tokio::test(flavor = "multi_thread")]
async fn an_unheard_answer_is_written_once_and_before_the_follow_up() {
    let world = world().await;
    write(&world, ADA, "hi", "echo: hi").await;
    let mut call = WebhookCall::begin(&world, ADA).await;
    call.say("hello").await;
    call.start_saying("[[SLOW 3000]] think").await;
    assert!(!call.document.contains("think"), "{}", call.document);
    wait_for_stored_answer(&world, 2).await;

    call.hang_up().await;
    call.hang_up().await;

    chat_has(&world, ADA, FOLLOW_UP).await;
    all_answered(&world, ADA).await;
    let chat = world.meta.chat(ADA);
    let texts = chat.received_texts();
    let answers = texts.iter().filter(|text| text.contains("echo: "));
    let answers: Vec<_> = answers.collect();
    assert_eq!(answers.len(), 3, "{texts:?}");
    assert!(answers[1].contains("think"), "{texts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heard_answer_is_not_written_to_the_chat() {
    let world = world().await;
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;
    say(&call, "hello", "echo: hello").await;
    say(&call, "good bye", "echo: good bye").await;

    hang_up(&call).await;

    chat_has(&world, ADA, FOLLOW_UP).await;
    for words in ["echo: hello", "echo: good bye"] {
        assert_eq!(received_with(&world, ADA, words), 0, "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_a_final_status_is_closed_after_a_while() {
    let mut world = world().await;
    write(&world, ADA, "hi", "echo: hi").await;
    world.kill(Service::Gateway).await.unwrap();
    let (begin, spoken) = long_ago();
    let store = store(&world).await;
    store.calls().begin(&begin).await.unwrap();
    store.messages().receive_voice(&spoken).await.unwrap();

    world.restart(Service::Gateway).await.unwrap();

    chat_has(&world, ADA, FOLLOW_UP).await;
    let call = store.calls().of(begin.call).await.unwrap().unwrap();
    assert_eq!(call.end.map(|end| end.duration_seconds), Some(5));
}

/// A call of Ada's an hour ago, with one answered utterance.
fn long_ago() -> (CallBegin, VoiceMessage) {
    let user = user_of(ADA).unwrap();
    let (call, at) = (
        CallId::derived_from("CA1"),
        SystemClock.now() - TimeDelta::hours(1),
    );
    let begin = CallBegin {
        call,
        user,
        attestation: Attestation::Full,
        opened_at: Some(at),
        unstored_turn: 0,
        at,
        sequence: 1,
    };
    let spoken = VoiceMessage {
        id: MessageId::of_utterance(call, 1),
        user,
        caller: Caller::Known,
        call,
        turn: 1,
        kind: VoiceKind::Speech,
        content: "hello".into(),
        sent_at: at + TimeDelta::seconds(5),
        now: at,
        sequence: 2,
        needs_answer: false,
        is_replay: false,
    };
    (begin, spoken)
}

/// Waits until `CALLS` has the answer to a turn of the only call.
async fn wait_for_stored_answer(world: &World, turn: u32) {
    let end = format!(".{turn}");
    let is_of_turn = |line: &str| line.contains("$KV.CALLS.") && line.ends_with(&end);
    eventually("the answer is stored", || async {
        world.nats.dump().await.unwrap().lines().any(is_of_turn)
    })
    .await;
}
