use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Pace, line::Line, relay_settings::Interruptible};

/// Speaks the tokens of a relay session in order, at the pace of the line, as they arrive.
pub(crate) struct SpeechPlayer {
    line: Arc<Line>,
    pace: Pace,
    /// The first speech is being spoken; the others wait.
    queue: VecDeque<Speech>,
}

struct Speech {
    text: String,
    interruptible: Interruptible,
    /// Whether more tokens can follow.
    open: bool,
    /// Index in `heard`, once the speech has begun.
    index: Option<usize>,
    /// Time spoken, without pauses for missing tokens.
    spoken_for: Duration,
    speaking_since: Option<Instant>,
}

impl SpeechPlayer {
    pub(crate) fn new(line: Arc<Line>, pace: Pace) -> Self {
        Self {
            line,
            pace,
            queue: VecDeque::new(),
        }
    }

    /// Adds a token; the last one closes its speech.
    pub(crate) fn add_token(&mut self, token: &str, last: bool, interruptible: Interruptible) {
        match self.queue.back_mut() {
            Some(utterance) if utterance.open => {
                utterance.text.push_str(token);
                utterance.open = !last;
                if let Some(index) = utterance.index {
                    self.line.extend_speech(index, token);
                }
            }
            _ if token.is_empty() => return,
            _ => self.queue.push_back(Speech {
                text: token.to_owned(),
                interruptible,
                open: !last,
                index: None,
                spoken_for: Duration::ZERO,
                speaking_since: None,
            }),
        }
        self.start_next();
    }

    /// Closes the last speech: no more tokens follow.
    pub(crate) fn close(&mut self) {
        if let Some(utterance) = self.queue.back_mut() {
            utterance.open = false;
        }
        self.start_next();
    }

    /// Whether nothing is being spoken or waiting.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// The time at which the words so far will have been spoken.
    pub(crate) fn due(&self) -> Option<Instant> {
        let front = self.queue.front()?;
        Some(front.speaking_since? + front.left(self.pace))
    }

    /// Ends the current speech, or waits for its next token. Must be called at the time that `due` returned.
    pub(crate) fn advance(&mut self) {
        let Some(front) = self.queue.front_mut() else {
            return;
        };
        front.spoken_for = self.pace.of_characters(front.text.chars().count());
        front.speaking_since = None;
        if front.open {
            self.line.caller_waits();
        } else {
            self.start_next();
        }
    }

    /// The actions that interrupt the current speech; `None` when nothing is being spoken.
    pub(crate) fn interruptible(&self) -> Option<Interruptible> {
        self.queue.front().map(|front| front.interruptible)
    }

    /// Stops all speech; returns the part of the current one that was heard, and its duration on the line.
    pub(crate) fn interrupt(&mut self) -> Option<(String, Duration)> {
        let queue = std::mem::take(&mut self.queue);
        let front = queue.into_iter().next()?;
        let since = front.speaking_since;
        let time = front.spoken_for + since.map(|since| since.elapsed()).unwrap_or_default();
        let characters = self.pace.characters_in(time);
        self.line.end_speech(front.index?, characters, true);
        let heard = front.text.chars().take(characters).collect();
        Some((heard, self.pace.on_the_line(time)))
    }

    /// Removes finished speech from the queue and starts the next.
    fn start_next(&mut self) {
        while let Some(front) = self.queue.front_mut() {
            let index = *front
                .index
                .get_or_insert_with(|| self.line.start_speech(&front.text));
            if front.speaking_since.is_some() {
                return;
            }
            if !front.left(self.pace).is_zero() {
                self.line.caller_is_prompted();
                front.speaking_since = Some(Instant::now());
                return;
            }
            if front.open {
                return;
            }
            self.line.end_speech(index, usize::MAX, false);
            // More speech may follow, so the caller is not counted as waiting.
            self.line.caller_is_prompted();
            self.queue.pop_front();
        }
    }
}

impl Speech {
    /// The time that the unspoken words take, counted from `speaking_since`.
    fn left(&self, pace: Pace) -> Duration {
        let whole = pace.of_characters(self.text.chars().count());
        whole.saturating_sub(self.spoken_for)
    }
}
