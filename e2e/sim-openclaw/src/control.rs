//! The control API of the simulator, under `/sim/` on the same port, and the health probes of every sandbox.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    Behaviour, Flood, Heartbeat, HeartbeatOutcome, OpenClawStats, PlannedJob, Restart,
    TranscriptRow, boot, flood, jobs,
    listener::sandbox_of_path,
    proactive,
    sandbox::{Phase, Sandbox, Shared},
};

pub(crate) fn routes(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/sim", delete(forget))
        .route("/sim/stats", get(stats))
        .route("/sim/sandboxes", get(sandboxes))
        .route("/sim/sandboxes/{sandbox}/transcript", get(transcript))
        .route("/sim/sandboxes/{sandbox}/stats", get(stats_of_one))
        .route("/sim/restart", post(restart))
        .route("/sim/config", post(configure))
        .route("/sim/disconnect", post(disconnect))
        .route("/sim/approve", post(approve))
        .route("/sim/remind", post(remind))
        .route("/sim/plan", post(plan))
        .route("/sim/heartbeat", post(heartbeat))
        .route("/sim/flood", post(flood))
        .route("/sim/proactive", get(proactive_texts))
        .fallback(health)
        .with_state(shared)
}

/// Answers OpenClaw's probes (`/healthz`, `/readyz`, `/startupz`) at the path of any sandbox.
async fn health(State(shared): State<Arc<Shared>>, uri: Uri) -> Response {
    let Some((path, probe)) = uri.path().rsplit_once('/') else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let phase = shared
        .find(&sandbox_of_path(path))
        .map_or(Phase::Up, |sandbox| sandbox.state().boot.phase);
    probe_in(phase, probe).await
}

