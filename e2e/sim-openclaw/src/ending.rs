//! How a turn ends: with a reply, in silence, or with an error.

use serde_json::{Value, json};
use sim_kit::timeline::EntryKind;

use super::{
    cron::JobRun,
    events::empty_final,
    failure::Failure,
    frame::event,
    next::start_next,
    proactive::HEARTBEAT_OK,
    row::{Content, NewRow},
    sandbox::Room,
    script::{self, Outcome},
    session::Queued,
    turn::{Scene, Turn},
};

/// Characters of a heartbeat's text its event shows.
const PREVIEW_CHARS: usize = 200;

/// Ends a turn with what it said, or with nothing.
pub(crate) fn end(turn: &Turn, scene: &mut Scene, reply: Option<&str>) {
    let now_ms = scene.now_ms;
    let is_quiet = turn.name.is_heartbeat && reply.is_none_or(|reply| reply == HEARTBEAT_OK);
    store_reply(turn, scene, reply.filter(|_| !is_quiet));
    let steered = take_steered(turn, scene);
    let (reply, whole) = match (reply, steer(turn, scene, &steered)) {
        (reply, None) => (reply.map(str::to_owned), reply.map(str::to_owned)),
        (None, Some(last)) => (Some(last.clone()), Some(last)),
        (Some(first), Some(last)) => (Some(last.clone()), Some(format!("{first}\n\n{last}"))),
    };
    let started_at = close_down(turn, scene, &finishing(now_ms));
    let receipt = turn.name.receipt(reply.is_some(), &turn.name.run_id);
    let terminal_reply = match &reply {
        Some(text) => json!({ "disposition": "visible", "text": text }),
        None => json!({ "disposition": "silent" }),
    };
    let seq = scene.next_seq(turn);
    let end = json!({
        "stopReason": "stop", "aborted": false, "livenessState": "working", "phase": "end",
        "endedAt": now_ms, "startedAt": started_at, "replayInvalid": false,
        "terminalReply": terminal_reply, "terminalReceipt": receipt, "executionSettled": true,
    });
    scene.tell(&turn.name.lifecycle(seq, end, now_ms));
    let outcome = json!({
        "runId": turn.name.run_id, "status": "ok", "endedAt": now_ms,
        "terminalReceipt": receipt, "terminalReply": terminal_reply,
    });
    leave(turn, scene, &outcome);
    let shown = whole.as_deref().filter(|_| !is_quiet);
    turn.notes(EntryKind::AnswerEnded);
    scene.tell(&turn.name.last_word(seq, shown, now_ms));
    if turn.name.is_heartbeat {
        tell_heartbeat(turn, &scene.state.room, shown, started_at, now_ms);
    }
    start_next(&turn.sandbox, scene.state, &turn.name.session_key);
}

fn finishing(now_ms: i64) -> Value {
    json!({
        "phase": "finishing", "stopReason": "stop", "aborted": false,
        "livenessState": "working", "endedAt": now_ms,
    })
}

/// Usage, the end of the model's work, and when the run began.
fn close_down(turn: &Turn, scene: &mut Scene, finishing: &Value) -> i64 {
    let now_ms = scene.now_ms;
    let seqs = [(); 3].map(|()| scene.next_seq(turn));
    if !turn.is_terse() {
        if !turn.name.is_heartbeat {
            scene.tell(&turn.name.usage(seqs[0], now_ms));
        }
        scene.tell(&turn.name.lifecycle(seqs[1], finishing.clone(), now_ms));
        scene.tell(&turn.name.model_released(seqs[2], now_ms));
    }
    let (session, _) = scene.session_and_room(turn);
    session
        .active
        .as_ref()
        .map_or(now_ms, |run| run.started_at_ms)
}

fn store_reply(turn: &Turn, scene: &mut Scene, reply: Option<&str>) {
    let now_ms = scene.now_ms;
    if turn.name.is_heartbeat {
        scene.state.stats.proactive += u64::from(reply.is_some());
    }
    let (session, room) = scene.session_and_room(turn);
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
    let row = session.append(new, turn.kept());
    room.tell_of_row(session, &row, turn.queue_mode());
}

fn take_steered(turn: &Turn, scene: &mut Scene) -> Vec<Queued> {
    let (session, _) = scene.session_and_room(turn);
    let run = session.active.as_mut();
    run.map(|run| std::mem::take(&mut run.steered))
        .unwrap_or_default()
}

/// Works steered messages into the run: their rows, empty finals, and one reply to the last.
fn steer(turn: &Turn, scene: &mut Scene, steered: &[Queued]) -> Option<String> {
    let last = steered.last()?;
    let now_ms = scene.now_ms;
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
        let (session, room) = scene.session_and_room(turn);
        let row = session.append(new, turn.kept());
        room.tell_of_row(session, &row, turn.queue_mode());
        scene.tell(&empty_final(&input.key, &turn.name.session_key));
        let outcome = json!({ "runId": input.key, "status": "ok", "endedAt": now_ms });
        scene.state.known.end(&input.key, &outcome);
    }
    let reply = match script::plan(&last.message, turn.behaviour()).outcome {
        Outcome::Reply(reply) => Some(reply),
        Outcome::Silence | Outcome::Failure(_) => None,
    };
    store_reply(turn, scene, reply.as_deref());
    reply
}

/// Leaves the session to the next.
fn leave(turn: &Turn, scene: &mut Scene, outcome: &Value) {
    let run_id = &turn.name.run_id;
    let now_ms = scene.now_ms;
    let (session, _) = scene.session_and_room(turn);
    session.active = None;
    session.last_run_id = Some(run_id.clone());
    session.aborted_last_run = false;
    session.updated_at_ms = now_ms;
    scene.state.stats.turns_ended += 1;
    scene.state.known.end(run_id, outcome);
    turn.sandbox.run_ended.notify_waiters();
}

/// Ends a turn with an error.
pub(crate) fn fail(turn: &Turn, scene: &mut Scene, failure: &Failure) {
    let now_ms = scene.now_ms;
    let finishing = json!({
        "phase": "finishing", "error": failure.words, "errorObservation": failure.detail(),
        "aborted": false, "livenessState": "blocked", "endedAt": now_ms,
    });
    let started_at = close_down(turn, scene, &finishing);
    let seq = scene.next_seq(turn);
    let mut data = json!({
        "phase": "error", "endedAt": now_ms, "startedAt": started_at, "error": failure.words,
        "aborted": false, "livenessState": "blocked", "executionSettled": true,
    });
    let mut outcome = json!({
        "runId": turn.name.run_id, "status": "error", "endedAt": now_ms,
        "error": failure.second_words,
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
    scene.tell(&turn.name.lifecycle(seq, data, now_ms));
    leave(turn, scene, &outcome);
    let error = turn
        .name
        .error(seq, &failure.words, failure.kind, failure.detail());
    scene.tell(&error);
    scene.tell(&turn.name.error_again(&failure.second_words));
    start_next(&turn.sandbox, scene.state, &turn.name.session_key);
}

/// Tells that a heartbeat is over: what it said stands in the transcript and went nowhere else.
fn tell_heartbeat(turn: &Turn, room: &Room, said: Option<&str>, began_ms: i64, now_ms: i64) {
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
    room.tell(&event("heartbeat", &payload));
    if !turn.is_terse() {
        let run = JobRun::heartbeat(began_ms);
        room.tell(&run.finished("heartbeat completed", "not-requested", now_ms));
    }
}
