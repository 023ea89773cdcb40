//! Phone calls, webhook by webhook, as Twilio makes them.

use std::time::Duration;

use claw_twilio::{phrases::lines, signature, voices::Language};
use e2e::harness::{Service, World};
use tokio::time::Instant;

use crate::{caller::Call, crowd::Crowd};

const ADA: &str = "491515550001";

/// What a caller from Germany hears when their assistant listens.
const GREETING: &str = lines(Language::German).greeting;

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_on_the_phone_is_answered_there_and_what_is_written_in_the_chat() {
    let world = world().await;
    write(&world, "my cat is called Momo", "echo: my cat").await;
    let mut call = Call::begin(&world, ADA, &[]).await;
    assert!(call.heard().contains(GREETING), "{}", call.heard());

    call.say("what is **her** name").await;
    assert!(
        call.heard().contains("echo: what is her name"),
        "{}",
        call.heard()
    );
    call.say("thank you").await;
    assert!(call.heard().contains("echo: thank you"));
    call.end("completed").await;

    chat_has(&world, "The phone call is over").await;
    let stats = world.openclaw.as_ref().unwrap().stats();
    assert_eq!((stats.turns, stats.overlaps), (4, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_is_put_through_once_the_assistant_is_there() {
    let world = world().await;

    let mut call = Call::begin(&world, ADA, &[]).await;
    call.wait_until(GREETING).await;
    call.say("hello").await;

    assert!(call.heard().contains("echo: hello"), "{}", call.heard());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_number_gets_nobodys_memory_and_the_pin_set_in_the_chat_unlocks_it() {
    let world = world().await;
    let forged = [("StirVerstat", "TN-Validation-Failed-C")];
    write(&world, "the code is blue", "echo: the code").await;

    let refused = Call::begin(&world, ADA, &forged).await;
    assert!(refused.is_over(), "{}", refused.document);

    write(&world, "pin 4711", "know you by this PIN").await;
    let mut call = Call::begin(&world, ADA, &forged).await;
    assert!(call.heard().contains("PIN"), "{}", call.heard());
    call.key("1234").await;
    assert!(!call.heard().contains("echo"), "{}", call.heard());
    call.key("4711").await;
    assert!(call.heard().contains(GREETING), "{}", call.heard());
    call.say("what is the code").await;
    assert!(call.heard().contains("echo: what is the code"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_takes_long_is_waited_for_with_words_and_comes() {
    let world = world().await;
    write(&world, "hi", "echo: hi").await;
    let mut call = Call::begin(&world, ADA, &[]).await;

    let asked = Instant::now();
    call.post(&[("SpeechResult", "[[SLOW 4000]] think")]).await;
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "{:?}",
        asked.elapsed()
    );
    assert!(!call.heard().contains("think"), "{}", call.heard());
    call.wait_until("think").await;

    assert!(call.document.contains("<Gather"), "{}", call.document);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assistant_with_nothing_to_say_listens_again_and_a_failed_webhook_is_taken_up_at_its_turn()
 {
    let world = world().await;
    write(&world, "hi", "echo: hi").await;
    let mut call = Call::begin(&world, ADA, &[]).await;

    call.say("[[SILENT]]").await;
    assert!(call.document.contains("turn=2"), "{}", call.document);
    call.fall_back("hello again").await;

    assert!(
        call.heard().contains("echo: hello again"),
        "{}",
        call.heard()
    );
    assert!(call.document.contains("turn=3"), "{}", call.document);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nothing_behind_the_door_a_caller_hears_so() {
    let mut world = world().await;
    world.nats.kill().await.unwrap();

    let call = Call::begin(&world, ADA, &[]).await;

    assert!(
        call.is_over() && !call.heard().is_empty(),
        "{}",
        call.document
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_goes_on_at_another_door_when_the_first_is_killed_and_repetitions_change_nothing() {
    let mut world = world().await;
    write(&world, "hi", "echo: hi").await;
    let mut call = Call::begin(&world, ADA, &[]).await;
    call.say("one").await;
    let before = call.document.clone();

    world.kill(Service::Ingress).await.unwrap();
    world.restart(Service::Ingress).await.unwrap();
    call.again().await;
    assert_eq!(call.document, before);
    call.say("two").await;

    assert!(call.heard().contains("echo: two"), "{}", call.heard());
    assert_eq!(world.openclaw.as_ref().unwrap().stats().turns, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_signed_is_refused() {
    let world = world().await;
    let (base, _) = world.twilio();
    let body = "CallSid=CA1&From=%2B491515550001&CallStatus=ringing";

    let answer = reqwest::Client::new()
        .post(format!("{base}/voice/webhook/voice"))
        .header(signature::HEADER, "bm9ib2R5IHNpZ25lZCB0aGlz")
        .body(body)
        .send()
        .await
        .unwrap();

    assert_eq!(answer.status(), 403);
}

async fn world() -> World {
    World::start(Crowd::options_of_gateways(1)).await.unwrap()
}

/// Writes to the assistant, and waits for what it says to that.
async fn write(world: &World, text: &str, answer: &str) {
    world.meta.write(ADA, text).unwrap();
    chat_has(world, answer).await;
}

async fn chat_has(world: &World, words: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let chat = world.meta.chat(ADA);
        if chat
            .received_texts()
            .iter()
            .any(|text| text.contains(words))
        {
            return;
        }
        let texts = chat.received_texts();
        let in_time = Instant::now() < deadline;
        assert!(
            in_time,
            "{words:?} is not in {texts:?}\n{}",
            world.troubles()
        );
        let more = chat.received + 1;
        world.meta.wait_received(ADA, more, PATIENCE).await.ok();
    }
}
