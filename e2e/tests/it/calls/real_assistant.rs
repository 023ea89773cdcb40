//! Calls to a real assistant.

use std::time::Duration;

use e2e::harness::World;
use sim_twilio::Call;

use crate::reminders::asked;

use super::{PHRASES, all_answered, chat_has_within, dial, hang_up};

/// Longest time until an answer, on a busy machine.
const ANSWER_LIMIT: Duration = Duration::from_secs(90);

/// The user has reported a lunch in the chat, and now calls. The last of three turns needs that lunch. After the
/// call the assistant writes a follow-up.
pub(crate) async fn a_call_continues_the_chat_and_gets_a_follow_up(world: &World, number: &str) {
    let question = "what did I eat today";
    let call = dial(world, number);
    hears(&call, PHRASES.greeting).await;

    say(&call, "hello", "I am your personal assistant").await;
    say(&call, "I had an apple for a snack", "Logged: an apple").await;
    let today = say(&call, question, "Today you had").await;
    assert!(today.contains("2 rotis and dal"), "{today}");
    assert!(today.contains("an apple"), "{today}");
    let view = hang_up(&call).await;

    let follow_up = format!("After our call, in writing: \"{question}\"");
    chat_has_within(world, number, &[&follow_up], ANSWER_LIMIT).await;
    all_answered(world, number).await;
    let events = world.nats.dump().await.unwrap();
    assert!(events.contains(r#""source":"voice_followup""#));
    eprintln!("Heard in the call: {:#?}", view.heard_texts());
}

/// The user calls in relay mode. One time they ask something else before the assistant has answered, and hear
/// only the second answer.
pub(crate) async fn a_streamed_answer_is_spoken_piece_by_piece_and_can_be_interrupted(
    world: &World,
    number: &str,
) {
    let call = dial(world, number);
    hears(&call, PHRASES.greeting).await;

    say(&call, "what did I eat today", "an apple").await;
    call.say("[[SLOW 60]] tell me a story").await.unwrap();
    asked(world, |request| request.said.contains("[[SLOW 60]]")).await;
    say(&call, "hello", "I am your personal assistant").await;

    let view = hang_up(&call).await;
    let said = view.heard_texts().concat();
    assert!(!said.contains("story"), "{said}");
    let tokens = view.relays[0].tokens.len();
    assert!(tokens > 4, "{view:#?}");
    all_answered(world, number).await;
}

async fn say(call: &Call, text: &str, answer: &str) -> String {
    call.say(text).await.unwrap();
    hears(call, answer).await
}

async fn hears(call: &Call, words: &str) -> String {
    call.next_heard(words, ANSWER_LIMIT).await.unwrap().text
}
