//! Callers with an unproven, forged or hidden number, and PINs. The whole matrix is a table in `claw-chat`; here are
//! some of its rows as callers hear them.

use claw_testkit::eventually;
use claw_twilio::{phrases::Phrases, voices::Language};
use e2e::harness::World;
use sim_twilio::{Call, CallerIdentity, EndReason};

use crate::crowd::Crowd;

use super::{
    ADA, PHRASES, all_answered, chat_has, closed_call, dial, ended, hang_up, hears, received_with,
    say, world, write,
};

/// F1 of the security review: a PIN is set, and a call that only shows the number is not believed.
#[tokio::test(flavor = "multi_thread")]
async fn a_pin_is_asked_for_unless_the_network_fully_attests_the_caller() {
    let world = world().await;
    write(&world, ADA, "the code is blue", "echo: the code").await;
    write(&world, ADA, "pin 4711", "know you by this PIN").await;

    for verdict in [
        None,
        Some("TN-Validation-Passed-B"),
        Some("TN-Validation-Passed-C"),
        Some("TN-Validation-Failed-C"),
    ] {
        let call = call_with(&world, verdict);
        hears(&call, PHRASES.ask_pin).await;
        hang_up(&call).await;
    }
    let call = dial(&world, ADA);
    hears(&call, PHRASES.greeting).await;
    hang_up(&call).await;

    let call = call_with(&world, None);
    hears(&call, PHRASES.ask_pin).await;
    call.key("1234#").await.unwrap();
    hears(&call, PHRASES.wrong_pin).await;
    call.say("4 7 1 1").await.unwrap();
    hears(&call, PHRASES.greeting).await;
    say(&call, "what is the code", "echo: what is the code").await;
    hang_up(&call).await;

    chat_has(&world, ADA, "The phone call is over").await;
    chat_has(&world, ADA, "gave a wrong PIN").await;
    all_answered(&world, ADA).await;
    let turns = world.openclaw.as_ref().unwrap().stats().turns;
    assert_eq!(turns, 3, "the assistant gets no PIN");
    assert_eq!(received_with(&world, ADA, "called me from your number"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_pin_an_unproven_caller_is_put_through_and_the_owner_is_told_once_a_day() {
    let world = world().await;
    write(&world, ADA, "hi", "echo: hi").await;
    let forged = call_with(&world, Some("TN-Validation-Failed-C"));
    hears(&forged, PHRASES.set_pin_in_chat).await;
    assert_eq!(ended(&forged).await.why, EndReason::Hangup);
    let attested = dial(&world, ADA);
    hears(&attested, PHRASES.greeting).await;
    hang_up(&attested).await;
    closed_call(&world, &attested).await;
    all_answered(&world, ADA).await;
    assert_eq!(received_with(&world, ADA, "called me from your number"), 0);

    for verdict in [None, Some("TN-Validation-Passed-C")] {
        let call = call_with(&world, verdict);
        hears(&call, PHRASES.greeting).await;
        hang_up(&call).await;
        closed_call(&world, &call).await;
        chat_has(&world, ADA, "called me from your number").await;
        all_answered(&world, ADA).await;
    }

    write(&world, ADA, "bye", "echo: bye").await;
    assert_eq!(received_with(&world, ADA, "called me from your number"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn under_the_policy_attested_only_the_network_or_a_pin_lets_a_caller_in() {
    let mut options = Crowd::options_of_gateways(1);
    options.variables.push(("VOICE_TRUST", "attested".into()));
    let world = World::start(options).await.unwrap();
    let refused = call_with(&world, None);
    hears(&refused, PHRASES.set_pin_in_chat).await;
    assert_eq!(ended(&refused).await.why, EndReason::Hangup);
    write(&world, ADA, "hi", "echo: hi").await;

    let refused = call_with(&world, Some("TN-Validation-Passed-B"));
    hears(&refused, PHRASES.set_pin_in_chat).await;
    ended(&refused).await;
    let attested = dial(&world, ADA);
    hears(&attested, PHRASES.greeting).await;
    hang_up(&attested).await;
    write(&world, ADA, "pin 4711", "know you by this PIN").await;
    let call = call_with(&world, None);
    hears(&call, PHRASES.ask_pin).await;
    call.key("4711#").await.unwrap();
    hears(&call, PHRASES.greeting).await;

    hang_up(&call).await;
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
async fn a_caller_who_guesses_pins_is_disconnected_and_locks_nobody_out() {
    let world = world().await;
    write(&world, ADA, "pin 4711", "know you by this PIN").await;

    for from in ["+266696687", "sip:+491515550001@example.com"] {
        let call = world.twilio.call(from);
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
        closed_call(&world, &call).await;
    }
    let is_told = || async { received_with(&world, ADA, "gave a wrong PIN") == 2 };
    eventually("the owner is told of each call", is_told).await;

    let call = call_with(&world, None);
    hears(&call, PHRASES.ask_pin).await;
    call.key("4711#").await.unwrap();
    hears(&call, PHRASES.greeting).await;
    hang_up(&call).await;
}

/// Calls from Ada's number, with the verdict of the network.
fn call_with(world: &World, verdict: Option<&str>) -> Call {
    world.twilio.call(CallerIdentity {
        stir: verdict.map(str::to_owned),
        ..CallerIdentity::from(format!("+{ADA}").as_str())
    })
}
