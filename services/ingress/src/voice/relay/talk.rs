//! A streamed conversation, turn by turn. Pure: what came in goes into a method, what is to be done comes
//! out of it.

use std::time::Duration;

use claw_domain::Sensitive;
use claw_events::{CallerInput, SpeechStreamed, TurnStatus};
use tokio::time::Instant;

use super::answering::Answering;
use crate::voice::dialogue::Line;

/// How long a caller waits before they hear that the answer takes a moment.
const FIRST_FILLER: Duration = Duration::from_millis(1_500);

/// Between two such lines.
const NEXT_FILLER: Duration = Duration::from_secs(8);

/// Such lines to one turn; then the answer goes to the chat.
const FILLERS: u32 = 8;

/// How long a caller may say nothing when we have spoken.
const LISTENING: Duration = Duration::from_secs(12);

/// Times a silent caller is asked again.
const REPEATS: u32 = 2;

/// After this long without a further key the keys are taken together.
const KEYS_PAUSE: Duration = Duration::from_secs(2);

/// Most keys taken together.
const MOST_KEYS: usize = 64;

/// Characters spoken in a second, roughly: Twilio does not say when it has spoken.
const CHARS_PER_SECOND: f64 = 14.0;

/// What is to be done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Do {
    /// Say this; more of the same utterance follows unless it is the last.
    Say { text: String, is_last: bool },
    /// Say a line of ours.
    Ours(Line),
    /// Tell what the caller said.
    Tell {
        turn: u32,
        words: CallerInput,
        heard: Option<Sensitive<String>>,
    },
    /// The answer to this turn is to stop.
    Stop(u32),
    /// Nobody waits for the answer to this turn any more; what is written of it then, comes back.
    GiveUp(u32),
    /// What the call has come to tells how to go on.
    SeeCall,
    /// The call ends when all of it is said.
    HangUp,
}

/// The conversation as far as it has come.
pub(super) struct Talk {
    last_turn: u32,
    answering: Option<Answering>,
    /// When something is to be said to a turn whose answer does not come.
    filler_at: Instant,
    fillers: u32,
    /// What the caller heard of an answer they cut short, until they say what they want instead.
    heard: Option<Sensitive<String>>,
    keys: String,
    keys_at: Instant,
    /// When we have spoken, as far as can be told.
    spoken_at: Instant,
    silences: u32,
    /// The socket broke, and nothing is owed: the caller may have said something nobody heard.
    is_back: bool,
}

impl Talk {
    /// A conversation whose next turn has the number after this; so many characters of greeting are being
    /// spoken.
    pub(super) fn after(turn: u32, greeting_chars: u32, now: Instant) -> Self {
        Self {
            last_turn: turn,
            answering: None,
            filler_at: now,
            fillers: 0,
            heard: None,
            keys: String::new(),
            keys_at: now,
            spoken_at: now + spoken_in(greeting_chars),
            silences: 0,
            is_back: false,
        }
    }

    /// The socket had broken. The answer to a turn that is still owed is said when all of it is there.
    pub(super) fn resume(&mut self, owed: Option<u32>, now: Instant) {
        self.answering = owed.map(Answering::late);
        self.filler_at = now + FIRST_FILLER;
        self.is_back = owed.is_none();
    }

    /// The number of the last turn, or of the last that this conversation comes after.
    pub(super) const fn last_turn(&self) -> u32 {
        self.last_turn
    }

    /// The turn whose answer is waited for.
    pub(super) fn turn(&self) -> Option<u32> {
        self.answering.as_ref().map(|answering| answering.turn)
    }

    /// The caller said something. What is being answered is left: they do not wait for it.
    pub(super) fn prompt(&mut self, words: &Sensitive<String>, now: Instant) -> Vec<Do> {
        let text = words.expose().trim();
        if text.is_empty() {
            return Vec::new();
        }
        self.take_turn(CallerInput::Words(text.into()), now)
    }

    /// The caller pressed keys. They are taken together, up to `#` or a pause.
    pub(super) fn key(&mut self, digit: &Sensitive<String>, now: Instant) -> Vec<Do> {
        let digit = digit.expose();
        if digit != "#" && self.keys.len() < MOST_KEYS {
            self.keys.push_str(digit);
            self.keys_at = now + KEYS_PAUSE;
            return Vec::new();
        }
        self.take_keys(now)
    }

