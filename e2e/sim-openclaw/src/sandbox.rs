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
    Behaviour, OpenClawStats, SimOpenClawConfig, TranscriptRow,
    devices::Devices,
    frame::{Out, event},
    known::KnownRuns,
    row::Row,
    session::Session,
};

/// What all sandboxes of one simulator share.
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
        let sandboxes = self.sandboxes.read().expect("nothing panics with the map");
        sandboxes.get(name).cloned()
    }

    /// The sandbox of this name; it comes into being when it is first asked for.
    pub(crate) fn sandbox(self: &Arc<Self>, name: &str) -> Arc<Sandbox> {
        if let Some(sandbox) = self.find(name) {
            return sandbox;
        }
        let mut sandboxes = self.sandboxes.write().expect("nothing panics with the map");
        let number = sandboxes.len();
        let new = || Arc::new(Sandbox::new(name, number, Arc::clone(self)));
        Arc::clone(sandboxes.entry(name.to_owned()).or_insert_with(new))
    }

    pub(crate) fn all(&self) -> Vec<Arc<Sandbox>> {
        let sandboxes = self.sandboxes.read().expect("nothing panics with the map");
        sandboxes.values().cloned().collect()
    }

    pub(crate) fn forget_all(&self) {
        let mut sandboxes = self.sandboxes.write().expect("nothing panics with the map");
        for (_, sandbox) in sandboxes.drain() {
            sandbox.state().boot.cut.cancel();
        }
    }
}

/// One virtual gateway with what its volume holds.
pub(crate) struct Sandbox {
    pub(crate) name: String,
    /// How many there were before it.
    pub(crate) number: usize,
    pub(crate) shared: Arc<Shared>,
    /// Rings whenever a run has ended.
    pub(crate) run_ended: Notify,
    state: Mutex<State>,
}

/// What one lock protects; never held across an await.
pub(crate) struct State {
    pub(crate) boot: Boot,
    pub(crate) room: Room,
    pub(crate) sessions: HashMap<String, Session>,
    pub(crate) known: KnownRuns,
    pub(crate) devices: Devices,
    pub(crate) stats: OpenClawStats,
    pub(crate) behaviour: Option<Behaviour>,
}

/// One life of the gateway process.
pub(crate) struct Boot {
    pub(crate) id: String,
    /// Counts boots; tasks of an earlier one must not touch anything.
    pub(crate) number: u64,
    pub(crate) phase: Phase,
    pub(crate) started: Instant,
    /// Cuts every connection of this life.
    pub(crate) cut: CancellationToken,
}

/// Where a gateway process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not running: connections are refused.
    Down,
    /// Listening, but not ready.
    Starting,
    /// Ready.
    Up,
    /// Told to stop; runs still end.
    Draining,
}

impl Boot {
    pub(crate) fn first() -> Self {
        Self {
            id: Uuid::new_v4().to_string(),
            number: 1,
            phase: Phase::Up,
            started: Instant::now(),
            cut: CancellationToken::new(),
        }
    }
}

impl Sandbox {
    fn new(name: &str, number: usize, shared: Arc<Shared>) -> Self {
        let state = State {
            boot: Boot::first(),
            room: Room::default(),
            sessions: HashMap::new(),
            known: KnownRuns::default(),
            devices: Devices::default(),
            stats: OpenClawStats {
                boots: 1,
                ..OpenClawStats::default()
            },
            behaviour: None,
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
        self.state.lock().expect("nothing panics with the state")
    }

    /// Notes what happens, if that is wanted.
    pub(crate) fn notes(&self, what: impl FnOnce() -> EntryKind) {
        self.shared.config.timeline.record(&self.name, what);
    }

    pub(crate) fn stats(&self) -> OpenClawStats {
        let state = self.state();
        let connections = u64::try_from(state.room.members.len()).unwrap_or(u64::MAX);
        OpenClawStats {
            connections,
            ..state.stats.clone()
        }
    }

    /// Rows of all sessions, session by session, in order.
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
    /// How the agent behaves at present.
    pub(crate) fn behaviour(&self, shared: &Shared) -> Behaviour {
        self.behaviour.clone().unwrap_or_else(|| {
            let common = shared.behaviour.read();
            common.expect("nothing panics with it").clone()
        })
    }

    pub(crate) fn session(&mut self, key: &str) -> &mut Session {
        if !self.sessions.contains_key(key) {
            let session = Session::new(key, clock::now_ms());
            self.sessions.insert(key.to_owned(), session);
        }
        self.sessions.get_mut(key).expect("just put there")
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

/// Everyone connected.
#[derive(Default)]
pub(crate) struct Room {
    pub(crate) members: Vec<Member>,
}

/// One connection.
pub(crate) struct Member {
    pub(crate) id: u64,
    pub(crate) out: mpsc::Sender<Out>,
    /// Rings when it read too slowly.
    pub(crate) too_slow: CancellationToken,
    /// Whether it also wants to hear of rows and sessions.
    pub(crate) is_subscribed: bool,
}

impl Room {
    pub(crate) fn tell(&self, out: &Out) {
        for member in &self.members {
            member.send(out.clone());
        }
    }

    /// Tells those who subscribed to rows.
    pub(crate) fn tell_of_row(&self, session: &Session, row: &Row, queue_mode: &str) {
        if !self.members.iter().any(|member| member.is_subscribed) {
            return;
        }
        let out = event("session.message", &row_event(session, row, queue_mode));
        for member in self.members.iter().filter(|member| member.is_subscribed) {
            member.send(out.clone());
        }
    }

    pub(crate) fn tick(&self) {
        if !self.members.is_empty() {
            self.tell(&event("tick", &json!({ "ts": clock::now_ms() })));
        }
    }
}

/// A row with its session around it: `session.message`, and the entries of a history delta.
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

impl Member {
    /// Queues a frame; whoever does not read is thrown out.
    pub(crate) fn send(&self, out: Out) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.out.try_send(out) {
            self.too_slow.cancel();
        }
    }
}
