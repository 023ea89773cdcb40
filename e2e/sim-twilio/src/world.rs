use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use sim_kit::moments::Note;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Caller, SimTwilioConfig, faults::FaultBox, line::Line, run, view::CallView};

/// Everything the simulator knows, shared by its port and its calls.
pub(crate) struct World {
    pub(crate) config: SimTwilioConfig,
    pub(crate) client: reqwest::Client,
    pub(crate) faults: FaultBox,
    /// Requests and calls under way.
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
            faults: FaultBox::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            calls: Mutex::default(),
        }
    }

    /// Where public URLs are reached, in the order they are tried; empty: as they stand.
    pub(crate) fn replicas(&self) -> Vec<SocketAddr> {
        self.replicas.lock().expect("no list panics").clone()
    }

    pub(crate) fn connect_to(&self, replicas: Vec<SocketAddr>) {
        *self.replicas.lock().expect("no list panics") = replicas;
    }

    /// Someone dials our number.
    pub(crate) fn dial(self: &Arc<Self>, caller: Caller) -> Arc<Line> {
        let (line, acts) = Line::new(caller);
        let line = Arc::new(line);
        self.keep(Arc::clone(&line));
        let call = run::run(Arc::clone(self), Arc::clone(&line), acts);
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = call => {}
            }
        });
        line
    }

    fn keep(&self, line: Arc<Line>) {
        let mut calls = self.calls.lock().expect("no call panics");
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

    /// Notes what happens in a call, if that is wanted.
    pub(crate) fn notes(&self, line: &Line, what: impl FnOnce() -> Note) {
        self.config.moments.note(&line.caller.from, what);
    }

    pub(crate) fn call(&self, sid: &str) -> Option<Arc<Line>> {
        let calls = self.calls.lock().expect("no call panics");
        calls.iter().find(|call| call.sid == sid).cloned()
    }

    pub(crate) fn views(&self) -> Vec<CallView> {
        let calls = self.calls.lock().expect("no call panics").clone();
        calls.iter().map(|call| call.view()).collect()
    }

    /// Forgets the calls that have ended.
    pub(crate) fn forget_ended(&self) {
        let mut calls = self.calls.lock().expect("no call panics");
        calls.retain(|call| !call.is_over());
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("World(…)")
    }
}
