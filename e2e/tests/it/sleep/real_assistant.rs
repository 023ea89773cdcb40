//! Real assistants that sleep, and wake for what must not wait.

use std::time::Duration;

use claw_domain::SandboxStatus;
use claw_testkit::eventually;
use e2e::harness::{Containers, World};
use tokio::time::Instant;

use crate::{
    calls::{PHRASES, dial, hang_up},
    containers::hears,
};

/// The time until the reminder, in seconds. An assistant stays awake for what is due within three minutes.
const DUE_SECONDS: u64 = 200;

/// The most by which a reminder may be late.
const LATENESS: Duration = Duration::from_mins(1);

/// Longest time until an answer of a sleeper, on a busy machine.
const WAKE_LIMIT: Duration = Duration::from_secs(90);

/// A promised reminder.
pub(crate) struct Reminder {
    due: Instant,
}

impl Reminder {
    /// Lets the assistant promise a reminder, and sleep.
    pub(crate) async fn promised(world: &World, containers: &Containers, number: &str) -> Self {
        let wish = format!("Remind me in {DUE_SECONDS} seconds to feed the cat");
        world.meta.write(number, &wish).unwrap();
        let promise = format!("I will remind you in {DUE_SECONDS} seconds to feed the cat.");
        hears(world, number, &promise, WAKE_LIMIT).await;
        let due = Instant::now() + Duration::from_secs(DUE_SECONDS);
        falls_asleep(world, containers, number).await;
        Self { due }
    }

    /// Waits for the reminder, for which the assistant wakes.
    pub(crate) async fn arrives(self, world: &World, number: &str) {
        let left = self.due + LATENESS - Instant::now();
        let chat = hears(world, number, "Time to feed the cat.", left).await;
        let late = self.due.elapsed().as_secs_f32();
        eprintln!("A sleeper's reminder arrived {late:.1} s after it was due");
        let texts = chat.received_texts();
        assert_eq!(count(&texts, "Time to feed the cat."), 1, "{texts:#?}");
    }
}

/// A message finds the assistant asleep, and then a call does.
pub(crate) async fn a_sleeper_answers_a_message_and_a_call(
    world: &World,
    containers: &Containers,
    number: &str,
) {
    falls_asleep(world, containers, number).await;
    let asked = Instant::now();
    world.meta.write(number, "[[SAY I was asleep.]]").unwrap();
    hears(world, number, "I was asleep.", WAKE_LIMIT).await;
    let took = asked.elapsed().as_secs_f32();
    eprintln!("A sleeper answered after {took:.1} s");

    falls_asleep(world, containers, number).await;
    let rang = Instant::now();
    let call = dial(world, number);
    call.next_heard(PHRASES.greeting, WAKE_LIMIT).await.unwrap();
    let took = rang.elapsed().as_secs_f32();
    eprintln!("A sleeper's caller was put through after {took:.1} s");
    call.say("hello").await.unwrap();
    let answer = "I am your personal assistant";
    call.next_heard(answer, WAKE_LIMIT).await.unwrap();
    hang_up(&call).await;

    let chat = world.meta.chat(number);
    let texts = chat.received_texts();
    assert_eq!(count(&texts, "I was asleep."), 1, "{texts:#?}");
}

/// Lets the assistant sleep: afterwards it has no container, and its row says so.
async fn falls_asleep(world: &World, containers: &Containers, number: &str) {
    let person = format!("+{number}");
    world.command(&["sandbox", "sleep", &person]).await.unwrap();
    let sleeps = || async {
        containers.status(number).await.unwrap() == SandboxStatus::Asleep
            && !containers.has_container(number).await.unwrap()
    };
    eventually("the assistant sleeps and has no container", sleeps).await;
}

fn count(texts: &[&str], words: &str) -> usize {
    texts.iter().filter(|text| text.contains(words)).count()
}
