//! The end of a turn: with a reply, without one, or with an error.

use serde_json::{Value, json};
use sim_kit::timeline::EntryKind;

use super::{Turn, TurnContext};
use crate::{
    cron::JobRun,
    dispatch::start_next,
    events::empty_final,
    failure::Failure,
    frame::event,
    proactive::HEARTBEAT_OK,
    row::{Content, NewRow},
    sandbox::Connections,
    script::{self, TurnOutcome},
    session::Queued,
};

/// Longest preview of a heartbeat's text in its event, in characters.
const PREVIEW_CHARS: usize = 200;

/// Ends a turn with its reply, if it has one.
pub(super) fn end(turn: &Turn, context: &mut TurnContext, reply: Option<&str>) {
    let now_ms = context.now_ms;
    let is_quiet = turn.name.is_heartbeat && reply.is_none_or(|reply| reply == HEARTBEAT_OK);
    store_reply(turn, context, reply.filter(|_| !is_quiet));
    let steered = take_steered(turn, context);
    let (reply, whole) = match (reply, steer(turn, context, &steered)) {
        (reply, None) => (reply.map(str::to_owned), reply.map(str::to_owned)),
        (None, Some(last)) => (Some(last.clone()), Some(last)),
        (Some(first), Some(last)) => (Some(last.clone()), Some(format!("{first}\n\n{last}"))),
    };
    let started_at = finish_model_work(turn, context, &finishing(now_ms));
    let receipt = turn.name.receipt(reply.is_some(), &turn.name.run_id);
    let terminal_reply = match &reply {
        Some(text) => json!({ "disposition": "visible", "text": text }),
        None => json!({ "disposition": "silent" }),
    };
    let seq = context.next_seq(turn);
    let end = json!({
        "stopReason": "stop", "aborted": false, "livenessState": "working", "phase": "end",
        "endedAt": now_ms, "startedAt": started_at, "replayInvalid": false,
        "terminalReply": terminal_reply, "terminalReceipt": receipt, "executionSettled": true,
    });
    context.broadcast(&turn.name.lifecycle(seq, end, now_ms));
    let outcome = json!({
        "runId": turn.name.run_id, "status": "ok", "endedAt": now_ms,
        "terminalReceipt": receipt, "terminalReply": terminal_reply,
    });
    release_session(turn, context, &outcome);
    let shown = whole.as_deref().filter(|_| !is_quiet);
    turn.record(EntryKind::AnswerEnded);
    context.broadcast(&turn.name.final_event(seq, shown, now_ms));
    if turn.name.is_heartbeat {
        let heartbeat =
            broadcast_heartbeat(turn, &context.state.connections, shown, started_at, now_ms);
        context.state.last_heartbeat = heartbeat;
    }
    start_next(&turn.sandbox, context.state, &turn.name.session_key);
}

fn finishing(now_ms: i64) -> Value {
    json!({
        "phase": "finishing", "stopReason": "stop", "aborted": false,
        "livenessState": "working", "endedAt": now_ms,
    })
}

/// Broadcasts the end of the model's work; returns the time at which the run began.
fn finish_model_work(turn: &Turn, context: &mut TurnContext, finishing: &Value) -> i64 {
    let now_ms = context.now_ms;
    let seqs = [(); 3].map(|()| context.next_seq(turn));
    if !turn.is_terse() {
        if !turn.name.is_heartbeat {
            context.broadcast(&turn.name.usage(seqs[0], now_ms));
        }
        context.broadcast(&turn.name.lifecycle(seqs[1], finishing.clone(), now_ms));
        context.broadcast(&turn.name.model_released(seqs[2], now_ms));
    }
    let (session, _) = context.session_and_connections(turn);
    session
        .active
        .as_ref()
        .map_or(now_ms, |run| run.started_at_ms)
}

fn store_reply(turn: &Turn, context: &mut TurnContext, reply: Option<&str>) {
    let now_ms = context.now_ms;
    if turn.name.is_heartbeat {
        context.state.stats.proactive += u64::from(reply.is_some());
    }
    let (session, connections) = context.session_and_connections(turn);
    let Some(text) = reply else {
        session.append_hidden();
        return;
    };
    let new = NewRow {
        content: Content::Assistant {
            text: text.to_owned(),
            run_id: turn.name.run_id.clone(),
            is_heartbeat: turn.name.is_heartbeat,
        },
        idempotency_key: None,
        at_ms: now_ms,
        now_ms,
    };
    let row = session.append(new, turn.rows_kept());
    connections.broadcast_row(session, &row, turn.queue_mode());
}

fn take_steered(turn: &Turn, context: &mut TurnContext) -> Vec<Queued> {
    let (session, _) = context.session_and_connections(turn);
    let run = session.active.as_mut();
    run.map(|run| std::mem::take(&mut run.steered))
        .unwrap_or_default()
}

