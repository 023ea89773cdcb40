use std::sync::Arc;

use serde_json::{Value, json};
use sim_kit::{clock, timeline::EntryKind};

use super::{
    abort::{interrupt, stop_run},
    config::QueueMode,
    events::empty_final,
    frame::{Outgoing, Refusal, event},
    history::session_key,
    known_runs::KeyState,
    params::Params,
    row::{Content, NewRow},
    rpc::refuse_while_draining,
    sandbox::{Sandbox, State},
    session::Queued,
    turn::{Origin, Turn},
};

const SEND_PARAMS: [&str; 20] = [
    "sessionKey",
    "message",
    "idempotencyKey",
    "attachments",
    "queueMode",
    "timeoutMs",
    "thinking",
    "fastMode",
    "deliver",
    "workContext",
    "suppressCommandInterpretation",
    "sessionId",
    "agentId",
    "replyToId",
    "systemProvenanceReceipt",
    "systemInputProvenance",
    "originatingChannel",
    "originatingTo",
    "originatingAccountId",
    "originatingThreadId",
];

/// The answer to an accepted `chat.send`, and the step that follows it.
pub(crate) struct Accepted {
    pub(crate) answer: Value,
    pub(crate) follow_up: FollowUp,
}

/// The step after the answer to a `chat.send` is sent.
pub(crate) enum FollowUp {
    Nothing,
    Start(Box<Turn>),
    /// Broadcast a `final` event without a message.
    EmptyFinal(Outgoing),
}

impl FollowUp {
    pub(crate) fn run(self, sandbox: &Sandbox) {
        match self {
            Self::Nothing => {}
            Self::Start(turn) => turn.start(),
            Self::EmptyFinal(out) => sandbox.state().connections.broadcast(&out),
        }
    }
}

/// The validated parameters of a `chat.send`.
struct SendRequest<'a> {
    session_key: String,
    message: &'a str,
    key: &'a str,
    queue_mode: Option<QueueMode>,
    timeout_ms: Option<u64>,
}

impl<'a> SendRequest<'a> {
    fn read(params: &'a Value) -> Result<Self, Refusal> {
        if params["sessionKey"].as_str().is_none_or(str::is_empty) {
            let details =
                json!({ "code": "SESSION_MUTATION_TARGET_REQUIRED", "method": "chat.send" });
            return Err(Refusal::invalid("session mutation target is unavailable").with(details));
        }
        let params = Params::closed("chat.send", params, &SEND_PARAMS)?;
        params.require(&["message", "idempotencyKey"])?;
        let message = params.text("message")?;
        if message.is_empty() && !params.has("attachments") {
            return Err(Refusal::invalid("message or attachment required"));
        }
        let modes = ["steer", "followup", "collect", "interrupt"];
        let queue_mode = if params.has("queueMode") {
            QueueMode::of_name(params.one_of("queueMode", &modes)?)
        } else {
            None
        };
        Ok(Self {
            session_key: session_key(params.text("sessionKey")?)?,
            message,
            key: params.required_text("idempotencyKey")?,
            queue_mode,
            timeout_ms: params.number("timeoutMs")?,
        })
    }

    fn answered(&self, status: &str, follow_up: FollowUp) -> Accepted {
        Accepted {
            answer: json!({ "runId": self.key, "status": status }),
            follow_up,
        }
    }
}

/// Handles `chat.send`. A repeated idempotency key starts no second turn.
pub(crate) fn send(sandbox: &Arc<Sandbox>, params: &Value) -> Result<Accepted, Refusal> {
    let send = SendRequest::read(params)?;
    sandbox.record(|| EntryKind::PromptReceived(send.message.to_owned()));
    let mut guard = sandbox.state();
    let state = &mut *guard;
    refuse_while_draining(state.boot.phase, "chat.send")?;
    let remembered = sandbox.shared.config.remembered;
    match state
        .known_runs
        .state_of(send.key, send.message, remembered)
    {
        KeyState::New => Ok(accept(sandbox, state, &send)),
        KeyState::InFlight => {
            state.stats.repeated_in_flight += 1;
            Ok(send.answered("in_flight", FollowUp::Nothing))
        }
        KeyState::Ended => {
            state.stats.repeated_done += 1;
            Ok(send.answered("ok", FollowUp::Nothing))
        }
        KeyState::OutcomeForgotten => {
            state.stats.repeated_done += 1;
            let nothing = empty_final(send.key, &send.session_key);
            Ok(send.answered("started", FollowUp::EmptyFinal(nothing)))
        }
        KeyState::Conflict => {
            state.stats.conflicts += 1;
            Err(Refusal::invalid(
                "This message ID was already used for different input. Check the conversation \
                 history and use a new message ID to send again.",
            )
            .with(json!({ "reason": "chat-request-conflict" })))
        }
    }
}

