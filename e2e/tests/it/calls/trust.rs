//! Callers with a forged or hidden number, and PINs.

use super::{
    ADA, PHRASES, all_answered, chat_has, ended, hang_up, hears, received_with, say, world, write,
};

use claw_twilio::{phrases::Phrases, voices::Language};
use sim_twilio::{CallerIdentity, EndReason};

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_number_reaches_the_assistant_only_with_the_pin_set_in_the_chat() {
    let world = world().await;
    let forged = || CallerIdentity {
        stir: Some("TN-Validation-Failed-C".to_owned()),
        ..CallerIdentity::from(format!("+{ADA}").as_str())
    };
    write(&world, ADA, "the code is blue", "echo: the code").await;

    let refused = world.twilio.call(forged());
    hears(&refused, PHRASES.set_pin_in_chat).await;
    assert_eq!(ended(&refused).await.why, EndReason::Hangup);

    write(&world, ADA, "pin 4711", "know you by this PIN").await;
    let call = world.twilio.call(forged());
    hears(&call, PHRASES.ask_pin).await;
    call.key("1234#").await.unwrap();
    hears(&call, PHRASES.wrong_pin).await;
    call.say("4 7 1 1").await.unwrap();
    hears(&call, PHRASES.greeting).await;
    say(&call, "what is the code", "echo: what is the code").await;

    hang_up(&call).await;
    chat_has(&world, ADA, "The phone call is over").await;
    let turns = world.openclaw.as_ref().unwrap().stats().turns;
    assert_eq!(turns, 3, "the assistant gets no PIN");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_with_a_hidden_number_keys_in_the_number_and_the_pin() {
    let world = world().await;
    write(&world, ADA, "pin 4711", "know you by this PIN").await;

    let call = world.twilio.call("anonymous");
    hears(&call, Phrases::of(Language::EnglishUs).ask_number).await;
    call.key("12#").await.unwrap();
    hears(&call, Phrases::of(Language::EnglishUs).ask_number).await;
    call.key(&format!("{ADA}#")).await.unwrap();
    hears(&call, PHRASES.ask_pin).await;
    call.key("4711#").await.unwrap();
    hears(&call, PHRASES.greeting).await;
    say(&call, "it is me", "echo: it is me").await;

    hang_up(&call).await;
    chat_has(&world, ADA, "The phone call is over").await;
    all_answered(&world, ADA).await;
    let openclaw = world.openclaw.as_ref().unwrap();
    assert_eq!(openclaw.sandboxes().len(), 1, "only Ada has a sandbox");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_guesses_pins_is_disconnected_and_never_reaches_the_assistant() {
    let world = world().await;
    write(&world, ADA, "pin 4711", "know you by this PIN").await;

    let call = world.twilio.call("+266696687");
    hears(&call, Phrases::of(Language::EnglishUs).ask_number).await;
    call.key(&format!("{ADA}#")).await.unwrap();
    hears(&call, PHRASES.ask_pin).await;
    let mut guesses = 0;
    while call.key(&format!("{}#", 1000 + guesses)).await.is_ok() {
        guesses += 1;
        assert!(guesses < 20, "{:#?}", call.view());
    }

    assert_eq!(ended(&call).await.why, EndReason::Hangup);
    let texts = call.view().heard_texts().join(" ");
    assert!(texts.contains(PHRASES.set_pin_in_chat), "{texts}");
    assert!(!texts.contains("echo"), "{texts}");
    assert_eq!(received_with(&world, ADA, "The phone call is over"), 0);
}
