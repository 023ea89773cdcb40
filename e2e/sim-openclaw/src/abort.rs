//! Ends runs before they are complete.

use std::sync::Arc;

use serde_json::json;
use sim_kit::clock;

use super::{
    dispatch::start_next,
    events::{RunName, empty_final},
    row::{Content, NewRow},
    sandbox::{Sandbox, State},
    session::ActiveRun,
};

/// Stops the active run after `chat.abort` and stores its text so far.
pub(crate) fn stop_run(sandbox: &Arc<Sandbox>, state: &mut State, session_key: &str) {
    let kept = sandbox.shared.config.rows_per_session;
    let Some((name, run)) = take_active_run(state, session_key) else {
        return;
    };
    let now_ms = clock::now_ms();
    let seq = run.seq + 1;
    state
        .connections
        .broadcast(&name.aborted(seq, "rpc", &run.text_so_far, now_ms));
    let end = json!({
        "phase": "end", "status": "cancelled", "aborted": true, "stopReason": "rpc",
        "startedAt": run.started_at_ms, "endedAt": now_ms,
    });
    state
        .connections
        .broadcast(&name.lifecycle(seq, end, now_ms));
    if !run.text_so_far.is_empty() {
        let row = NewRow {
            content: Content::Aborted {
                text: run.text_so_far,
                run_id: run.run_id.clone(),
            },
            idempotency_key: Some(format!("{}:assistant", run.run_id)),
            at_ms: now_ms,
            now_ms,
        };
        state.session(session_key).append(row, kept);
    }
    state.known_runs.end(
        &run.run_id,
        &json!({
            "runId": run.run_id, "status": "error", "endedAt": now_ms, "error": "aborted",
            "stopReason": "rpc",
        }),
    );
    state.stats.turns_ended += 1;
    sandbox.run_ended.notify_waiters();
    start_next(sandbox, state, session_key);
}

/// Stops the active run because a message arrived in queue mode `interrupt`.
pub(crate) fn interrupt(sandbox: &Arc<Sandbox>, state: &mut State, session_key: &str) {
    let Some((name, run)) = take_active_run(state, session_key) else {
        return;
    };
    let now_ms = clock::now_ms();
    let outcome = if run.is_user_row_stored {
        let error = "Reply operation aborted by user";
        let seq = run.seq + 1;
        let data = json!({
            "phase": "error", "endedAt": now_ms, "startedAt": run.started_at_ms, "error": error,
            "aborted": true, "stopReason": "aborted", "executionSettled": true,
        });
        state
            .connections
            .broadcast(&name.lifecycle(seq, data, now_ms));
        state
            .connections
            .broadcast(&name.aborted(seq, "aborted", &run.text_so_far, now_ms));
        json!({
            "runId": run.run_id, "status": "error", "startedAt": run.started_at_ms,
            "endedAt": now_ms, "error": error, "stopReason": "aborted",
        })
    } else {
        state
            .connections
            .broadcast(&empty_final(&run.run_id, session_key));
        json!({ "runId": run.run_id, "status": "ok", "endedAt": now_ms })
    };
    state.known_runs.end(&run.run_id, &outcome);
    state.stats.turns_ended += 1;
    sandbox.run_ended.notify_waiters();
}

fn take_active_run(state: &mut State, session_key: &str) -> Option<(RunName, ActiveRun)> {
    let session = state.session(session_key);
    let run = session.active.take()?;
    run.stop.cancel();
    session.last_run_id = Some(run.run_id.clone());
    session.aborted_last_run = true;
    let name = RunName {
        run_id: run.run_id.clone(),
        session_key: session_key.to_owned(),
        session_id: session.id.clone(),
        is_dispatched: false,
        is_heartbeat: false,
    };
    Some((name, run))
}
