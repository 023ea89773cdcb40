//! What an agent says without being asked: heartbeats, which are turns of the main session, and
//! reminders, which run beside it and leave their result there.

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

/// The older token for nothing to say. Unlike `NO_REPLY` the end of the run calls it visible.
pub(crate) const HEARTBEAT_OK: &str = "HEARTBEAT_OK";

/// What a heartbeat poll makes the agent say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heartbeat {
    /// Something the person should hear.
    Alert(String),
    /// Nothing: `NO_REPLY`.
    NoReply,
    /// Nothing, in the older words: `HEARTBEAT_OK`.
    HeartbeatOk,
}

/// What became of a heartbeat that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeartbeatOutcome {
    /// Its turn began; the text is in the transcript when the turn ends.
    Began,
    /// A turn occupied the session; the poll is left out, not put off.
    Skipped,
    /// The gateway is not up.
    Away,
}

/// Polls an agent, as its schedule would.
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
        state.room.tell(&event("heartbeat", &payload));
        return HeartbeatOutcome::Skipped;
    }
    begin(sandbox, state, heartbeat);
    HeartbeatOutcome::Began
}

fn begin(sandbox: &Arc<Sandbox>, state: &mut State, heartbeat: &Heartbeat) {
    let now_ms = clock::now_ms();
    if sandbox.shared.config.events == EventDetail::Full {
        state.room.tell(&JobRun::heartbeat(now_ms).started());
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
    /// The message that makes the script do it.
    fn directive(&self) -> String {
        match self {
            Self::Alert(text) => format!("[[SAY {text}]]"),
            Self::NoReply => "[[SILENT]]".to_owned(),
            Self::HeartbeatOk => format!("[[SAY {HEARTBEAT_OK}]]"),
        }
    }
}

/// A reminder the agent had scheduled is due: its run has a session of its own and is over at once, its
/// result stands in the main session, whatever goes on there. `false` when the gateway is not up.
pub(crate) fn remind(sandbox: &Sandbox, text: &str) -> bool {
    let mut guard = sandbox.state();
    let state = &mut *guard;
    if state.boot.phase != Phase::Up {
        return false;
    }
    let now_ms = clock::now_ms();
    let job_id = Uuid::new_v4().to_string();
    let run = JobRun::reminder(&job_id, MAIN_KEY, now_ms);
    let is_full = sandbox.shared.config.events == EventDetail::Full;
    state.room.tell(&run.started());
    if is_full {
        tell_own_session(state, &job_id, text, now_ms);
    }
    let run_id = format!("cron:{job_id}:{now_ms}");
    let result = NewRow {
        idempotency_key: Some(format!("cron-current-completion:{run_id}")),
        content: Content::Automation {
            text: text.to_owned(),
            job_id,
            run_id,
        },
        at_ms: now_ms,
        now_ms,
    };
    store(sandbox, state, result);
    state.room.tell(&run.finished(text, "delivered", now_ms));
    if is_full {
        state.room.tell(&run.removed());
    }
    true
}

fn store(sandbox: &Sandbox, state: &mut State, result: NewRow) {
    let mode = state.behaviour(&sandbox.shared).queue_mode.name();
    let kept = sandbox.shared.config.rows_per_session;
    let row = state.session(MAIN_KEY).append(result, kept);
    state.stats.proactive += 1;
    if let Some(session) = state.sessions.get(MAIN_KEY) {
        state.room.tell_of_row(session, &row, mode);
    }
}

/// The run tells of itself under the key of its own session, which is gone after it: whoever forwards by
/// `chat` finals says it twice.
fn tell_own_session(state: &State, job_id: &str, text: &str, now_ms: i64) {
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
    state.room.tell_of_row(&session, &row, "followup");
    state.room.tell(&name.last_word(1, Some(text), now_ms));
}
