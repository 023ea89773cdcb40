use std::{
    collections::{HashMap, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use serde_json::Value;
use tokio::time::Instant;

/// Most runs that one OpenClaw process remembers.
const RUNS_REMEMBERED: usize = 1000;

/// The idempotency keys that one OpenClaw process remembers, with their runs. A restart forgets them.
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
    /// The answer to `agent.wait`, kept as text because a load test keeps 100,000 of them.
    outcome: Box<str>,
}

/// The state of the idempotency key of a `chat.send`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum KeyState {
    New,
    InFlight,
    Ended,
    /// The run ended so long ago that its outcome is forgotten.
    OutcomeForgotten,
    /// The key was used for another message.
    Conflict,
}

impl KnownRuns {
    pub(crate) fn state_of(&self, key: &str, message: &str, remembered: Duration) -> KeyState {
        let Some(run) = self.runs.get(key) else {
            return KeyState::New;
        };
        match &run.ended {
            Some(ended) if ended.at.elapsed() > remembered => KeyState::OutcomeForgotten,
            _ if run.message_hash != hash(message) => KeyState::Conflict,
            Some(_) => KeyState::Ended,
            None => KeyState::InFlight,
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

    /// The answer to `agent.wait`; `None` if the run is active, unknown or forgotten.
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
