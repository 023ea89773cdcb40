//! When things happened in the simulated outside world, by one clock: for measuring what lies between.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

/// Notes of simulators that share this process. The default keeps none.
#[derive(Debug, Clone, Default)]
pub struct Moments {
    notes: Option<Arc<Notes>>,
}

#[derive(Debug)]
struct Notes {
    limit: usize,
    kept: Mutex<Vec<Moment>>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Instant,
    /// To whom: a caller's number, or the name of a sandbox.
    pub whose: String,
    /// What.
    pub what: Note,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// Twilio began to hand over what the caller said: in a webhook, or in a prompt.
    Said(String),
    /// Twilio began to hand over that the caller spoke over the answer.
    SpokenOver,
    /// Twilio was given a piece of speech.
    Token(String),
    /// Twilio was given a document.
    Document(String),
    /// The assistant was sent this message.
    Asked(String),
    /// The assistant sends the first piece of its answer to this message.
    Speaks(String),
    /// The assistant sends the end of its answer to this message.
    Answered(String),
    /// The assistant was told to stop answering this message.
    Stopped(String),
}

impl Moments {
    /// Keeps so many notes; what happens then is not noted.
    pub fn keeping(limit: usize) -> Self {
        let kept = Mutex::default();
        Self {
            notes: Some(Arc::new(Notes { limit, kept })),
        }
    }

    /// All notes, in the order in which it happened.
    pub fn all(&self) -> Vec<Moment> {
        let notes = self.notes.as_ref();
        notes.map_or_else(Vec::new, |notes| {
            notes.kept.lock().expect("no note panics").clone()
        })
    }

    /// Notes that `what` just happened to `whose`; nothing when no notes are kept or the limit is reached.
    pub fn note(&self, whose: &str, what: impl FnOnce() -> Note) {
        let Some(notes) = &self.notes else {
            return;
        };
        let mut kept = notes.kept.lock().expect("no note panics");
        if kept.len() < notes.limit {
            kept.push(Moment {
                at: Instant::now(),
                whose: whose.to_owned(),
                what: what(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_kept_up_to_their_limit_and_none_unless_asked_for() {
        let (some, none) = (Moments::keeping(2), Moments::default());
        for moments in [&some, &none] {
            for token in ["a", "b", "c"] {
                moments.note("+491", || Note::Token(token.to_owned()));
            }
        }

        let kept: Vec<Note> = some.all().into_iter().map(|note| note.what).collect();
        assert_eq!(
            kept,
            [Note::Token("a".to_owned()), Note::Token("b".to_owned())]
        );
        assert_eq!(none.all(), []);
    }
}