fn accept(sandbox: &Arc<Sandbox>, state: &mut State, send: &SendRequest) -> Accepted {
    state.stats.sends += 1;
    state.known_runs.begin(send.key, send.message);
    let session = state.session(&send.session_key);
    let is_answered_again = session.has_user_row(send.key);
    let is_overlap = session.is_busy();
    let is_heartbeat = session.active.as_ref().is_some_and(|run| run.is_heartbeat);
    state.stats.answered_again += u64::from(is_answered_again);
    if !is_overlap {
        let turn = begin(sandbox, state, send);
        return send.answered("started", FollowUp::Start(Box::new(turn)));
    }
    // A client cannot know that a heartbeat has just begun, so this overlap is not its mistake.
    if is_heartbeat {
        state.stats.overlaps_with_heartbeats += 1;
    } else {
        state.stats.overlaps += 1;
    }
    let usual = state.behaviour(&sandbox.shared).queue_mode;
    let mode = send.queue_mode.unwrap_or(usual);
    if mode == QueueMode::Interrupt {
        interrupt(sandbox, state, &send.session_key);
        let turn = begin(sandbox, state, send);
        let mut accepted = send.answered("started", FollowUp::Start(Box::new(turn)));
        accepted.answer["interruptedActiveRun"] = json!(true);
        return accepted;
    }
    let queued = Queued {
        key: send.key.to_owned(),
        message: send.message.to_owned(),
        sent_at_ms: clock::now_ms(),
        is_collected: mode == QueueMode::Collect,
    };
    let session = state.session(&send.session_key);
    match &mut session.active {
        Some(run) if mode == QueueMode::Steer => {
            run.steered.push(queued);
            send.answered("started", FollowUp::Nothing)
        }
        _ => {
            session.waiting.push_back(queued);
            state.known_runs.end(
                send.key,
                &json!({ "runId": send.key, "status": "ok", "endedAt": clock::now_ms() }),
            );
            let nothing = empty_final(send.key, &send.session_key);
            send.answered("started", FollowUp::EmptyFinal(nothing))
        }
    }
}

fn begin(sandbox: &Arc<Sandbox>, state: &mut State, send: &SendRequest) -> Turn {
    let queued = Queued {
        key: send.key.to_owned(),
        message: send.message.to_owned(),
        sent_at_ms: clock::now_ms(),
        is_collected: false,
    };
    let origin = Origin::Sent {
        timeout_ms: send.timeout_ms,
    };
    Turn::occupy(
        sandbox,
        state,
        &send.session_key,
        send.key,
        origin,
        vec![queued],
    )
}

/// Handles `chat.abort`. Without a `runId` it also discards the messages that wait for the active run.
pub(crate) fn abort(sandbox: &Arc<Sandbox>, params: &Value) -> Result<Value, Refusal> {
    let params = Params::closed("chat.abort", params, &["sessionKey", "runId"])?;
    let key = session_key(params.required_text("sessionKey")?)?;
    let wanted = params.text("runId")?;
    let mut guard = sandbox.state();
    let state = &mut *guard;
    let session = state.session(&key);
    if wanted.is_empty() {
        session.waiting.clear();
    }
    let run = session.active.as_ref();
    let run = run.filter(|run| wanted.is_empty() || run.run_id == wanted);
    let run_id = run.map(|run| {
        sandbox.record(|| EntryKind::AnswerAborted(run.message.clone()));
        run.run_id.clone()
    });
    if run_id.is_some() {
        stop_run(sandbox, state, &key);
    }
    let run_ids: Vec<String> = run_id.into_iter().collect();
    Ok(json!({ "ok": true, "aborted": !run_ids.is_empty(), "runIds": run_ids }))
}

/// Handles `chat.inject`: stores a text as a message of the agent, without a run.
pub(crate) fn inject(sandbox: &Arc<Sandbox>, params: &Value) -> Result<Value, Refusal> {
    let params = Params::closed("chat.inject", params, &["sessionKey", "message", "label"])?;
    let key = session_key(params.required_text("sessionKey")?)?;
    let message = params.required_text("message")?;
    let text = match params.text("label")? {
        "" => message.to_owned(),
        label => format!("[{label}]\n\n{message}"),
    };
    let now_ms = clock::now_ms();
    let mut guard = sandbox.state();
    let state = &mut *guard;
    let kept = sandbox.shared.config.rows_per_session;
    let new = NewRow {
        content: Content::Injected { text },
        idempotency_key: None,
        at_ms: now_ms,
        now_ms,
    };
    let row = state.session(&key).append(new, kept);
    let mut message = row.json();
    if let Value::Object(map) = &mut message {
        map.remove("__openclaw");
    }
    let payload = json!({
        "runId": format!("inject-{}", row.id),
        "sessionKey": key,
        "agentId": "main",
        "seq": 0,
        "state": "final",
        "message": message,
    });
    state.connections.broadcast(&event("chat", &payload));
    Ok(json!({ "ok": true, "messageId": row.id }))
}
