use std::collections::{BTreeMap, HashMap, VecDeque};

use chrono::{DateTime, Utc};
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sim_kit::clock;

use super::{
    Rule, SimOpenRouterConfig,
    action::Action,
    error::ApiError,
    key::Key,
    prompt::Prompt,
    script::{self, Answer},
};

/// The account at OpenRouter with its keys.
pub(crate) struct Account {
    pub(crate) config: SimOpenRouterConfig,
    state: Mutex<State>,
}

/// State behind one lock, which is never held across an await.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) keys: HashMap<String, Key>,
    pub(crate) rules: Vec<Rule>,
    order: Vec<String>,
    requests: VecDeque<CompletionRequest>,
    stats: ModelStats,
    spent_by_deleted: f64,
}

/// A completion request and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletionRequest {
    /// Hash of its key.
    pub key: String,
    /// The name of the requested model.
    pub model: String,
    /// The last text of the user.
    pub said: String,
    /// Results of the tools called since then.
    pub results: Vec<String>,
    /// The action with which the model answered.
    pub answered: Action,
    /// Time in milliseconds since 1970.
    pub at_ms: i64,
}

/// Exact counts since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelStats {
    /// Completions answered, over all keys.
    pub completions: u64,
    /// Completions answered, by hash of the key.
    pub by_key: BTreeMap<String, u64>,
    /// Completions refused, by status.
    pub refused: BTreeMap<u16, u64>,
    /// Keys made, deleted ones included.
    pub keys_made: u64,
    /// Keys deleted through the API.
    pub keys_deleted: u64,
    /// Keys that exist now.
    pub keys_alive: u64,
}

impl Account {
    pub(crate) fn new(config: SimOpenRouterConfig) -> Self {
        Self {
            config,
            state: Mutex::default(),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl State {
    pub(crate) fn add_key(&mut self, key: Key) {
        self.stats.keys_made += 1;
        self.order.push(key.hash.clone());
        self.keys.insert(key.hash.clone(), key);
    }

    pub(crate) fn key(&mut self, hash: &str) -> Result<&mut Key, ApiError> {
        self.keys
            .get_mut(hash)
            .ok_or_else(|| ApiError::of_code(404))
    }

    pub(crate) fn remove_key(&mut self, hash: &str) -> Result<(), ApiError> {
        let key = self
            .keys
            .remove(hash)
            .ok_or_else(|| ApiError::of_code(404))?;
        self.spent_by_deleted += key.total_spent();
        self.order.retain(|other| other != hash);
        self.stats.keys_deleted += 1;
        Ok(())
    }

    /// All keys, newest first, as the real API lists them.
    pub(crate) fn keys_in_order(&mut self) -> impl Iterator<Item = &mut Key> {
        let place: HashMap<&str, usize> = self
            .order
            .iter()
            .enumerate()
            .map(|(place, hash)| (hash.as_str(), place))
            .collect();
        let mut keys: Vec<&mut Key> = self.keys.values_mut().collect();
        keys.sort_by_key(|key| std::cmp::Reverse(place.get(key.hash.as_str()).copied()));
        keys.into_iter()
    }

    pub(crate) fn total_spent(&self) -> f64 {
        self.spent_by_deleted + self.keys.values().map(Key::total_spent).sum::<f64>()
    }

    pub(crate) fn decide(&mut self, prompt: &Prompt, now: DateTime<Utc>) -> Answer {
        script::answer(prompt, &mut self.rules, now)
    }

    pub(crate) fn charge(&mut self, hash: &str, usd: f64, now: DateTime<Utc>) {
        self.stats.completions += 1;
        *self.stats.by_key.entry(hash.to_owned()).or_default() += 1;
        if let Some(key) = self.keys.get_mut(hash) {
            key.completions += 1;
            key.spend(usd, now);
        }
    }

    pub(crate) fn count_refusal(&mut self, status: u16) {
        *self.stats.refused.entry(status).or_default() += 1;
    }

    pub(crate) fn record_request(
        &mut self,
        key: &str,
        request: &Value,
        prompt: &Prompt,
        answer: &Answer,
        kept: usize,
    ) {
        self.requests.push_back(CompletionRequest {
            key: key.to_owned(),
            model: request["model"].as_str().unwrap_or_default().to_owned(),
            said: prompt.said.clone(),
            results: prompt.results.clone(),
            answered: answer.action.clone(),
            at_ms: clock::now_ms(),
        });
        if self.requests.len() > kept {
            self.requests.pop_front();
        }
    }

    pub(crate) fn requests(&self) -> Vec<CompletionRequest> {
        self.requests.iter().cloned().collect()
    }

    pub(crate) fn stats(&self) -> ModelStats {
        let mut stats = self.stats.clone();
        stats.keys_alive = u64::try_from(self.keys.len()).unwrap_or(u64::MAX);
        stats
    }
}