    /// The caller spoke over what we said, and heard this of it. Not a word more of an answer is said; one that
    /// has not begun is still wanted, for it was a line of ours that they cut short.
    pub(super) fn interrupt(&mut self, heard: Sensitive<String>, now: Instant) -> Vec<Do> {
        if self
            .answering
            .as_ref()
            .is_some_and(|answering| answering.said().is_empty())
        {
            return Vec::new();
        }
        self.heard = Some(heard);
        self.spoken_at = now;
        self.is_back = false;
        let left = self.answering.take();
        left.map(|left| Do::Stop(left.turn)).into_iter().collect()
    }

    /// The assistant goes on speaking.
    pub(super) fn piece(&mut self, piece: &SpeechStreamed, now: Instant) -> Vec<Do> {
        let answering = self.answering.as_mut();
        let Some(answering) = answering.filter(|answering| answering.turn == piece.turn) else {
            return Vec::new();
        };
        let text = answering.take(piece.offset, piece.text.expose());
        if text.is_empty() {
            return Vec::new();
        }
        self.speaks(&text, now);
        // Somebody who speaks may still fall silent, for a search that takes long, say.
        self.filler_at = self.spoken_at + NEXT_FILLER;
        vec![Do::Say {
            text,
            is_last: false,
        }]
    }

    /// What came of a turn is known: the rest of it is said.
    pub(super) fn settled(&mut self, turn: u32, came: TurnStatus, now: Instant) -> Vec<Do> {
        let Some(answering) = self.answering.take_if(|answering| answering.turn == turn) else {
            return Vec::new();
        };
        let todo = match came {
            TurnStatus::Speech(speech) => {
                let rest = answering.rest_of(speech.text.expose());
                let mut todo = vec![Do::Say {
                    text: rest,
                    is_last: true,
                }];
                todo.extend(speech.is_cut.then_some(Do::Ours(Line::RestInChat)));
                todo
            }
            TurnStatus::GivenUp => vec![Do::Ours(Line::AnswerInChat)],
            TurnStatus::Failed => vec![Do::Ours(Line::CouldNotAnswer)],
            TurnStatus::SeeCall => vec![Do::SeeCall],
        };
        for todo in &todo {
            if let Do::Say { text, .. } = todo {
                self.speaks(text, now);
            }
        }
        todo
    }

    /// When something is to be done though nothing came.
    pub(super) fn next_tick(&self) -> Instant {
        let silence = match &self.answering {
            Some(_) => self.filler_at,
            None if self.is_back => self.filler_at,
            None => self.spoken_at + LISTENING,
        };
        if self.keys.is_empty() {
            silence
        } else {
            silence.min(self.keys_at)
        }
    }

    /// That time has come.
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Do> {
        if now < self.next_tick() {
            return Vec::new();
        }
        if !self.keys.is_empty() && now >= self.keys_at {
            return self.take_keys(now);
        }
        match &self.answering {
            Some(answering) if self.fillers >= FILLERS => {
                self.filler_at = now + NEXT_FILLER;
                vec![Do::GiveUp(answering.turn)]
            }
            Some(_) => {
                let number = self.fillers;
                self.fillers += 1;
                self.filler_at = now + NEXT_FILLER;
                vec![Do::Ours(Line::Filler(number))]
            }
            None if self.is_back => {
                self.is_back = false;
                self.spoken_at = now;
                vec![Do::Ours(Line::BrokenOff)]
            }
            None if self.silences >= REPEATS => vec![Do::Ours(Line::Goodbye), Do::HangUp],
            None => {
                let number = self.silences;
                self.silences += 1;
                self.spoken_at = now;
                vec![Do::Ours(Line::Pardon(number))]
            }
        }
    }

    fn take_keys(&mut self, now: Instant) -> Vec<Do> {
        let keys = std::mem::take(&mut self.keys);
        if keys.is_empty() {
            return Vec::new();
        }
        self.take_turn(CallerInput::Keys(keys.into()), now)
    }

    fn take_turn(&mut self, words: CallerInput, now: Instant) -> Vec<Do> {
        let mut todo = Vec::new();
        if let Some(left) = self.answering.take() {
            todo.push(Do::Stop(left.turn));
            self.heard.get_or_insert_with(|| left.said().into());
        }
        self.last_turn += 1;
        self.answering = Some(Answering::of(self.last_turn));
        self.filler_at = now + FIRST_FILLER;
        self.spoken_at = now;
        self.fillers = 0;
        self.silences = 0;
        self.is_back = false;
        todo.push(Do::Tell {
            turn: self.last_turn,
            words,
            heard: self.heard.take(),
        });
        todo
    }

    fn speaks(&mut self, text: &str, now: Instant) {
        let chars = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        self.spoken_at = self.spoken_at.max(now) + spoken_in(chars);
    }
}

fn spoken_in(chars: u32) -> Duration {
    Duration::from_secs_f64(f64::from(chars) / CHARS_PER_SECOND)
}
