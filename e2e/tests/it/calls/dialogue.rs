//! Speech and answers in calls turn by turn.

use claw_twilio::{phrases::Phrases, voices::Language};
use sim_twilio::{Call, EndReason, RequestKind};
use tokio::join;

use super::{
    ADA, PHRASES, all_answered, chat_has, converse, dial, ended, hang_up, hears, received_with,
    say, world, write,
};

#[tokio::test(flavor = "multi_thread")]
async fn speech_is_answered_in_the_call_and_text_in_the_chat() {
    let world = world().await;
    write(&world, ADA, "my cat is called Momo", "echo: my cat").await;
    let call = converse(&world, ADA).await;

    say(&call, "what is **her** name", "echo: what is her name").await;
    say(&call, "thank you", "echo: thank you").await;
    hang_up(&call).await;
    chat_has(&world, ADA, "The phone call is over").await;

    world.assert_no_wait_ended_by_clock().await;
    assert_eq!(received_with(&world, ADA, "thank you"), 0);
    let stats = world.openclaw.as_ref().unwrap().stats();
    assert_eq!((stats.turns, stats.overlaps), (4, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_speech_and_text_are_answered_each_on_its_own_channel() {
    let world = world().await;
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;

    for round in 0..3 {
        let (spoken, typed) = (format!("spoken {round}"), format!("typed {round}"));
        let slowly = |words: &str| format!("[[SLOW 400]] {words}");
        let (speech, text) = (slowly(&spoken), slowly(&typed));
        join!(
            say(&call, &speech, &spoken),
            write(&world, ADA, &text, &typed),
        );
    }

    let heard = call.view().heard_texts().join(" ");
    assert!(!heard.contains("typed"), "{heard}");
    assert_eq!(received_with(&world, ADA, "spoken"), 0);
    let openclaw = world.openclaw.as_ref().unwrap();
    assert_eq!(openclaw.stats().overlaps, 0);
    let transcript = openclaw.transcript(&world.assistant_of(ADA).unwrap());
    let roles: Vec<&str> = transcript.iter().map(|row| row.role.as_str()).collect();
    assert_eq!(roles, ["user", "assistant"].repeat(7), "{transcript:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_turn_is_announced_in_the_callers_language_and_the_call_goes_on() {
    let world = world().await;
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;

    say(&call, "[[ERROR billing]]", PHRASES.could_not_answer).await;
    say(&call, "again", "echo: again").await;

    hang_up(&call).await;
    assert_eq!(received_with(&world, ADA, "spending limit"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_uses_the_language_chosen_in_the_chat() {
    let world = world().await;
    write(&world, ADA, "language hindi", "speak Hindi").await;

    let call = dial(&world, ADA);
    hears(&call, Phrases::of(Language::Hindi).greeting).await;
    say(&call, "namaste", "echo: namaste").await;

    hang_up(&call).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_caller_who_says_yes_is_connected_when_the_assistant_is_ready() {
    let world = world().await;

    let call = dial(&world, ADA);
    hears(&call, PHRASES.welcome).await;
    call.silent().await.unwrap();
    hears(&call, PHRASES.did_not_hear[0]).await;
    say(&call, "yes", PHRASES.setting_up).await;
    hears(&call, PHRASES.greeting).await;
    say(&call, "hello", "echo: hello").await;

    hang_up(&call).await;
    all_answered(&world, ADA).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_survives_a_silent_answer_and_ends_after_a_silent_caller_was_asked_again() {
    let world = world().await;
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;

    call.say("[[SILENT]]").await.unwrap();
    call.silent().await.unwrap();
    hears(&call, PHRASES.did_not_hear[0]).await;
    say(&call, "still there", "echo: still there").await;
    for asked in PHRASES.did_not_hear {
        call.silent().await.unwrap();
        hears(&call, asked).await;
    }
    call.silent().await.unwrap();
    hears(&call, PHRASES.goodbye).await;

    assert_eq!(ended(&call).await.why, EndReason::Hangup);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_is_spoken_in_part_and_written_in_full() {
    let world = world().await;
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;

    say(&call, "[[LONG 2000]]", "word1").await;
    hears(&call, PHRASES.rest_on_whatsapp).await;
    chat_has(&world, ADA, "word40").await;

    say(&call, "thanks", "echo: thanks").await;
    assert!(is_faultless(&call), "{:#?}", call.view());
}

#[tokio::test(flavor = "multi_thread")]
async fn speech_over_an_answer_is_heard() {
    let world = world().await;
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;

    call.say("[[LONG 500]]").await.unwrap();
    call.begins_to_hear("word1", super::WAIT_LIMIT)
        .await
        .unwrap();
    say(&call, "that is enough", "echo: that is enough").await;

    let view = call.view();
    let long = view.heard.iter().find(|one| one.text.contains("word1"));
    assert!(long.unwrap().interrupted, "{view:#?}");
}

/// Whether Twilio neither used the fallback URL nor had a warning.
fn is_faultless(call: &Call) -> bool {
    let view = call.view();
    view.requests_of(RequestKind::Fallback).is_empty() && view.warnings.is_empty()
}
