use std::time::Duration;

use claw_twilio::{phrases::Phrases, voices::Language};
use e2e::harness::{VoiceMode, World};
use rand::RngExt;
use sim_twilio::{Call, WaitError};
use tokio::time::sleep;

use crate::people::number;

/// Turns of one call.
pub(super) const TURNS: u32 = 10;

/// What every answer begins with; what was asked follows. Its first piece has a whole word: half of one
/// cannot be spoken.
pub(super) const REPLY_PREFIX: &str = "All right, I have looked at your calendar, and you are free from two to \
    four this afternoon. Shall I write it down? You asked about ";

/// What is heard of an answer first.
const BEGINNING: &str = "All right";

/// How long a person waits for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long somebody thinks before they go on, in milliseconds.
const PAUSE_MS: std::ops::RangeInclusive<u64> = 1_000..=3_000;

/// How long somebody listens before they speak over an answer.
const LISTENS_MS: std::ops::RangeInclusive<u64> = 80..=240;

/// Each so-manieth answer of a stream is spoken over.
const SPOKEN_OVER_EVERY: u32 = 10;

/// What came of a call.
#[derive(Debug, Default)]
pub(super) struct Talk {
    pub(super) asked: u32,
    /// Heard to their end.
    pub(super) answered: u32,
    pub(super) spoken_over: u32,
    /// What Twilio would show its customer as wrong.
    pub(super) warnings: usize,
    /// Why it went no further.
    pub(super) broke: Option<String>,
}

/// Holds a whole call.
pub(super) async fn hold(world: &World, voice: VoiceMode, person: u32) -> Talk {
    let mut talk = Talk::default();
    let call = world.twilio.call(format!("+{}", number(person)).as_str());
    if let Err(error) = talk.through(&call, voice, person).await {
        talk.broke = Some(error.to_string());
    }
    call.hang_up();
    call.ended(PATIENCE).await.ok();
    talk.warnings = call.view().warnings.len();
    talk
}

impl Talk {
    async fn through(
        &mut self,
        call: &Call,
        voice: VoiceMode,
        person: u32,
    ) -> Result<(), WaitError> {
        let greeting = Phrases::of(Language::German).greeting;
        call.next_heard(greeting, PATIENCE).await?;
        pause(PAUSE_MS).await;
        for turn in 0..TURNS {
            let words = format!("question p{person:05}t{turn:02}");
            call.say(&words).await?;
            self.asked += 1;
            if is_spoken_over(voice, person, turn) {
                call.begins_to_hear(BEGINNING, PATIENCE).await?;
                self.spoken_over += 1;
                pause(LISTENS_MS).await;
            } else {
                call.next_heard(&words, PATIENCE).await?;
                self.answered += 1;
                pause(PAUSE_MS).await;
            }
        }
        Ok(())
    }
}

/// Never the last one, which nothing is said over.
fn is_spoken_over(voice: VoiceMode, person: u32, turn: u32) -> bool {
    let is_due = (person + turn).is_multiple_of(SPOKEN_OVER_EVERY);
    voice == VoiceMode::Relay && is_due && turn + 1 < TURNS
}

async fn pause(ms: std::ops::RangeInclusive<u64>) {
    let ms = rand::rng().random_range(ms);
    sleep(Duration::from_millis(ms)).await;
}
