//! Proactive texts of an agent. A heartbeat is a turn of the main session; a reminder runs in a session of
//! its own and leaves its result in the main session.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sim_kit::clock;
use uuid::Uuid;

use super::{
    EventDetail,
    cron::JobRun,
    events::RunName,
    frame::event,
    row::{Content, NewRow},
    sandbox::{Phase, Sandbox, State},
    session::{MAIN_KEY, Queued, Session},
    turn::{Origin, Turn},
};

/// The older form of `NO_REPLY`. The end of the run reports it as a visible reply.
pub(crate) const HEARTBEAT_OK: &str = "HEARTBEAT_OK";

/// The agent's answer to a heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heartbeat {
    /// A text for the user.
    Alert(String),
    /// `NO_REPLY`: the agent has nothing to say.
    NoReply,
    /// `HEARTBEAT_OK`, the older form of `NO_REPLY`.
    HeartbeatOk,
}

/// The outcome of a heartbeat that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeartbeatOutcome {
    /// A turn began; its text is in the transcript when the turn has ended.
    Began,
    /// A turn occupied the session; the heartbeat is dropped, not postponed.
    Skipped,
    /// OpenClaw is not running or not ready.
    Away,
}

/// Begins the heartbeat that a client asked for with `wake`.
pub(crate) fn wake(sandbox: &Arc<Sandbox>) {
    let answer = sandbox.state().behaviour(&sandbox.shared).heartbeat;
    heartbeat(sandbox, &answer);
}

/// Runs a heartbeat as if it were due.
pub(crate) fn heartbeat(sandbox: &Arc<Sandbox>, heartbeat: &Heartbeat) -> HeartbeatOutcome {
    let mut guard = sandbox.state();
    let state = &mut *guard;
    if state.boot.phase != Phase::Up {
        return HeartbeatOutcome::Away;
    }
    if state.session(MAIN_KEY).is_busy() {
        state.stats.heartbeats_skipped += 1;
        let payload = json!({
            "ts": clock::now_ms(), "status": "skipped", "reason": "requests-in-flight",
        });
        state.connections.broadcast(&event("heartbeat", &payload));
        return HeartbeatOutcome::Skipped;
    }
    begin(sandbox, state, heartbeat);
    HeartbeatOutcome::Began
}

fn begin(sandbox: &Arc<Sandbox>, state: &mut State, heartbeat: &Heartbeat) {
    let now_ms = clock::now_ms();
    if sandbox.shared.config.events == EventDetail::Full {
        state
            .connections
            .broadcast(&JobRun::heartbeat(now_ms).started());
    }
    state.stats.heartbeats += 1;
    let poll = Queued {
        key: String::new(),
        message: heartbeat.directive(),
        sent_at_ms: now_ms,
        is_collected: false,
    };
    let run_id = Uuid::new_v4().to_string();
    let origin = Origin::Heartbeat;
    Turn::occupy(sandbox, state, MAIN_KEY, &run_id, origin, vec![poll]).start();
}

impl Heartbeat {
    /// The directive that makes the simulated agent give this answer.
    fn directive(&self) -> String {
        match self {
            Self::Alert(text) => format!("[[SAY {text}]]"),
            Self::NoReply => "[[SILENT]]".to_owned(),
            Self::HeartbeatOk => format!("[[SAY {HEARTBEAT_OK}]]"),
        }
    }
}

/// Runs a reminder as if it were due. It ends at once, in a session of its own, and its result is stored in
/// the main session even if a run is active there. `false` if OpenClaw is not ready.
pub(crate) fn remind(sandbox: &Sandbox, text: &str) -> bool {
    let mut guard = sandbox.state();
    let state = &mut *guard;
    if state.boot.phase != Phase::Up {
        return false;
    }
    run_job(sandbox, state, &Uuid::new_v4().to_string(), text);
    true
}

/// Runs a job whose agent writes `text`.
pub(crate) fn run_job(sandbox: &Sandbox, state: &mut State, job_id: &str, text: &str) {
    let now_ms = clock::now_ms();
    let run = JobRun::reminder(job_id, MAIN_KEY, now_ms);
    let is_full = sandbox.shared.config.events == EventDetail::Full;
    state.connections.broadcast(&run.started());
    if is_full {
        broadcast_own_session(state, job_id, text, now_ms);
    }
    let run_id = format!("cron:{job_id}:{now_ms}");
    let result = NewRow {
        idempotency_key: Some(format!("cron-current-completion:{run_id}")),
        content: Content::Automation {
            text: text.to_owned(),
            job_id: job_id.to_owned(),
            run_id,
        },
        at_ms: now_ms,
        now_ms,
    };
    store(sandbox, state, result);
    state
        .connections
        .broadcast(&run.finished(text, "delivered", now_ms));
    if is_full {
        state.connections.broadcast(&run.removed());
    }
}

fn store(sandbox: &Sandbox, state: &mut State, result: NewRow) {
    let mode = state.behaviour(&sandbox.shared).queue_mode.name();
    let kept = sandbox.shared.config.rows_per_session;
    let row = state.session(MAIN_KEY).append(result, kept);
    state.stats.proactive += 1;
    if let Some(session) = state.sessions.get(MAIN_KEY) {
        state.connections.broadcast_row(session, &row, mode);
    }
}

/// Broadcasts the events of the reminder's own session. A client that delivers every `chat` final would
/// deliver the text twice: once from here and once from the main session.
fn broadcast_own_session(state: &State, job_id: &str, text: &str, now_ms: i64) {
    let key = format!("agent:main:cron:{job_id}:run:{}", Uuid::new_v4());
    let mut session = Session::new(&key, now_ms);
    let name = RunName {
        run_id: Uuid::new_v4().to_string(),
        session_key: key,
        session_id: session.id.clone(),
        is_dispatched: false,
        is_heartbeat: false,
    };
    let said = NewRow {
        content: Content::Assistant {
            text: text.to_owned(),
            run_id: name.run_id.clone(),
            is_heartbeat: false,
        },
        idempotency_key: None,
        at_ms: now_ms,
        now_ms,
    };
    let row = session.append(said, 1);
    state.connections.broadcast_row(&session, &row, "followup");
    state
        .connections
        .broadcast(&name.final_event(1, Some(text), now_ms));
}
