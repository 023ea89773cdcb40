use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, RwLock},
};

use serde_json::json;
use sim_kit::{clock, timeline::EntryKind};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{
    Access, Behaviour, OpenClawStats, SimOpenClawConfig, TranscriptRow,
    devices::Devices,
    flood::Flooding,
    frame::{Outgoing, event},
    jobs::Job,
    known_runs::KnownRuns,
    row::Row,
    session::Session,
};

/// State that all sandboxes of one simulator share.
pub(crate) struct Shared {
    pub(crate) config: SimOpenClawConfig,
    pub(crate) behaviour: RwLock<Behaviour>,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    sandboxes: RwLock<HashMap<String, Arc<Sandbox>>>,
}

impl Shared {
    pub(crate) fn new(config: SimOpenClawConfig) -> Self {
        Self {
            behaviour: RwLock::new(config.behaviour.clone()),
            config,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            sandboxes: RwLock::default(),
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<Arc<Sandbox>> {
        let sandboxes = self
            .sandboxes
            .read()
            .expect("no thread panics while it holds this lock");
        sandboxes.get(name).cloned()
    }

    /// The sandbox of this name. If it does not exist, it is created with a process that is ready.
    pub(crate) fn sandbox(self: &Arc<Self>, name: &str) -> Arc<Sandbox> {
        self.sandbox_or_new(name, Boot::first())
    }

    /// The sandbox of this name. If it does not exist, it is created without a process.
    pub(crate) fn volume(self: &Arc<Self>, name: &str) -> Arc<Sandbox> {
        self.sandbox_or_new(name, Boot::none())
    }

    fn sandbox_or_new(self: &Arc<Self>, name: &str, boot: Boot) -> Arc<Sandbox> {
        if let Some(sandbox) = self.find(name) {
            return sandbox;
        }
        let mut sandboxes = self
            .sandboxes
            .write()
            .expect("no thread panics while it holds this lock");
        let number = sandboxes.len();
        let new = || Arc::new(Sandbox::new(name, number, boot, Arc::clone(self)));
        Arc::clone(sandboxes.entry(name.to_owned()).or_insert_with(new))
    }

    pub(crate) fn all(&self) -> Vec<Arc<Sandbox>> {
        let sandboxes = self
            .sandboxes
            .read()
            .expect("no thread panics while it holds this lock");
        sandboxes.values().cloned().collect()
    }

    pub(crate) fn forget(&self, name: &str) {
        let mut sandboxes = self
            .sandboxes
            .write()
            .expect("no thread panics while it holds this lock");
        if let Some(sandbox) = sandboxes.remove(name) {
            sandbox.state().boot.cut.cancel();
        }
    }

    pub(crate) fn forget_all(&self) {
        let mut sandboxes = self
            .sandboxes
            .write()
            .expect("no thread panics while it holds this lock");
        for (_, sandbox) in sandboxes.drain() {
            sandbox.state().boot.cut.cancel();
        }
    }
}

/// One simulated OpenClaw with the data of its volume.
pub(crate) struct Sandbox {
    pub(crate) name: String,
    /// The number of sandboxes that were created before this one.
    pub(crate) number: usize,
    pub(crate) shared: Arc<Shared>,
    /// Notified whenever a run has ended.
    pub(crate) run_ended: Notify,
    state: Mutex<State>,
}

/// State behind one lock, which is never held across an await.
pub(crate) struct State {
    pub(crate) boot: Boot,
    pub(crate) connections: Connections,
    pub(crate) sessions: HashMap<String, Session>,
    pub(crate) known_runs: KnownRuns,
    pub(crate) devices: Devices,
    pub(crate) jobs: Vec<Job>,
    /// The latest `heartbeat` event of this process.
    pub(crate) last_heartbeat: serde_json::Value,
    pub(crate) stats: OpenClawStats,
    pub(crate) behaviour: Option<Behaviour>,
    pub(crate) flooding: Flooding,
    /// Who may connect, if it is not the same for all sandboxes.
    pub(crate) access: Option<Access>,
}

/// One run of the OpenClaw process.
pub(crate) struct Boot {
    pub(crate) id: String,
    /// The number of this boot. A task of an earlier boot must not change the state.
    pub(crate) number: u64,
    /// The number of the container that this process runs in; 0 if there is none.
    pub(crate) container: u64,
    pub(crate) phase: Phase,
    pub(crate) started: Instant,
    /// Cuts every connection of this boot.
    pub(crate) cut: CancellationToken,
    /// Silences every connection of this boot.
    pub(crate) hung: CancellationToken,
}

/// The state of an OpenClaw process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not running; new connections are dropped.
    Down,
    /// Listening, but not ready: `connect` is answered with `UNAVAILABLE`.
    Starting,
    Up,
    /// Stopping after SIGTERM: active runs continue, new ones are refused.
    Draining,
    /// Running, but without any progress: connections are accepted and nothing is answered.
    Hung,
}

impl Boot {
    pub(crate) fn first() -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            number: 1,
            container: 0,
            phase: Phase::Up,
            started: Instant::now(),
            cut: CancellationToken::new(),
            hung: CancellationToken::new(),
        }
    }

    /// The state before the first process.
    pub(crate) fn none() -> Self {
        Self {
            number: 0,
            phase: Phase::Down,
            ..Self::first()
        }
    }
}

