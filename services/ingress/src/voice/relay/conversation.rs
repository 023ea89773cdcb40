//! Decides what is said and asked in a streamed conversation. Pure: methods take events and return actions.

use std::time::Duration;

use claw_domain::Sensitive;
use claw_events::{CallerInput, SpeechStreamed, TurnStatus};
use claw_twilio::voices::Language;
use tokio::time::Instant;

use super::streamed_answer::StreamedAnswer;
use crate::voice::{
    dialogue::{FIRST_FILLER_AFTER, MAX_FILLERS, MAX_REPEATS, NEXT_FILLER_AFTER},
    phrase::Phrase,
};

/// How long a caller may stay silent after we have spoken.
const LISTEN_FOR: Duration = Duration::from_secs(12);

/// Pause after which the keys pressed so far are taken together.
const KEYS_PAUSE: Duration = Duration::from_secs(2);

/// Most keys taken together.
const MAX_KEYS: usize = 64;

/// Rough speed of Twilio's speech, by which we estimate its end: Twilio does not report it.
const CHARS_PER_SECOND: f64 = 14.0;

/// Something to do. Actions are carried out in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Say a piece of the answer.
    Say { text: String, is_last: bool },
    /// Say something of our own.
    SayPhrase(Phrase),
    /// Publish the caller's utterance.
    Ask {
        turn: u32,
        words: CallerInput,
        heard: Option<Sensitive<String>>,
    },
    /// Tell the assistant to stop answering this turn.
    StopAnswer(u32),
    /// Record that the caller no longer waits for the answer to this turn, and call
    /// [`RelayConversation::settled`] with the status that the turn then has.
    GiveUp(u32),
    /// Read the status of the call, and end the session unless the assistant is ready.
    SeeCall,
    /// End the call when everything is said.
    HangUp,
}

/// The state of a streamed conversation.
pub(super) struct RelayConversation {
    last_turn: u32,
    /// The language of the phrases in place of links and code.
    language: Language,
    /// The answer that the caller waits for.
    answer: Option<StreamedAnswer>,
    /// When to say a filler if no answer has come.
    filler_at: Instant,
    fillers: u32,
    /// The part of an interrupted answer that the caller heard; kept until they speak.
    heard: Option<Sensitive<String>>,
    keys: String,
    /// When to take the keys if no other is pressed.
    keys_at: Instant,
    /// When our speech ends, as far as we can tell.
    spoken_at: Instant,
    silences: u32,
    /// The socket broke while no answer was owed: we may have missed what the caller said.
    may_have_missed: bool,
}

impl RelayConversation {
    /// A conversation after `last_turn`, while Twilio speaks a greeting of this length.
    pub(super) fn after(
        last_turn: u32,
        language: Language,
        greeting_chars: u32,
        now: Instant,
    ) -> Self {
        Self {
            last_turn,
            language,
            answer: None,
            filler_at: now,
            fillers: 0,
            heard: None,
            keys: String::new(),
            keys_at: now,
            spoken_at: now + speaking_time(greeting_chars),
            silences: 0,
            may_have_missed: false,
        }
    }

    /// The socket had broken. The answer to the turn `owed`, if there is one, is spoken when it is complete.
    pub(super) fn resume(&mut self, owed: Option<u32>, now: Instant) {
        self.answer = owed.map(|turn| StreamedAnswer::missed(turn, self.language));
        self.filler_at = now + FIRST_FILLER_AFTER;
        self.may_have_missed = owed.is_none();
    }

    /// The number of the last turn, which may be one before this conversation.
    pub(super) const fn last_turn(&self) -> u32 {
        self.last_turn
    }

    /// The turn whose answer the caller waits for.
    pub(super) fn turn(&self) -> Option<u32> {
        self.answer.as_ref().map(|answer| answer.turn)
    }

    /// The caller said something.
    pub(super) fn prompt(&mut self, words: &Sensitive<String>, now: Instant) -> Vec<Action> {
        let text = words.expose().trim();
        if text.is_empty() {
            return Vec::new();
        }
        self.ask(CallerInput::Words(text.into()), now)
    }

    /// The caller pressed a key. Keys are taken together, up to `#` or a pause.
    pub(super) fn key(&mut self, digit: &Sensitive<String>, now: Instant) -> Vec<Action> {
        let digit = digit.expose();
        if digit != "#" && self.keys.len() < MAX_KEYS {
            self.keys.push_str(digit);
            self.keys_at = now + KEYS_PAUSE;
            return Vec::new();
        }
        self.take_keys(now)
    }

    /// The caller interrupted us after hearing this. The rest of an answer is not spoken. An answer that has not
    /// begun is kept: the caller interrupted only a phrase of ours.
    pub(super) fn interrupt(&mut self, heard: Sensitive<String>, now: Instant) -> Vec<Action> {
        let answer = self.answer.as_ref();
        if answer.is_some_and(|answer| answer.spoken().is_empty()) {
            return Vec::new();
        }
        self.heard = Some(heard);
        self.spoken_at = now;
        self.may_have_missed = false;
        let stopped = self.answer.take();
        stopped
            .map(|answer| Action::StopAnswer(answer.turn))
            .into_iter()
            .collect()
    }

