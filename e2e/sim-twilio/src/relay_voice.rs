use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Pace, line::Line, relay_settings::Interruptible};

/// The agent's voice on a relay: speaks tokens in order at the pace of the line, as they come.
pub(crate) struct Voice {
    line: Arc<Line>,
    pace: Pace,
    /// The front is being spoken, the others wait for it.
    utterances: VecDeque<Utterance>,
}

struct Utterance {
    text: String,
    interruptible: Interruptible,
    /// Whether more tokens may come.
    open: bool,
    /// Its place among what was heard, once it has begun.
    place: Option<usize>,
    /// Time it was spoken for, pauses for want of tokens left out.
    spoken_for: Duration,
    speaking_since: Option<Instant>,
}

impl Voice {
    pub(crate) fn new(line: Arc<Line>, pace: Pace) -> Self {
        Self {
            line,
            pace,
            utterances: VecDeque::new(),
        }
    }

    /// Takes a token; the last one closes its utterance.
    pub(crate) fn takes(&mut self, token: &str, last: bool, interruptible: Interruptible) {
        match self.utterances.back_mut() {
            Some(utterance) if utterance.open => {
                utterance.text.push_str(token);
                utterance.open = !last;
                if let Some(place) = utterance.place {
                    self.line.goes_on(place, token);
                }
            }
            _ if token.is_empty() => return,
            _ => self.utterances.push_back(Utterance {
                text: token.to_owned(),
                interruptible,
                open: !last,
                place: None,
                spoken_for: Duration::ZERO,
                speaking_since: None,
            }),
        }
        self.go_on();
    }

    /// No more tokens come.
    pub(crate) fn is_complete(&mut self) {
        if let Some(utterance) = self.utterances.back_mut() {
            utterance.open = false;
        }
        self.go_on();
    }

    /// Whether nothing is spoken or waits to be.
    pub(crate) fn is_quiet(&self) -> bool {
        self.utterances.is_empty()
    }

    /// When the words known so far are spoken.
    pub(crate) fn due(&self) -> Option<Instant> {
        let front = self.utterances.front()?;
        Some(front.speaking_since? + front.left(self.pace))
    }

    /// Acts on the moment of `due`: the utterance is over, or waits for its next token.
    pub(crate) fn advance(&mut self) {
        let Some(front) = self.utterances.front_mut() else {
            return;
        };
        front.spoken_for = self.pace.of_characters(front.text.chars().count());
        front.speaking_since = None;
        if front.open {
            self.line.caller_waits();
        } else {
            self.go_on();
        }
    }

    /// What of the caller would stop what is being spoken; `None` when nothing is.
    pub(crate) fn interruptible(&self) -> Option<Interruptible> {
        self.utterances.front().map(|front| front.interruptible)
    }

    /// Stops all speech: what was heard of the current utterance, and for how long on the line.
    pub(crate) fn interrupt(&mut self) -> Option<(String, Duration)> {
        let utterances = std::mem::take(&mut self.utterances);
        let front = utterances.into_iter().next()?;
        let since = front.speaking_since;
        let time = front.spoken_for + since.map(|since| since.elapsed()).unwrap_or_default();
        let characters = self.pace.characters_in(time);
        self.line.stops(front.place?, characters, true);
        let heard = front.text.chars().take(characters).collect();
        Some((heard, self.pace.on_the_line(time)))
    }

    /// Speaks what is next, and takes leave of what is done.
    fn go_on(&mut self) {
        while let Some(front) = self.utterances.front_mut() {
            let place = *front
                .place
                .get_or_insert_with(|| self.line.begins(&front.text));
            if front.speaking_since.is_some() {
                return;
            }
            if !front.left(self.pace).is_zero() {
                self.line.caller_is_asked();
                front.speaking_since = Some(Instant::now());
                return;
            }
            if front.open {
                return;
            }
            self.line.stops(place, usize::MAX, false);
            // Whether more will come, nobody can know: it counts as the caller's turn.
            self.line.caller_is_asked();
            self.utterances.pop_front();
        }
    }
}

impl Utterance {
    /// How long the words not yet spoken take, from `speaking_since` on.
    fn left(&self, pace: Pace) -> Duration {
        let whole = pace.of_characters(self.text.chars().count());
        whole.saturating_sub(self.spoken_for)
    }
}