/// The answer of an OpenClaw in this phase to a probe; none while it hangs.
pub(crate) async fn probe_in(phase: Phase, probe: &str) -> Response {
    if phase == Phase::Hung {
        return std::future::pending().await;
    }
    let is_ready = phase == Phase::Up;
    let unready = StatusCode::SERVICE_UNAVAILABLE;
    match (probe, phase) {
        ("healthz" | "health" | "readyz" | "startupz", Phase::Down) => {
            StatusCode::BAD_GATEWAY.into_response()
        }
        ("healthz" | "health", _) => Json(json!({ "ok": true, "status": "live" })).into_response(),
        ("startupz", Phase::Starting) => {
            let pending = "startup-sidecars";
            let body = json!({ "ok": false, "status": "starting", "pendingReason": pending });
            (unready, Json(body)).into_response()
        }
        ("startupz", _) => Json(json!({ "ok": true, "status": "started" })).into_response(),
        ("readyz", _) if is_ready => Json(json!({ "ready": true })).into_response(),
        ("readyz", _) => {
            let body = json!({ "ready": false, "failing": ["startup-sidecars"] });
            (unready, Json(body)).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn forget(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.forget_all();
    StatusCode::NO_CONTENT
}

async fn stats(State(shared): State<Arc<Shared>>) -> Json<OpenClawStats> {
    Json(sum(&shared))
}

/// The counts of all sandboxes together.
pub(crate) fn sum(shared: &Shared) -> OpenClawStats {
    let mut sum = OpenClawStats::default();
    for sandbox in shared.all() {
        sum.add(&sandbox.stats());
    }
    sum
}

async fn sandboxes(State(shared): State<Arc<Shared>>) -> Json<BTreeMap<String, OpenClawStats>> {
    let all = shared.all();
    Json(
        all.iter()
            .map(|sandbox| (sandbox.name.clone(), sandbox.stats()))
            .collect(),
    )
}

async fn transcript(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Json<Vec<TranscriptRow>> {
    let sandbox = shared.find(&name);
    Json(sandbox.map_or_else(Vec::new, |sandbox| sandbox.transcript()))
}

async fn stats_of_one(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
) -> Json<OpenClawStats> {
    let sandbox = shared.find(&name);
    Json(sandbox.map_or_else(OpenClawStats::default, |sandbox| sandbox.stats()))
}

#[derive(Deserialize)]
struct RestartCall {
    sandbox: Option<String>,
    #[serde(flatten)]
    restart: Restart,
}

async fn restart(
    State(shared): State<Arc<Shared>>,
    Json(call): Json<RestartCall>,
) -> Json<serde_json::Value> {
    let selected = selected(&shared, call.sandbox.as_deref());
    for sandbox in &selected {
        boot::restart(sandbox, &call.restart);
    }
    Json(json!({ "restarted": selected.len() }))
}

/// The sandbox of this name, or all sandboxes if `name` is absent.
pub(crate) fn selected(shared: &Arc<Shared>, name: Option<&str>) -> Vec<Arc<Sandbox>> {
    match name {
        Some(name) => vec![shared.sandbox(name)],
        None => shared.all(),
    }
}

#[derive(Deserialize)]
struct ConfigCall {
    sandbox: Option<String>,
    behaviour: Behaviour,
}

async fn configure(State(shared): State<Arc<Shared>>, Json(call): Json<ConfigCall>) -> StatusCode {
    set_behaviour(&shared, call.sandbox.as_deref(), call.behaviour);
    StatusCode::NO_CONTENT
}

/// Sets how the agent of one sandbox behaves, or all agents that have no behaviour of their own.
pub(crate) fn set_behaviour(shared: &Arc<Shared>, name: Option<&str>, behaviour: Behaviour) {
    match name {
        Some(name) => shared.sandbox(name).state().behaviour = Some(behaviour),
        None => {
            *shared
                .behaviour
                .write()
                .expect("no thread panics while it holds this lock") = behaviour;
        }
    }
}

#[derive(Deserialize)]
struct DisconnectCall {
    sandbox: Option<String>,
}

async fn disconnect(
    State(shared): State<Arc<Shared>>,
    Json(call): Json<DisconnectCall>,
) -> StatusCode {
    cut_connections(&shared, call.sandbox.as_deref());
    StatusCode::NO_CONTENT
}

/// Drops the sockets of one sandbox or of all; the processes keep running.
pub(crate) fn cut_connections(shared: &Arc<Shared>, name: Option<&str>) {
    for sandbox in selected(shared, name) {
        let mut state = sandbox.state();
        state.boot.cut.cancel();
        state.boot.cut = tokio_util::sync::CancellationToken::new();
        state.connections.open.clear();
    }
}

#[derive(Deserialize)]
struct ApproveCall {
    sandbox: String,
    /// The id of a pairing request or of a device.
    id: String,
}

async fn approve(State(shared): State<Arc<Shared>>, Json(call): Json<ApproveCall>) -> StatusCode {
    let sandbox = shared.sandbox(&call.sandbox);
    let is_known = sandbox.state().devices.approve_request(&call.id);
    if is_known {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}

#[derive(Deserialize)]
struct RemindCall {
    sandbox: String,
    text: String,
}

/// Runs a reminder as if it were due; 409 if OpenClaw is not running.
async fn remind(State(shared): State<Arc<Shared>>, Json(call): Json<RemindCall>) -> StatusCode {
    if proactive::remind(&shared.sandbox(&call.sandbox), &call.text) {
        StatusCode::ACCEPTED
    } else {
        StatusCode::CONFLICT
    }
}

#[derive(Deserialize)]
struct PlanCall {
    sandbox: String,
    text: String,
    at_ms: i64,
    every_ms: Option<i64>,
}

/// Plans a job; the answer has its id.
async fn plan(
    State(shared): State<Arc<Shared>>,
    Json(call): Json<PlanCall>,
) -> Json<serde_json::Value> {
    let job = PlannedJob {
        text: call.text,
        at_ms: call.at_ms,
        every_ms: call.every_ms,
    };
    let id = jobs::plan(&shared.sandbox(&call.sandbox), job);
    Json(json!({ "id": id }))
}

#[derive(Deserialize)]
struct HeartbeatCall {
    sandbox: Option<String>,
    heartbeat: Heartbeat,
}

async fn heartbeat(
    State(shared): State<Arc<Shared>>,
    Json(call): Json<HeartbeatCall>,
) -> Json<BTreeMap<String, HeartbeatOutcome>> {
    let selected = selected(&shared, call.sandbox.as_deref());
    let outcomes = selected.iter().map(|sandbox| {
        let outcome = proactive::heartbeat(sandbox, &call.heartbeat);
        (sandbox.name.clone(), outcome)
    });
    Json(outcomes.collect())
}

#[derive(Deserialize)]
struct FloodCall {
    sandbox: String,
    /// Absent: stop.
    flood: Option<Flood>,
}

async fn flood(State(shared): State<Arc<Shared>>, Json(call): Json<FloodCall>) -> StatusCode {
    flood::set(&shared.sandbox(&call.sandbox), call.flood);
    StatusCode::NO_CONTENT
}

async fn proactive_texts(
    State(shared): State<Arc<Shared>>,
) -> Json<BTreeMap<String, Vec<TranscriptRow>>> {
    let all = shared.all();
    let texts = all.iter().map(|sandbox| {
        let rows = sandbox.transcript().into_iter();
        let said = rows.filter(|row| row.is_proactive).collect();
        (sandbox.name.clone(), said)
    });
    Json(texts.collect())
}
