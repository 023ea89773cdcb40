use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use sim_kit::clock;
use tokio::{sync::mpsc, time::Instant};

use super::{
    chat, flood,
    frame::{Outgoing, Refusal, Request, response},
    history, jobs,
    params::Params,
    proactive,
    sandbox::{Phase, Sandbox},
    session,
};

/// Longest time that `agent.wait` waits.
const LONGEST_WAIT_MS: u64 = 600_000;

/// The client that sent a request, and the queue for its response.
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) scopes: Vec<String>,
    pub(crate) out: mpsc::Sender<Outgoing>,
}

/// Handles a frame of a client. Frames without a `method` are ignored, as by OpenClaw.
pub(crate) fn handle_frame(sandbox: &Arc<Sandbox>, client: &Client, text: &str) {
    let Ok(request) = serde_json::from_str::<Request>(text) else {
        if text.contains("\"method\"") {
            let message = "invalid request frame: must have required property 'id'";
            client.answer("invalid", &Err(Refusal::invalid(message)));
        }
        return;
    };
    if request.method == "agent.wait" {
        wait(sandbox, client, request);
        return;
    }
    if request.method == "chat.history"
        && let Some(response) = flood::history_response(sandbox, &request.id)
    {
        client.out.try_send(Outgoing::Response(response)).ok();
        return;
    }
    if request.method == "chat.send" {
        let sent = client
            .needs("operator.write")
            .and_then(|()| chat::send(sandbox, &request.params));
        match sent {
            Ok(sent) => {
                client.answer(&request.id, &Ok(sent.answer));
                sent.follow_up.run(sandbox);
            }
            Err(refusal) => client.answer(&request.id, &Err(refusal)),
        }
        return;
    }
    if request.method == "wake" {
        let woken = client.needs("operator.write").and_then(|()| {
            let params = Params::open("wake", &request.params)?;
            params.one_of("mode", &["now", "next-heartbeat"])?;
            params.required_text("text").map(|_| json!({ "ok": true }))
        });
        client.answer(&request.id, &woken);
        if woken.is_ok() {
            proactive::wake(sandbox);
        }
        return;
    }
    let answer = call(sandbox, client, &request.method, &request.params);
    client.answer(&request.id, &answer);
}

impl Client {
    fn answer(&self, id: &str, answer: &Result<Value, Refusal>) {
        // If the queue is full, the next broadcast disconnects the client.
        self.out
            .try_send(Outgoing::Response(response(id, answer)))
            .ok();
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
    client: &Client,
    method: &str,
    params: &Value,
) -> Result<Value, Refusal> {
    if sandbox
        .state()
        .behaviour(&sandbox.shared)
        .refuses
        .as_deref()
        == Some(method)
    {
        return Err(Refusal::invalid(format!("{method} is refused")));
    }
    match method {
        "connect" => Err(Refusal::invalid(
            "connect is only valid as the first request",
        )),
        "chat.abort" => {
            client.needs("operator.write")?;
            chat::abort(sandbox, params)
        }
        "chat.inject" => {
            client.needs("operator.admin")?;
            chat::inject(sandbox, params)
        }
        "chat.history" => {
            client.needs("operator.read")?;
            history::read(sandbox, params)
        }
        "sessions.list" => {
            client.needs("operator.read")?;
            Ok(history::list_sessions(sandbox))
        }
        "sessions.subscribe" => {
            client.needs("operator.read")?;
            subscribe(sandbox, client);
            Ok(json!({ "subscribed": true }))
        }
        "sessions.messages.subscribe" => {
            client.needs("operator.read")?;
            let params = Params::closed(method, params, &["key"])?;
            let key = session::canonical_key(params.required_text("key")?);
            subscribe(sandbox, client);
            Ok(json!({ "subscribed": true, "key": key }))
        }
        "health" => Ok(json!({ "ok": true, "ts": clock::now_ms() })),
        "status" => Ok(json!({ "runtimeVersion": "2026.9.6" })),
        "last-heartbeat" => {
            client.needs("operator.read")?;
            Ok(sandbox.state().last_heartbeat.clone())
        }
        "cron.list" => {
            client.needs("operator.read")?;
            refuse_while_draining(sandbox.state().boot.phase, method)?;
            jobs::list(sandbox, params)
        }
        "device.pair.list" => {
            client.needs("operator.pairing")?;
            Ok(sandbox.state().devices.list())
        }
        _ => Err(Refusal::invalid(format!("unknown method: {method}"))),
    }
}

fn subscribe(sandbox: &Sandbox, client: &Client) {
    let mut state = sandbox.state();
    let open = state.connections.open.iter_mut();
    for connection in open.filter(|connection| connection.id == client.id) {
        connection.is_subscribed = true;
    }
}

/// Refuses with `UNAVAILABLE` unless OpenClaw is ready.
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

/// Handles `agent.wait`: answers when the run has ended. The wait for an unknown run times out.
fn wait(sandbox: &Arc<Sandbox>, client: &Client, request: Request) {
    let read = || -> Result<(String, u64), Refusal> {
        client.needs("operator.read")?;
        refuse_while_draining(sandbox.state().boot.phase, "agent.wait")?;
        let params = Params::closed("agent.wait", &request.params, &["runId", "timeoutMs"])?;
        let run_id = params.required_text("runId")?.to_owned();
        let limit = params.number("timeoutMs")?.unwrap_or(30_000);
        Ok((run_id, limit.min(LONGEST_WAIT_MS)))
    };
    let (run_id, limit_ms) = match read() {
        Ok(wanted) => wanted,
        Err(refusal) => return client.answer(&request.id, &Err(refusal)),
    };
    if let Some(outcome) = outcome(sandbox, &run_id) {
        return client.answer(&request.id, &Ok(outcome));
    }
    let client = Client {
        id: client.id,
        scopes: Vec::new(),
        out: client.out.clone(),
    };
    let (sandbox, tasks) = (Arc::clone(sandbox), sandbox.shared.tasks.clone());
    tasks.spawn(async move {
        let until = Instant::now() + Duration::from_millis(limit_ms);
        let answer = wait_until(&sandbox, &run_id, until).await;
        client.answer(&request.id, &Ok(answer));
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
    sandbox.state().known_runs.outcome(run_id, remembered)
}