impl Sandbox {
    fn new(name: &str, number: usize, boot: Boot, shared: Arc<Shared>) -> Self {
        let state = State {
            connections: Connections::default(),
            sessions: HashMap::new(),
            known_runs: KnownRuns::default(),
            devices: Devices::default(),
            jobs: Vec::new(),
            last_heartbeat: serde_json::Value::Null,
            stats: OpenClawStats {
                boots: boot.number,
                ..OpenClawStats::default()
            },
            behaviour: None,
            flooding: Flooding::default(),
            access: None,
            boot,
        };
        Self {
            name: name.to_owned(),
            number,
            shared,
            run_ended: Notify::new(),
            state: Mutex::new(state),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no thread panics while it holds this lock")
    }

    pub(crate) fn record(&self, kind: impl FnOnce() -> EntryKind) {
        self.shared.config.timeline.record(&self.name, kind);
    }

    pub(crate) fn stats(&self) -> OpenClawStats {
        let state = self.state();
        let connections = u64::try_from(state.connections.open.len()).unwrap_or(u64::MAX);
        OpenClawStats {
            connections,
            ..state.stats.clone()
        }
    }

    /// The rows of all sessions, ordered by session key and then by position.
    pub(crate) fn transcript(&self) -> Vec<TranscriptRow> {
        let state = self.state();
        let mut sessions: Vec<&Session> = state.sessions.values().collect();
        sessions.sort_by(|one, other| one.key.cmp(&other.key));
        sessions
            .into_iter()
            .flat_map(|session| session.rows().map(|row| transcript_row(&session.key, row)))
            .collect()
    }
}

impl State {
    /// The agent's own behaviour, or else the common one.
    pub(crate) fn behaviour(&self, shared: &Shared) -> Behaviour {
        self.behaviour.clone().unwrap_or_else(|| {
            let common = shared.behaviour.read();
            common
                .expect("no thread panics while it holds this lock")
                .clone()
        })
    }

    pub(crate) fn session(&mut self, key: &str) -> &mut Session {
        if !self.sessions.contains_key(key) {
            let session = Session::new(key, clock::now_ms());
            self.sessions.insert(key.to_owned(), session);
        }
        self.sessions
            .get_mut(key)
            .expect("the session has just been inserted")
    }
}

fn transcript_row(session: &str, row: &Row) -> TranscriptRow {
    TranscriptRow {
        session: session.to_owned(),
        id: row.id.clone(),
        role: if row.is_user() { "user" } else { "assistant" }.to_owned(),
        text: row.text().to_owned(),
        key: row.idempotency_key.as_deref().map(|key| {
            let key = key.strip_suffix(":user").unwrap_or(key);
            key.to_owned()
        }),
        run_id: row.run_id().map(str::to_owned),
        seq: row.seq(),
        stored_at_ms: row.recorded_at_ms,
        is_proactive: row.is_proactive(),
    }
}

/// The open connections of one sandbox, all past their handshake.
#[derive(Default)]
pub(crate) struct Connections {
    pub(crate) open: Vec<OpenConnection>,
}

/// The sending side of an open connection.
pub(crate) struct OpenConnection {
    pub(crate) id: u64,
    pub(crate) out: mpsc::Sender<Outgoing>,
    /// Cancelled when the queue of frames is full; the connection is then closed.
    pub(crate) too_slow: CancellationToken,
    /// Whether the client subscribed to new rows.
    pub(crate) is_subscribed: bool,
}

impl Connections {
    pub(crate) fn broadcast(&self, out: &Outgoing) {
        for connection in &self.open {
            connection.send(out.clone());
        }
    }

    /// Sends a new row to the clients that subscribed to rows.
    pub(crate) fn broadcast_row(&self, session: &Session, row: &Row, queue_mode: &str) {
        if !self.open.iter().any(|connection| connection.is_subscribed) {
            return;
        }
        let out = event("session.message", &row_event(session, row, queue_mode));
        for connection in self
            .open
            .iter()
            .filter(|connection| connection.is_subscribed)
        {
            connection.send(out.clone());
        }
    }

    pub(crate) fn tick(&self) {
        if !self.open.is_empty() {
            self.broadcast(&event("tick", &json!({ "ts": clock::now_ms() })));
        }
    }
}

/// A row with its session's data, as in `session.message` and in a history delta.
pub(crate) fn row_event(session: &Session, row: &Row, queue_mode: &str) -> serde_json::Value {
    let info = session.info(queue_mode);
    let mut payload = json!({
        "sessionKey": session.key,
        "agentId": "main",
        "message": row.json(),
        "messageId": row.id,
        "messageSeq": row.seq(),
        "session": info,
        "updatedAt": session.updated_at_ms,
        "sessionId": session.id,
        "kind": "direct",
        "status": info["status"],
        "hasActiveRun": session.is_busy(),
    });
    if row.is_user() {
        payload["senderIsOwner"] = json!(true);
    }
    payload
}

impl OpenConnection {
    /// Queues a frame. If the queue is full, the client is disconnected.
    pub(crate) fn send(&self, out: Outgoing) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.out.try_send(out) {
            self.too_slow.cancel();
        }
    }
}