    /// A piece of an answer arrived.
    pub(super) fn piece(&mut self, piece: &SpeechStreamed, now: Instant) -> Vec<Action> {
        let answer = self.answer.as_mut();
        let Some(answer) = answer.filter(|answer| answer.turn == piece.turn) else {
            return Vec::new();
        };
        let text = answer.take(piece.offset, piece.text.expose());
        if text.is_empty() {
            return Vec::new();
        }
        self.note_speech(&text, now);
        // An answer may pause for long in its middle, for example while the assistant searches.
        self.filler_at = self.spoken_at + NEXT_FILLER_AFTER;
        vec![Action::Say {
            text,
            is_last: false,
        }]
    }

    /// A turn has its status: the rest of its answer is spoken.
    pub(super) fn settled(&mut self, turn: u32, status: TurnStatus, now: Instant) -> Vec<Action> {
        let Some(answer) = self.answer.take_if(|answer| answer.turn == turn) else {
            return Vec::new();
        };
        match status {
            TurnStatus::Speech(speech) => {
                let text = answer.rest_of(speech.text.expose());
                self.note_speech(&text, now);
                let mut actions = vec![Action::Say {
                    text,
                    is_last: true,
                }];
                actions.extend(
                    speech
                        .is_cut
                        .then_some(Action::SayPhrase(Phrase::RestInChat)),
                );
                actions
            }
            TurnStatus::GivenUp => vec![Action::SayPhrase(Phrase::AnswerInChat)],
            TurnStatus::Failed => vec![Action::SayPhrase(Phrase::CouldNotAnswer)],
            TurnStatus::SeeCall => vec![Action::SeeCall],
        }
    }

    /// When [`Self::tick`] is due.
    pub(super) fn next_tick(&self) -> Instant {
        let silence = if self.answer.is_some() || self.may_have_missed {
            self.filler_at
        } else {
            self.spoken_at + LISTEN_FOR
        };
        if self.keys.is_empty() {
            silence
        } else {
            silence.min(self.keys_at)
        }
    }

    /// Nothing happened until [`Self::next_tick`].
    pub(super) fn tick(&mut self, now: Instant) -> Vec<Action> {
        if now < self.next_tick() {
            return Vec::new();
        }
        if !self.keys.is_empty() && now >= self.keys_at {
            return self.take_keys(now);
        }
        match &self.answer {
            Some(answer) if self.fillers >= MAX_FILLERS => {
                self.filler_at = now + NEXT_FILLER_AFTER;
                vec![Action::GiveUp(answer.turn)]
            }
            Some(_) => {
                let number = self.fillers;
                self.fillers += 1;
                self.filler_at = now + NEXT_FILLER_AFTER;
                vec![Action::SayPhrase(Phrase::Filler(number))]
            }
            None if self.may_have_missed => {
                self.may_have_missed = false;
                self.spoken_at = now;
                vec![Action::SayPhrase(Phrase::BrokenOff)]
            }
            None if self.silences >= MAX_REPEATS => {
                vec![Action::SayPhrase(Phrase::Goodbye), Action::HangUp]
            }
            None => {
                let number = self.silences;
                self.silences += 1;
                self.spoken_at = now;
                vec![Action::SayPhrase(Phrase::Pardon(number))]
            }
        }
    }

    fn take_keys(&mut self, now: Instant) -> Vec<Action> {
        let keys = std::mem::take(&mut self.keys);
        if keys.is_empty() {
            return Vec::new();
        }
        self.ask(CallerInput::Keys(keys.into()), now)
    }

    /// Begins the next turn, and stops the answer to the current one.
    fn ask(&mut self, words: CallerInput, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Some(stopped) = self.answer.take() {
            actions.push(Action::StopAnswer(stopped.turn));
            self.heard.get_or_insert_with(|| stopped.spoken().into());
        }
        self.last_turn += 1;
        self.answer = Some(StreamedAnswer::to(self.last_turn, self.language));
        self.filler_at = now + FIRST_FILLER_AFTER;
        self.spoken_at = now;
        self.fillers = 0;
        self.silences = 0;
        self.may_have_missed = false;
        actions.push(Action::Ask {
            turn: self.last_turn,
            words,
            heard: self.heard.take(),
        });
        actions
    }

    fn note_speech(&mut self, text: &str, now: Instant) {
        let chars = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        self.spoken_at = self.spoken_at.max(now) + speaking_time(chars);
    }
}

fn speaking_time(chars: u32) -> Duration {
    Duration::from_secs_f64(f64::from(chars) / CHARS_PER_SECOND)
}
