use std::sync::Arc;

use serde_json::{Value, json};
use sim_kit::{clock, timeline::EntryKind};

use super::{
    config::QueueMode,
    events::empty_final,
    frame::{Out, Refusal, event},
    halt::{interrupt, stop_run},
    history::session_key,
    known::Recall,
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

/// A `chat.send` that was taken: the answer, and what follows once it is given.
pub(crate) struct Taken {
    pub(crate) answer: Value,
    pub(crate) then: Then,
}

/// What follows an answer.
pub(crate) enum Then {
    Nothing,
    Start(Box<Turn>),
    /// A `final` without a message.
    SayNothing(Out),
}

impl Then {
    pub(crate) fn go_on(self, sandbox: &Sandbox) {
        match self {
            Self::Nothing => {}
            Self::Start(turn) => turn.start(),
            Self::SayNothing(out) => sandbox.state().room.tell(&out),
        }
    }
}

/// A `chat.send`, read.
struct Send<'a> {
    session_key: String,
    message: &'a str,
    key: &'a str,
    queue_mode: Option<QueueMode>,
    timeout_ms: Option<u64>,
}

impl<'a> Send<'a> {
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

    fn answered(&self, status: &str, then: Then) -> Taken {
        Taken {
            answer: json!({ "runId": self.key, "status": status }),
            then,
        }
    }
}

/// `chat.send`.
pub(crate) fn send(sandbox: &Arc<Sandbox>, params: &Value) -> Result<Taken, Refusal> {
    let send = Send::read(params)?;
    sandbox.notes(|| EntryKind::PromptReceived(send.message.to_owned()));
    let mut guard = sandbox.state();
    let state = &mut *guard;
    refuse_while_draining(state.boot.phase, "chat.send")?;
    let remembered = sandbox.shared.config.remembered;
    match state.known.recall(send.key, send.message, remembered) {
        Recall::Fresh => Ok(take(sandbox, state, &send)),
        Recall::InFlight => {
            state.stats.repeated_in_flight += 1;
            Ok(send.answered("in_flight", Then::Nothing))
        }
        Recall::Done => {
            state.stats.repeated_done += 1;
            Ok(send.answered("ok", Then::Nothing))
        }
        Recall::Stale => {
            state.stats.repeated_done += 1;
            let nothing = empty_final(send.key, &send.session_key);
            Ok(send.answered("started", Then::SayNothing(nothing)))
        }
        Recall::Conflict => {
            state.stats.conflicts += 1;
            Err(Refusal::invalid(
                "This message ID was already used for different input. Check the conversation \
                 history and use a new message ID to send again.",
            )
            .with(json!({ "reason": "chat-request-conflict" })))
        }
    }
}

fn take(sandbox: &Arc<Sandbox>, state: &mut State, send: &Send) -> Taken {
    state.stats.sends += 1;
    state.known.begin(send.key, send.message);
    let session = state.session(&send.session_key);
    let is_answered_again = session.has_user_row(send.key);
    let is_overlap = session.is_busy();
    let is_heartbeat = session.active.as_ref().is_some_and(|run| run.is_heartbeat);
    state.stats.answered_again += u64::from(is_answered_again);
    if !is_overlap {
        let turn = begin(sandbox, state, send);
        return send.answered("started", Then::Start(Box::new(turn)));
    }
    // That a heartbeat has begun cannot be known in time.
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
        let mut taken = send.answered("started", Then::Start(Box::new(turn)));
        taken.answer["interruptedActiveRun"] = json!(true);
        return taken;
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
            send.answered("started", Then::Nothing)
        }
        _ => {
            session.waiting.push_back(queued);
            state.known.end(
                send.key,
                &json!({ "runId": send.key, "status": "ok", "endedAt": clock::now_ms() }),
            );
            let nothing = empty_final(send.key, &send.session_key);
            send.answered("started", Then::SayNothing(nothing))
        }
    }
}

fn begin(sandbox: &Arc<Sandbox>, state: &mut State, send: &Send) -> Turn {
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

/// `chat.abort`.
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
        sandbox.notes(|| EntryKind::AnswerAborted(run.message.clone()));
        run.run_id.clone()
    });
    if run_id.is_some() {
        stop_run(sandbox, state, &key);
    }
    let run_ids: Vec<String> = run_id.into_iter().collect();
    Ok(json!({ "ok": true, "aborted": !run_ids.is_empty(), "runIds": run_ids }))
}

/// `chat.inject`: puts words into the agent's mouth.
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
    state.room.tell(&event("chat", &payload));
    Ok(json!({ "ok": true, "messageId": row.id }))
}
