use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use sim_kit::clock;
use tokio::{sync::mpsc, time::Instant};

use super::{
    chat,
    frame::{Out, Refusal, Request, response},
    history,
    params::Params,
    sandbox::{Phase, Sandbox},
    session,
};

/// Longest an `agent.wait` is held, in milliseconds.
const LONGEST_WAIT_MS: u64 = 600_000;

/// Whoever asks.
pub(crate) struct Caller {
    pub(crate) id: u64,
    pub(crate) scopes: Vec<String>,
    pub(crate) out: mpsc::Sender<Out>,
}

/// Takes a frame of a client. What is no request is ignored, as by the real gateway.
pub(crate) fn hear(sandbox: &Arc<Sandbox>, caller: &Caller, text: &str) {
    let Ok(request) = serde_json::from_str::<Request>(text) else {
        if text.contains("\"method\"") {
            let message = "invalid request frame: must have required property 'id'";
            caller.answer("invalid", &Err(Refusal::invalid(message)));
        }
        return;
    };
    if request.method == "agent.wait" {
        wait(sandbox, caller, request);
        return;
    }
    if request.method == "chat.send" {
        let sent = caller
            .needs("operator.write")
            .and_then(|()| chat::send(sandbox, &request.params));
        match sent {
            Ok(sent) => {
                caller.answer(&request.id, &Ok(sent.answer));
                sent.then.go_on(sandbox);
            }
            Err(refusal) => caller.answer(&request.id, &Err(refusal)),
        }
        return;
    }
    let answer = call(sandbox, caller, &request.method, &request.params);
    caller.answer(&request.id, &answer);
}

impl Caller {
    fn answer(&self, id: &str, answer: &Result<Value, Refusal>) {
        // A caller who does not read is thrown out by the room.
        self.out.try_send(Out::Response(response(id, answer))).ok();
    }

    fn needs(&self, scope: &'static str) -> Result<(), Refusal> {
        let may = |granted: &String| granted == scope || granted == "operator.admin";
        if self.scopes.iter().any(may) {
            Ok(())
        } else {
            Err(Refusal::missing_scope(scope))
        }
    }
}

fn call(
    sandbox: &Arc<Sandbox>,
    caller: &Caller,
    method: &str,
    params: &Value,
) -> Result<Value, Refusal> {
    match method {
        "connect" => Err(Refusal::invalid(
            "connect is only valid as the first request",
        )),
        "chat.abort" => {
            caller.needs("operator.write")?;
            chat::abort(sandbox, params)
        }
        "chat.inject" => {
            caller.needs("operator.admin")?;
            chat::inject(sandbox, params)
        }
        "chat.history" => {
            caller.needs("operator.read")?;
            history::read(sandbox, params)
        }
        "sessions.list" => {
            caller.needs("operator.read")?;
            Ok(history::list_sessions(sandbox))
        }
        "sessions.subscribe" => {
            caller.needs("operator.read")?;
            subscribe(sandbox, caller);
            Ok(json!({ "subscribed": true }))
        }
        "sessions.messages.subscribe" => {
            caller.needs("operator.read")?;
            let params = Params::closed(method, params, &["key"])?;
            let key = session::canonical_key(params.required_text("key")?);
            subscribe(sandbox, caller);
            Ok(json!({ "subscribed": true, "key": key }))
        }
        "health" => Ok(json!({ "ok": true, "ts": clock::now_ms() })),
        "status" => Ok(json!({ "runtimeVersion": "2026.9.6" })),
        "last-heartbeat" => {
            caller.needs("operator.read")?;
            Ok(Value::Null)
        }
        "cron.list" => {
            caller.needs("operator.read")?;
            Ok(json!({ "jobs": [], "total": 0, "hasMore": false }))
        }
        "device.pair.list" => {
            caller.needs("operator.pairing")?;
            Ok(sandbox.state().devices.list())
        }
        _ => Err(Refusal::invalid(format!("unknown method: {method}"))),
    }
}

fn subscribe(sandbox: &Sandbox, caller: &Caller) {
    let mut state = sandbox.state();
    let members = state.room.members.iter_mut();
    for member in members.filter(|member| member.id == caller.id) {
        member.is_subscribed = true;
    }
}

/// `UNAVAILABLE` while the gateway drains.
pub(crate) fn refuse_while_draining(phase: Phase, method: &str) -> Result<(), Refusal> {
    if phase == Phase::Up {
        return Ok(());
    }
    Err(Refusal::unavailable(
        format!("{method} unavailable during gateway restart"),
        1000,
        json!({ "method": method, "reason": "gateway-restarting", "phase": "accepting" }),
    ))
}

/// `agent.wait`: holds the answer until the run has ended; runs nobody remembers time out.
fn wait(sandbox: &Arc<Sandbox>, caller: &Caller, request: Request) {
    let read = || -> Result<(String, u64), Refusal> {
        caller.needs("operator.read")?;
        refuse_while_draining(sandbox.state().boot.phase, "agent.wait")?;
        let params = Params::closed("agent.wait", &request.params, &["runId", "timeoutMs"])?;
        let run_id = params.required_text("runId")?.to_owned();
        let limit = params.number("timeoutMs")?.unwrap_or(30_000);
        Ok((run_id, limit.min(LONGEST_WAIT_MS)))
    };
    let (run_id, limit_ms) = match read() {
        Ok(wanted) => wanted,
        Err(refusal) => return caller.answer(&request.id, &Err(refusal)),
    };
    if let Some(outcome) = outcome(sandbox, &run_id) {
        return caller.answer(&request.id, &Ok(outcome));
    }
    let caller = Caller {
        id: caller.id,
        scopes: Vec::new(),
        out: caller.out.clone(),
    };
    let (sandbox, tasks) = (Arc::clone(sandbox), sandbox.shared.tasks.clone());
    tasks.spawn(async move {
        let until = Instant::now() + Duration::from_millis(limit_ms);
        let answer = wait_until(&sandbox, &run_id, until).await;
        caller.answer(&request.id, &Ok(answer));
    });
}

async fn wait_until(sandbox: &Sandbox, run_id: &str, until: Instant) -> Value {
    loop {
        let ended = sandbox.run_ended.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        if let Some(outcome) = outcome(sandbox, run_id) {
            return outcome;
        }
        tokio::select! {
            () = ended => {}
            () = tokio::time::sleep_until(until) => {
                return json!({ "runId": run_id, "status": "timeout" });
            }
            () = sandbox.shared.stop.cancelled() => return Value::Null,
        }
    }
}

fn outcome(sandbox: &Sandbox, run_id: &str) -> Option<Value> {
    let remembered = sandbox.shared.config.remembered;
    sandbox.state().known.outcome(run_id, remembered)
}
