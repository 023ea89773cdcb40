//! Callers who have never written: to them WhatsApp lets pass only what is in a template.

use std::time::Duration;

use e2e::harness::{Service, World};

use super::{
    ADA, LINES, PATIENCE, chat_has, dial, ended, hang_up, hears, nothing_waits, over, say, world,
    write, written,
};

const BOB: &str = "491515550002";

/// How long a caller whose assistant is being made is kept on the line: some 80 s, on a busy machine.
const SETUP_LIMIT: Duration = Duration::from_mins(2);

/// How every message to them begins: the template's own words.
const TEMPLATE: &str = "Your assistant writes: ";

#[tokio::test(flavor = "multi_thread")]
async fn new_callers_are_told_in_the_chat_when_their_assistant_is_ready() {
    let mut world = world().await;
    world.kill(Service::Provisioner).await.unwrap();

    let (hasty, patient) = (dial(&world, ADA), dial(&world, BOB));
    hasty
        .begins_to_hear(LINES.setting_up, PATIENCE)
        .await
        .unwrap();
    hang_up(&hasty).await;
    patient
        .next_heard(LINES.will_write_when_ready, SETUP_LIMIT)
        .await
        .unwrap();
    ended(&patient).await;
    for call in [&hasty, &patient] {
        over(&world, call).await;
    }
    world.restart(Service::Provisioner).await.unwrap();

    for number in [ADA, BOB] {
        chat_has(&world, number, "ready now").await;
        nothing_waits(&world, number).await;
        assert_one_template(&world, number);
    }
    // From now on everything passes.
    write(&world, ADA, "hi", "echo: hi").await;
    assert_eq!(written(&world, ADA, TEMPLATE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_follow_up_to_a_first_call_reaches_the_chat_once() {
    let world = world().await;
    let call = dial(&world, ADA);
    hears(&call, LINES.greeting).await;
    say(&call, "hello", "echo: hello").await;

    hang_up(&call).await;

    chat_has(&world, ADA, "The phone call is over").await;
    nothing_waits(&world, ADA).await;
    assert_one_template(&world, ADA);
}

/// One message came, in the template and at the first try.
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
