//! Callers who have never written: WhatsApp accepts only templates for them.

use std::time::Duration;

use e2e::harness::{Service, World};

use super::{
    ADA, PHRASES, WAIT_LIMIT, all_answered, chat_has, closed_call, dial, ended, hang_up, hears,
    received_with, say, world, write,
};

const BOB: &str = "491515550002";

/// Longest time that a caller waits for a new assistant: some 80 s, plus delays of a busy machine.
const SETUP_LIMIT: Duration = Duration::from_mins(2);

/// The template's own words, with which every message to such callers begins.
const TEMPLATE: &str = "Your assistant writes: ";

#[tokio::test(flavor = "multi_thread")]
async fn new_callers_are_told_in_the_chat_when_their_assistant_is_ready() {
    let mut world = world().await;
    world.kill(Service::Provisioner).await.unwrap();

    let (hasty, patient) = (dial(&world, ADA), dial(&world, BOB));
    hasty
        .begins_to_hear(PHRASES.setting_up, WAIT_LIMIT)
        .await
        .unwrap();
    hang_up(&hasty).await;
    patient
        .next_heard(PHRASES.will_write_when_ready, SETUP_LIMIT)
        .await
        .unwrap();
    ended(&patient).await;
    for call in [&hasty, &patient] {
        closed_call(&world, call).await;
    }
    world.restart(Service::Provisioner).await.unwrap();

    for number in [ADA, BOB] {
        chat_has(&world, number, "ready now").await;
        all_answered(&world, number).await;
        assert_one_template(&world, number);
    }
    // After the user's first message, no template is needed.
    write(&world, ADA, "hi", "echo: hi").await;
    assert_eq!(received_with(&world, ADA, TEMPLATE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_follow_up_to_a_first_call_reaches_the_chat_once() {
    let world = world().await;
    let call = dial(&world, ADA);
    hears(&call, PHRASES.greeting).await;
    say(&call, "hello", "echo: hello").await;

    hang_up(&call).await;

    chat_has(&world, ADA, "The phone call is over").await;
    all_answered(&world, ADA).await;
    assert_one_template(&world, ADA);
}

/// Checks that the chat has one message, which was sent as a template at the first attempt.
fn assert_one_template(world: &World, number: &str) {
    let chat = world.meta.chat(number);
    let texts = chat.received_texts();
    assert!(
        matches!(&texts[..], [only] if only.starts_with(TEMPLATE)),
        "{texts:?}"
    );
    let stats = world.meta.stats();
    assert_eq!(stats.duplicate_trackers, 0);
    assert!(stats.refused.is_empty(), "{:?}", stats.refused);
}
