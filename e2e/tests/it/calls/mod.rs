//! Phone calls: people dial, and Twilio does with our answers what it does with everybody's.

mod dialogue;
mod doors;
mod endings;
mod newcomers;
pub(crate) mod real;
mod relay;
mod sockets;
mod trust;
mod unheard;
mod waiting;
mod webhooks;

use std::time::Duration;

use claw_domain::{Address, PhoneNumber};
use claw_store::{Call as CallRow, Store};
use claw_testkit::eventually;
use claw_twilio::{form::CallSid, phrases::Phrases, voices::Language};
use e2e::harness::World;
use sim_twilio::{Call, CallView, EndReason, Ended, Heard};
use tokio::time::Instant;

use crate::crowd::Crowd;

const ADA: &str = "491515550001";

/// What callers from Germany hear of us.
const LINES: &Phrases = Phrases::of(Language::German);

/// How long a line, or a message in a chat, may take.
const PATIENCE: Duration = Duration::from_secs(20);

async fn world() -> World {
    World::start(Crowd::options_of_gateways(1)).await.unwrap()
}

/// Writes to the assistant, and waits for what it says to that.
async fn write(world: &World, number: &str, text: &str, answer: &str) {
    world.meta.write(number, text).unwrap();
    chat_has(world, number, answer).await;
}

/// Waits until the person has been written these words.
async fn chat_has(world: &World, number: &str, words: &str) {
    chat_has_any(world, number, &[words]).await;
}

async fn chat_has_any(world: &World, number: &str, words: &[&str]) {
    chat_has_within(world, number, words, PATIENCE).await;
}

async fn chat_has_within(world: &World, number: &str, words: &[&str], limit: Duration) {
    let deadline = Instant::now() + limit;
    loop {
        let chat = world.meta.chat(number);
        if words.iter().any(|words| written(world, number, words) > 0) {
            return;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(
            !left.is_zero(),
            "{words:?} is not in {:?}\n{}",
            chat.received_texts(),
            world.troubles()
        );
        let more = chat.received + 1;
        world.meta.wait_received(number, more, left).await.ok();
    }
}

/// How many messages with these words the person was written so far.
fn written(world: &World, number: &str, words: &str) -> usize {
    let chat = world.meta.chat(number);
    let texts = chat.received_texts().into_iter();
    texts.filter(|text| text.contains(words)).count()
}

/// Someone calls from the number they write from.
fn dial(world: &World, number: &str) -> Call {
    world.twilio.call(format!("+{number}").as_str())
}

/// The same, once their assistant has greeted them.
async fn converse(world: &World, number: &str) -> Call {
    let call = dial(world, number);
    hears(&call, LINES.greeting).await;
    call
}

async fn hears(call: &Call, words: &str) -> Heard {
    call.next_heard(words, PATIENCE).await.unwrap()
}

/// Says something, and hears this about it.
async fn say(call: &Call, text: &str, answer: &str) {
    call.say(text).await.unwrap();
    hears(call, answer).await;
}

async fn ended(call: &Call) -> Ended {
    call.ended(PATIENCE).await.unwrap()
}

/// The caller hangs up; the call had nothing in it that Twilio would complain of.
async fn hang_up(call: &Call) -> CallView {
    call.hang_up();
    assert_eq!(ended(call).await.why, EndReason::CallerHungUp);
    let view = call.view();
    assert_eq!(view.warnings, [""; 0], "{view:#?}");
    view
}

/// Waits until the call is over for us, too; what is kept of it.
async fn over(world: &World, call: &Call) -> CallRow {
    let id = call.sid().parse::<CallSid>().unwrap().call();
    let calls = store(world).await.calls();
    let is_over = || async {
        let row = calls.of(id).await.unwrap();
        row.is_some_and(|row| row.end.is_some())
    };
    eventually("the call is over", is_over).await;
    calls.of(id).await.unwrap().unwrap()
}

/// Waits until nothing that the person said or wrote is without its answer.
async fn nothing_waits(world: &World, number: &str) {
    let user = Address::Phone(PhoneNumber::try_from(number).unwrap()).user();
    let messages = store(world).await.messages();
    let is_done = || async { messages.waiting(user, 1).await.unwrap().is_empty() };
    eventually("every message is answered", is_done).await;
}

async fn store(world: &World) -> Store {
    let url = world.postgres.url().into();
    Store::connect(&url, 1).await.unwrap()
}
