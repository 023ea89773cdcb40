//! Callers who have never written: WhatsApp accepts only templates for them.

use std::time::Duration;

use e2e::harness::{Service, World};
use sim_twilio::CallerIdentity;

use super::{
    ADA, PHRASES, WAIT_LIMIT, all_answered, chat_has, closed_call, dial, ended, hang_up, hears,
    received_with, say, world, write,
};

const BOB: &str = "491515550002";
const CARL: &str = "491515550003";

/// Longest time that a caller waits for a new assistant: some 80 s, plus delays of a busy machine.
const SETUP_LIMIT: Duration = Duration::from_mins(2);

/// The template's own words, with which every message to such callers begins.
const TEMPLATE: &str = "Your assistant writes: ";

#[tokio::test(flavor = "multi_thread")]
async fn new_callers_who_press_1_are_told_in_the_chat_when_their_assistant_is_ready() {
    let mut world = world().await;
    world.kill(Service::Provisioner).await.unwrap();

    let calls = [ADA, BOB, CARL].map(|number| dial(&world, number));
    let [hasty, patient, silent] = &calls;
    for call in [hasty, patient] {
        hears(call, PHRASES.welcome).await;
        call.key("1").await.unwrap();
    }
    hears(silent, PHRASES.welcome).await;
    silent.say("yes").await.unwrap();
    hasty
        .begins_to_hear(PHRASES.setting_up, WAIT_LIMIT)
        .await
        .unwrap();
    hang_up(hasty).await;
    for (call, last) in [
        (patient, PHRASES.will_write_when_ready),
        (silent, PHRASES.call_again_later),
    ] {
        call.next_heard(last, SETUP_LIMIT).await.unwrap();
        ended(call).await;
    }
    for call in &calls {
        closed_call(&world, call).await;
    }
    world.restart(Service::Provisioner).await.unwrap();

    for number in [ADA, BOB] {
        chat_has(&world, number, "ready now").await;
        all_answered(&world, number).await;
        assert_one_template(&world, number);
    }
    all_answered(&world, CARL).await;
    assert_eq!(world.meta.chat(CARL).received, 0, "he asked for no message");
    // After the user's first message, no template is needed.
    write(&world, ADA, "hi", "echo: hi").await;
    assert_eq!(received_with(&world, ADA, TEMPLATE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_caller_who_pressed_1_while_suspended_is_told_when_the_assistant_is_ready() {
    let world = world().await;
    let suspend = ["suspend", "--all", "--reason", "a test"];
    world.command(&suspend).await.unwrap();

    let call = dial(&world, ADA);
    hears(&call, PHRASES.welcome).await;
    call.key("1").await.unwrap();
    hears(&call, PHRASES.suspended).await;
    ended(&call).await;
    closed_call(&world, &call).await;
    assert_eq!(world.meta.chat(ADA).received, 0);
    world.command(&["resume", "--all"]).await.unwrap();

    chat_has(&world, ADA, "ready now").await;
    all_answered(&world, ADA).await;
    assert_one_template(&world, ADA);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_follow_up_to_a_first_call_reaches_the_chat_once_and_only_if_it_was_asked_for() {
    let world = world().await;
    for (number, key) in [(ADA, Some("1")), (BOB, None)] {
        let call = dial(&world, number);
        hears(&call, PHRASES.welcome).await;
        match key {
            Some(key) => call.key(key).await.unwrap(),
            None => call.say("yes").await.unwrap(),
        }
        hears(&call, PHRASES.greeting).await;
        say(&call, "hello", "echo: hello").await;
        hang_up(&call).await;
        closed_call(&world, &call).await;
        all_answered(&world, number).await;
    }

    chat_has(&world, ADA, "The phone call is over").await;
    assert_one_template(&world, ADA);
    assert_eq!(world.meta.chat(BOB).received, 0);
}

/// F2 of the security review: anybody can show the number of a stranger.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_from_a_new_number_that_says_nothing_leaves_nothing() {
    let world = world().await;

    for caller in [
        CallerIdentity::from(format!("+{ADA}").as_str()),
        CallerIdentity::attested(&format!("+{BOB}")),
    ] {
        let call = world.twilio.call(caller);
        hears(&call, PHRASES.welcome).await;
        for _ in 0..3 {
            call.silent().await.unwrap();
        }
        hears(&call, PHRASES.goodbye).await;
        ended(&call).await;
    }

    // What the gateway would have done because of the calls, it has done before it answers this.
    write(&world, CARL, "hi", "echo: hi").await;
    let rows = world.postgres.dump().await.unwrap();
    for (table, count) in [("\"user\"", 1), ("sandbox", 1), ("call", 0)] {
        let insert = format!("INSERT INTO public.{table} ");
        assert_eq!(rows.matches(&insert).count(), count, "{table}");
    }
    assert!(!rows.contains(ADA) && !rows.contains(BOB));
    let openclaw = world.openclaw.as_ref().unwrap();
    assert_eq!(openclaw.sandboxes().len(), 1);
    for number in [ADA, BOB] {
        assert_eq!(world.meta.chat(number).received, 0);
    }
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
