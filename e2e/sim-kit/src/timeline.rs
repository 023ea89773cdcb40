//! A timeline of events in the simulated outside world, on one clock, so that the time between two events
//! can be measured.

use std::{sync::Arc, time::Instant};

use parking_lot::Mutex;

/// A log that simulators in one process share. The default keeps no entries.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    log: Option<Arc<Log>>,
}

#[derive(Debug)]
struct Log {
    limit: usize,
    entries: Mutex<Vec<Entry>>,
}

/// One event of the timeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The time of the event, on the monotonic clock.
    pub at: Instant,
    /// The number of the caller, or the name of the sandbox.
    pub subject: String,
    /// The kind of event and its text.
    pub kind: EntryKind,
}

/// The kinds of events, each with its text if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// Twilio began to send the caller's words, in a webhook or in a prompt.
    UtteranceSent(String),
    /// Twilio began to report that the caller spoke over the answer.
    InterruptSent,
    /// Twilio received a piece of speech.
    TokenReceived(String),
    /// Twilio received a document.
    DocumentReceived(String),
    /// The assistant received this message.
    PromptReceived(String),
    /// The assistant sent the first piece of its answer to this message.
    AnswerStarted(String),
    /// The assistant sent the end of its answer to this message.
    AnswerEnded(String),
    /// The assistant was told to stop answering this message.
    AnswerAborted(String),
}

impl Timeline {
    /// A log of at most `limit` entries; later ones are dropped.
    pub fn with_limit(limit: usize) -> Self {
        let entries = Mutex::default();
        Self {
            log: Some(Arc::new(Log { limit, entries })),
        }
    }

    /// All entries, oldest first.
    pub fn entries(&self) -> Vec<Entry> {
        let log = self.log.as_ref();
        log.map_or_else(Vec::new, |log| log.entries.lock().clone())
    }

    /// Records an event at the current time. `kind` is not called when no entry is kept.
    pub fn record(&self, subject: &str, kind: impl FnOnce() -> EntryKind) {
        let Some(log) = &self.log else {
            return;
        };
        let mut entries = log.entries.lock();
        if entries.len() < log.limit {
            entries.push(Entry {
                at: Instant::now(),
                subject: subject.to_owned(),
                kind: kind(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_kept_up_to_the_limit_and_none_by_default() {
        let (limited, default) = (Timeline::with_limit(2), Timeline::default());
        for timeline in [&limited, &default] {
            for token in ["a", "b", "c"] {
                timeline.record("+491", || EntryKind::TokenReceived(token.to_owned()));
            }
        }

        let kept: Vec<EntryKind> = limited
            .entries()
            .into_iter()
            .map(|entry| entry.kind)
            .collect();
        assert_eq!(
            kept,
            [
                EntryKind::TokenReceived("a".to_owned()),
                EntryKind::TokenReceived("b".to_owned())
            ]
        );
        assert_eq!(default.entries(), []);
    }
}
