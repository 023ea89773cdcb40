//! Calls whose assistant is slow or down.

use std::time::Duration;

use claw_testkit::eventually;
use e2e::harness::World;
use sim_openclaw::{Ending, Restart};
use sim_twilio::{Call, CallView, RequestKind};
use tokio::join;

use super::{PHRASES, all_answered, chat_has_within, converse, hang_up, hears, say, world, write};

/// Ada's assistant takes longer than Twilio waits for a webhook.
const ADA: &str = "491515550001";
/// Bob's assistant takes longer than a caller waits for an answer.
const BOB: &str = "491515550002";
/// Clara's assistant is killed during the turn and stays down for longer than a caller waits.
const CLARA: &str = "491515550003";
/// Dora's assistant is down when she speaks, and returns.
const DORA: &str = "491515550004";

/// Longest silence: 8 s between two phrases, plus a margin of 2 s.
const SILENCE_LIMIT_MS: u64 = 10_000;

/// Longest silence after the caller's words: 1.5 s, plus a margin of 2 s.
const FIRST_SILENCE_LIMIT_MS: u64 = 3_500;

/// Longest time for any step: more than the longest wait of a caller, on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

/// How long Clara's assistant is down: longer than a caller waits.
const DOWN_MS: u64 = 68_000;

/// The four calls run at the same time, which takes a third of the time.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_callers_never_hear_long_silence_and_get_the_answer_in_the_call_or_the_chat() {
    let world = world().await;
    for number in [ADA, BOB, CLARA, DORA] {
        write(&world, number, "hi", "echo: hi").await;
    }

    let views = join!(
        answer_slower_than_a_webhook(&world),
        answer_slower_than_a_caller_waits(&world),
        assistant_killed_during_the_turn(&world),
        assistant_down_for_a_moment(&world),
    );

    for view in [views.0, views.1, views.2, views.3] {
        let silence = view.longest_silence_ms;
        assert!(silence < SILENCE_LIMIT_MS, "{silence} ms: {view:#?}");
        for request in view.requests_of(RequestKind::Gather) {
            let since = request.at_ms;
            let heard = view.heard.iter().find(|heard| heard.from_ms >= since);
            let silence = heard.map_or(0, |heard| heard.from_ms - since);
            assert!(silence < FIRST_SILENCE_LIMIT_MS, "{silence} ms: {view:#?}");
        }
        let texts = view.heard_texts();
        let repeated = texts.windows(2).any(|two| two[0] == two[1]);
        assert!(!repeated, "a phrase was repeated: {texts:?}");
    }
}

async fn answer_slower_than_a_webhook(world: &World) -> CallView {
    let call = converse(world, ADA).await;
    call.say("[[SLOW 17000]] think hard").await.unwrap();
    hears_within_limit(&call, "think hard").await;
    hang_up(&call).await
}

async fn answer_slower_than_a_caller_waits(world: &World) -> CallView {
    let call = converse(world, BOB).await;
    call.say("[[SLOW 67000]] think harder").await.unwrap();
    hears_within_limit(&call, PHRASES.answer_on_whatsapp).await;
    chat_has_within(world, BOB, &["think harder"], LIMIT).await;
    say(&call, "thank you", "echo: thank you").await;
    hang_up(&call).await
}

async fn assistant_killed_during_the_turn(world: &World) -> CallView {
    let call = converse(world, CLARA).await;
    call.say("[[SLOW 3000]] tell me a story").await.unwrap();
    let is_at_work = || async { is_busy(world, CLARA) };
    eventually("the assistant is busy", is_at_work).await;
    kill_assistant(world, CLARA, DOWN_MS);
    hears_within_limit(&call, PHRASES.answer_on_whatsapp).await;
    let view = hang_up(&call).await;
    chat_has_within(world, CLARA, &["story"], LIMIT).await;
    all_answered(world, CLARA).await;
    view
}

async fn assistant_down_for_a_moment(world: &World) -> CallView {
    let call = converse(world, DORA).await;
    kill_assistant(world, DORA, 12_000);
    call.say("are you there").await.unwrap();
    hears_within_limit(&call, "echo: are you there").await;
    hang_up(&call).await
}

async fn hears_within_limit(call: &Call, words: &str) {
    call.next_heard(words, LIMIT).await.unwrap();
}

fn is_busy(world: &World, number: &str) -> bool {
    let name = world.assistant_of(number).unwrap();
    world.openclaw.as_ref().unwrap().busy().contains(&name)
}

/// Kills the user's assistant, which restarts after `down_ms`.
fn kill_assistant(world: &World, number: &str, down_ms: u64) {
    let name = world.assistant_of(number).unwrap();
    let restart = Restart {
        ending: Ending::Kill,
        down_ms,
        starting_ms: 0,
    };
    let openclaw = world.openclaw.as_ref().unwrap();
    openclaw.restart(Some(&name), &restart);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filler_precedes_an_answer_that_takes_a_moment() {
    let world = world().await;
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;

    call.say("[[SLOW 2500]] think").await.unwrap();
    hears(&call, PHRASES.fillers[0]).await;
    hears(&call, "think").await;

    hang_up(&call).await;
}
