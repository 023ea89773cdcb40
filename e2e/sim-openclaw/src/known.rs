use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;

/// Runs one gateway process remembers.
const RUNS_REMEMBERED: usize = 1000;

/// What one gateway process remembers of runs: gone after a restart.
#[derive(Default)]
pub(crate) struct KnownRuns {
    runs: HashMap<String, KnownRun>,
    order: VecDeque<String>,
}

struct KnownRun {
    message_hash: u64,
    ended: Option<Ended>,
}

struct Ended {
    at: Instant,
    /// What `agent.wait` answers, as text: a hundred thousand of them are kept in a load test.
    outcome: Box<str>,
}

/// What the memory says of a key that is used (again).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Recall {
    Fresh,
    InFlight,
    Done,
    /// Ended so long ago that only the fact is remembered.
    Stale,
    /// The key was used for another message.
    Conflict,
}

impl KnownRuns {
    pub(crate) fn recall(&self, key: &str, message: &str, remembered: Duration) -> Recall {
        let Some(run) = self.runs.get(key) else {
            return Recall::Fresh;
        };
        match &run.ended {
            Some(ended) if ended.at.elapsed() > remembered => Recall::Stale,
            _ if run.message_hash != hash(message) => Recall::Conflict,
            Some(_) => Recall::Done,
            None => Recall::InFlight,
        }
    }

    pub(crate) fn begin(&mut self, key: &str, message: &str) {
        let run = KnownRun {
            message_hash: hash(message),
            ended: None,
        };
        if self.runs.insert(key.to_owned(), run).is_none() {
            self.order.push_back(key.to_owned());
        }
        if self.order.len() > RUNS_REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.runs.remove(&oldest);
        }
    }

    pub(crate) fn end(&mut self, key: &str, outcome: &Value) {
        if let Some(run) = self.runs.get_mut(key) {
            run.ended = Some(Ended {
                at: Instant::now(),
                outcome: outcome.to_string().into(),
            });
        }
    }

    /// What `agent.wait` answers, once the run has ended and while it is remembered.
    pub(crate) fn outcome(&self, key: &str, remembered: Duration) -> Option<Value> {
        let ended = self.runs.get(key)?.ended.as_ref()?;
        let is_remembered = ended.at.elapsed() <= remembered;
        is_remembered
            .then(|| serde_json::from_str(&ended.outcome).ok())
            .flatten()
    }
}

fn hash(message: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    message.hash(&mut hasher);
    hasher.finish()
}