/// Answers the messages steered into the run: stores their rows, sends empty finals, and replies to the last.
fn steer(turn: &Turn, context: &mut TurnContext, steered: &[Queued]) -> Option<String> {
    let last = steered.last()?;
    let now_ms = context.now_ms;
    for input in steered {
        let new = NewRow {
            content: Content::User {
                text: input.message.clone(),
                steered_into: Some(turn.name.run_id.clone()),
                is_recovery: false,
            },
            idempotency_key: Some(format!("{}:user", input.key)),
            at_ms: input.sent_at_ms,
            now_ms,
        };
        let (session, connections) = context.session_and_connections(turn);
        let row = session.append(new, turn.rows_kept());
        connections.broadcast_row(session, &row, turn.queue_mode());
        context.broadcast(&empty_final(&input.key, &turn.name.session_key));
        let outcome = json!({ "runId": input.key, "status": "ok", "endedAt": now_ms });
        context.state.known_runs.end(&input.key, &outcome);
    }
    let reply = match script::plan(&last.message, turn.behaviour()).outcome {
        TurnOutcome::Reply(reply) => Some(reply),
        TurnOutcome::Silence | TurnOutcome::Failure(_) => None,
    };
    store_reply(turn, context, reply.as_deref());
    reply
}

/// Ends the run, so that the session can begin the next one.
fn release_session(turn: &Turn, context: &mut TurnContext, outcome: &Value) {
    let run_id = &turn.name.run_id;
    let now_ms = context.now_ms;
    let (session, _) = context.session_and_connections(turn);
    session.active = None;
    session.last_run_id = Some(run_id.clone());
    session.aborted_last_run = false;
    session.updated_at_ms = now_ms;
    context.state.stats.turns_ended += 1;
    context.state.known_runs.end(run_id, outcome);
    turn.sandbox.run_ended.notify_waiters();
}

/// Ends a turn with an error.
pub(super) fn fail(turn: &Turn, context: &mut TurnContext, failure: &Failure) {
    let now_ms = context.now_ms;
    let finishing = json!({
        "phase": "finishing", "error": failure.message, "errorObservation": failure.detail(),
        "aborted": false, "livenessState": "blocked", "endedAt": now_ms,
    });
    let started_at = finish_model_work(turn, context, &finishing);
    let seq = context.next_seq(turn);
    let mut data = json!({
        "phase": "error", "endedAt": now_ms, "startedAt": started_at, "error": failure.message,
        "aborted": false, "livenessState": "blocked", "executionSettled": true,
    });
    let mut outcome = json!({
        "runId": turn.name.run_id, "status": "error", "endedAt": now_ms,
        "error": failure.second_message,
    });
    if failure.reason.is_some() {
        data["errorObservation"] = failure.detail();
    } else {
        data["terminalReply"] = json!({ "disposition": "empty" });
        data["timeoutPhase"] = json!("provider");
        outcome["status"] = json!("timeout");
        outcome["startedAt"] = json!(started_at);
        outcome["terminalReply"] = json!({ "disposition": "empty" });
    }
    context.broadcast(&turn.name.lifecycle(seq, data, now_ms));
    release_session(turn, context, &outcome);
    let error = turn
        .name
        .error(seq, &failure.message, failure.kind, failure.detail());
    context.broadcast(&error);
    context.broadcast(&turn.name.second_error(&failure.second_message));
    start_next(&turn.sandbox, context.state, &turn.name.session_key);
}

/// Broadcasts the end of a heartbeat, and returns its event. The status is `skipped` although the text is in the transcript, because
/// OpenClaw itself delivers it nowhere.
fn broadcast_heartbeat(
    turn: &Turn,
    connections: &Connections,
    said: Option<&str>,
    began_ms: i64,
    now_ms: i64,
) -> Value {
    let mut payload = match said {
        Some(text) => json!({
            "status": "skipped",
            "preview": text.chars().take(PREVIEW_CHARS).collect::<String>(),
            "reason": "target-none",
            "hasMedia": false,
            "message": "Heartbeat delivery is disabled by configuration (target: none).",
        }),
        None => json!({
            "status": "ok-empty", "reason": "interval", "indicatorType": "ok", "silent": true,
        }),
    };
    payload["ts"] = json!(now_ms);
    payload["durationMs"] = json!(now_ms - began_ms);
    connections.broadcast(&event("heartbeat", &payload));
    if !turn.is_terse() {
        let run = JobRun::heartbeat(began_ms);
        connections.broadcast(&run.finished("heartbeat completed", "not-requested", now_ms));
    }
    payload
}
