//! Phone calls over the simulated Twilio.

mod dialogue;
mod endings;
mod new_callers;
pub(crate) mod real_assistant;
mod relay;
mod sockets;
mod trust;
mod unheard;
mod waiting;
mod webhook_faults;
mod webhooks;

use std::time::Duration;

use claw_store::{Call as CallRow, Store};
use claw_testkit::eventually;
use claw_twilio::{form::CallSid, phrases::Phrases, voices::Language};
use e2e::harness::{World, user_of};
use sim_twilio::{Call, CallView, CallerIdentity, EndReason, Ended, Heard};
use tokio::time::Instant;

use crate::crowd::Crowd;

pub(crate) const ADA: &str = "491515550001";

/// Our phrases for callers from Germany.
pub(crate) const PHRASES: &Phrases = Phrases::of(Language::German);

/// Longest time until one expected phrase or message.
const WAIT_LIMIT: Duration = Duration::from_secs(20);

async fn world() -> World {
    World::start(Crowd::options_of_gateways(1)).await.unwrap()
}

/// Writes `text` in the chat, and waits for a message that contains `answer`.
pub(crate) async fn write(world: &World, number: &str, text: &str, answer: &str) {
    world.meta.write(number, text).unwrap();
    chat_has(world, number, answer).await;
}

/// Waits until the chat has a message that contains `words`.
pub(crate) async fn chat_has(world: &World, number: &str, words: &str) {
    chat_has_any(world, number, &[words]).await;
}

async fn chat_has_any(world: &World, number: &str, words: &[&str]) {
    chat_has_within(world, number, words, WAIT_LIMIT).await;
}

async fn chat_has_within(world: &World, number: &str, words: &[&str], limit: Duration) {
    let deadline = Instant::now() + limit;
    loop {
        let chat = world.meta.chat(number);
        if words
            .iter()
            .any(|words| received_with(world, number, words) > 0)
        {
            return;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(
            !left.is_zero(),
            "{words:?} is not in {:?}\n{}",
            chat.received_texts(),
            world.recent_warnings()
        );
        let more = chat.received + 1;
        world.meta.wait_received(number, more, left).await.ok();
    }
}

/// The number of messages received so far that contain `words`.
fn received_with(world: &World, number: &str, words: &str) -> usize {
    let chat = world.meta.chat(number);
    let texts = chat.received_texts().into_iter();
    texts.filter(|text| text.contains(words)).count()
}

/// Calls from the number that the user also writes from; the network vouches for it.
pub(crate) fn dial(world: &World, number: &str) -> Call {
    world
        .twilio
        .call(CallerIdentity::attested(&format!("+{number}")))
}

/// Calls, and waits for the greeting.
async fn converse(world: &World, number: &str) -> Call {
    let call = dial(world, number);
    hears(&call, PHRASES.greeting).await;
    call
}

pub(crate) async fn hears(call: &Call, words: &str) -> Heard {
    call.next_heard(words, WAIT_LIMIT).await.unwrap()
}

/// Says `text`, and waits until a phrase with `answer` is spoken.
pub(crate) async fn say(call: &Call, text: &str, answer: &str) {
    call.say(text).await.unwrap();
    hears(call, answer).await;
}

async fn ended(call: &Call) -> Ended {
    call.ended(WAIT_LIMIT).await.unwrap()
}

/// Hangs up, and checks that Twilio had no warnings about the call.
pub(crate) async fn hang_up(call: &Call) -> CallView {
    call.hang_up();
    assert_eq!(ended(call).await.why, EndReason::CallerHungUp);
    let view = call.view();
    assert_eq!(view.warnings, [""; 0], "{view:#?}");
    view
}

/// Waits until the call's row is closed, and returns it.
async fn closed_call(world: &World, call: &Call) -> CallRow {
    let id = call.sid().parse::<CallSid>().unwrap().call();
    let calls = store(world).await.calls();
    let is_over = || async {
        let row = calls.of(id).await.unwrap();
        row.is_some_and(|row| row.end.is_some())
    };
    eventually("the call's row is closed", is_over).await;
    calls.of(id).await.unwrap().unwrap()
}

/// Waits until everything that the user said or wrote is answered.
pub(crate) async fn all_answered(world: &World, number: &str) {
    let user = user_of(number).unwrap();
    let messages = store(world).await.messages();
    let is_done = || async { messages.waiting(user, 1).await.unwrap().is_empty() };
    eventually("every message is answered", is_done).await;
}

async fn store(world: &World) -> Store {
    let url = world.postgres.url().into();
    Store::connect(&url, 1).await.unwrap()
}
