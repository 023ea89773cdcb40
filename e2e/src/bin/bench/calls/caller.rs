use std::time::Duration;

use claw_twilio::{phrases::Phrases, voices::Language};
use e2e::harness::{VoiceMode, World};
use rand::RngExt;
use sim_twilio::{Call, CallerIdentity, WaitError};
use tokio::time::sleep;

use crate::users::number;

/// Turns of one call.
pub(super) const TURNS: u32 = 10;

/// The beginning of every answer; the question follows. It is long enough that the first piece has a whole word,
/// because half a word is never spoken.
pub(super) const REPLY_PREFIX: &str = "All right, I have looked at your calendar, and you are free from two to \
    four this afternoon. Shall I write it down? You asked about ";

/// The first words of an answer.
const BEGINNING: &str = "All right";

/// Longest time that a user waits for one phrase.
const WAIT_LIMIT: Duration = Duration::from_secs(30);

/// The caller's pause before the next utterance, in milliseconds.
const PAUSE_MS: std::ops::RangeInclusive<u64> = 1_000..=3_000;

/// How long a caller listens before they interrupt an answer, in milliseconds.
const LISTENS_MS: std::ops::RangeInclusive<u64> = 80..=240;

/// In relay mode one in so many answers is interrupted.
const INTERRUPT_EVERY: u32 = 10;

/// The result of a call, or the sum of many.
#[derive(Debug, Default)]
pub(super) struct CallResult {
    pub(super) asked: u32,
    /// Answers heard to their end.
    pub(super) answered: u32,
    pub(super) interrupted: u32,
    /// Warnings that Twilio would show in its console.
    pub(super) warnings: usize,
    /// Why the call ended early.
    pub(super) failure: Option<String>,
}

/// Holds a call of [`TURNS`] turns.
pub(super) async fn hold_call(world: &World, voice: VoiceMode, user: u32) -> CallResult {
    let mut result = CallResult::default();
    let call = world
        .twilio
        .call(CallerIdentity::attested(&format!("+{}", number(user))));
    if let Err(error) = result.run_turns(&call, voice, user).await {
        result.failure = Some(error.to_string());
    }
    call.hang_up();
    call.ended(WAIT_LIMIT).await.ok();
    result.warnings = call.view().warnings.len();
    result
}

impl CallResult {
    async fn run_turns(
        &mut self,
        call: &Call,
        voice: VoiceMode,
        user: u32,
    ) -> Result<(), WaitError> {
        let greeting = Phrases::of(Language::German).greeting;
        call.next_heard(greeting, WAIT_LIMIT).await?;
        pause(PAUSE_MS).await;
        for turn in 0..TURNS {
            let words = format!("question p{user:05}t{turn:02}");
            call.say(&words).await?;
            self.asked += 1;
            if is_interrupted(voice, user, turn) {
                call.begins_to_hear(BEGINNING, WAIT_LIMIT).await?;
                self.interrupted += 1;
                pause(LISTENS_MS).await;
            } else {
                call.next_heard(&words, WAIT_LIMIT).await?;
                self.answered += 1;
                pause(PAUSE_MS).await;
            }
        }
        Ok(())
    }
}

/// Whether the caller interrupts the answer to this turn; never the last answer, which no utterance follows.
fn is_interrupted(voice: VoiceMode, user: u32, turn: u32) -> bool {
    let is_due = (user + turn).is_multiple_of(INTERRUPT_EVERY);
    voice == VoiceMode::Relay && is_due && turn + 1 < TURNS
}

async fn pause(ms: std::ops::RangeInclusive<u64>) {
    let ms = rand::rng().random_range(ms);
    sleep(Duration::from_millis(ms)).await;
}
