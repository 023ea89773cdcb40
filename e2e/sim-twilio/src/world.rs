use std::{net::SocketAddr, sync::Arc};

use parking_lot::Mutex;
use sim_kit::timeline::EntryKind;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{SimTwilioConfig, faults::FaultInjector, line::Line, view::CallView};

/// The whole state of the simulator, shared by the control API and the calls.
pub(crate) struct World {
    pub(crate) config: SimTwilioConfig,
    pub(crate) client: reqwest::Client,
    pub(crate) faults: FaultInjector,
    /// Requests and calls in progress.
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    calls: Mutex<Vec<Arc<Line>>>,
    replicas: Mutex<Vec<SocketAddr>>,
}

impl World {
    pub(crate) fn new(config: SimTwilioConfig, client: reqwest::Client) -> Self {
        Self {
            replicas: Mutex::new(config.connect_to.clone()),
            config,
            client,
            faults: FaultInjector::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            calls: Mutex::default(),
        }
    }

    /// The replicas behind the public name, in the order in which they are tried.
    pub(crate) fn replicas(&self) -> Vec<SocketAddr> {
        self.replicas.lock().clone()
    }

    pub(crate) fn connect_to(&self, replicas: Vec<SocketAddr>) {
        *self.replicas.lock() = replicas;
    }

    /// Adds a call, and drops the oldest ended ones beyond the limit.
    pub(crate) fn keep(&self, line: Arc<Line>) {
        let mut calls = self.calls.lock();
        calls.push(line);
        let mut too_many = calls.len().saturating_sub(self.config.calls_kept);
        if too_many == 0 {
            return;
        }
        calls.retain(|call| {
            let is_dropped = too_many > 0 && call.is_over();
            too_many -= usize::from(is_dropped);
            !is_dropped
        });
    }

    /// Records in the timeline what happens in a call.
    pub(crate) fn record(&self, line: &Line, kind: impl FnOnce() -> EntryKind) {
        self.config.timeline.record(&line.caller.from, kind);
    }

    pub(crate) fn call(&self, sid: &str) -> Option<Arc<Line>> {
        let calls = self.calls.lock();
        calls.iter().find(|call| call.sid == sid).cloned()
    }

    pub(crate) fn views(&self) -> Vec<CallView> {
        let calls = self.calls.lock().clone();
        calls.iter().map(|call| call.view()).collect()
    }

    /// Forgets the calls that have ended.
    pub(crate) fn forget_ended(&self) {
        self.calls.lock().retain(|call| !call.is_over());
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("World(…)")
    }
}
