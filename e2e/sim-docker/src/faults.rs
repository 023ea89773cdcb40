use std::{collections::BTreeSet, time::Duration};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Faults of the engine, settable at run time. A field that a change leaves out keeps its value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineFaults {
    /// Whether every request is refused with status 500.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing: Option<bool>,
    /// How many of the next requests that change something are carried out without an answer: the connection is
    /// cut.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lost_answers: Option<u64>,
    /// Milliseconds by which every request is delayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// Ports that the engine holds for allocated, although nothing listens on them: no container can be started
    /// there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phantom_ports: Option<BTreeSet<u16>>,
}

/// The faults currently set.
#[derive(Debug, Default)]
pub(crate) struct Faults(Mutex<EngineFaults>);

impl Faults {
    pub(crate) fn change(&self, change: EngineFaults) {
        let mut now = self.0.lock();
        now.failing = change.failing.or(now.failing);
        now.lost_answers = change.lost_answers.or(now.lost_answers);
        now.latency_ms = change.latency_ms.or(now.latency_ms);
        now.phantom_ports = change.phantom_ports.or(now.phantom_ports.take());
    }

    pub(crate) fn clear(&self) {
        *self.0.lock() = EngineFaults::default();
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.0.lock().failing == Some(true)
    }

    pub(crate) fn latency(&self) -> Duration {
        Duration::from_millis(self.0.lock().latency_ms.unwrap_or_default())
    }

    pub(crate) fn is_phantom(&self, port: u16) -> bool {
        let faults = self.0.lock();
        let ports = faults.phantom_ports.as_ref();
        ports.is_some_and(|ports| ports.contains(&port))
    }

    /// Whether the answer to a request that changed something is lost; counts it as used.
    pub(crate) fn loses_answer(&self) -> bool {
        match &mut self.0.lock().lost_answers {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }
}
