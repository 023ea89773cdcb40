//! The control API of the simulator, under `/sim/`.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::Deserialize;
use serde_json::json;

use super::{Call, CallView, CallerIdentity, TwilioFaults, WaitError, world::World};

/// Longest that a request waits, in milliseconds.
const LONGEST_WAIT_MS: u64 = 600_000;

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/sim", delete(forget))
        .route("/sim/calls", post(dial).get(calls))
        .route("/sim/calls/{sid}", get(call))
        .route("/sim/calls/{sid}/say", post(say))
        .route("/sim/calls/{sid}/key", post(key))
        .route("/sim/calls/{sid}/silent", post(silent))
        .route("/sim/calls/{sid}/drop", post(drop_socket))
        .route("/sim/calls/{sid}/hangup", post(hang_up))
        .route("/sim/faults", post(set_faults).delete(clear_faults))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(|| async { "ok" }))
}

async fn forget(State(world): State<Arc<World>>) -> StatusCode {
    world.forget_ended();
    StatusCode::NO_CONTENT
}

async fn dial(State(world): State<Arc<World>>, Json(caller): Json<CallerIdentity>) -> Response {
    let line = world.dial(caller);
    Json(json!({ "sid": line.sid })).into_response()
}

async fn calls(State(world): State<Arc<World>>) -> Json<Vec<CallView>> {
    Json(world.views())
}

#[derive(Deserialize)]
struct WaitQuery {
    /// Waits until the caller has heard so many texts to their end.
    heard: Option<usize>,
    /// Waits until the call has ended.
    #[serde(default)]
    ended: bool,
    #[serde(default)]
    timeout_ms: u64,
}

/// 200 with the call once the condition holds, 504 with the call if that takes too long.
async fn call(
    State(world): State<Arc<World>>,
    Path(sid): Path<String>,
    Query(query): Query<WaitQuery>,
) -> Response {
    let Some(call) = find(&world, &sid) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let is_wanted = |view: &CallView| {
        let heard = view.heard.iter().filter(|one| one.until_ms.is_some());
        heard.count() >= query.heard.unwrap_or(0) && (view.ended.is_some() || !query.ended)
    };
    let limit = Duration::from_millis(query.timeout_ms.min(LONGEST_WAIT_MS));
    match call.view_where(is_wanted, limit).await {
        Ok(view) => Json(view).into_response(),
        Err(error) => (StatusCode::GATEWAY_TIMEOUT, Json(error.call)).into_response(),
    }
}

#[derive(Deserialize)]
struct Speech {
    text: String,
}

async fn say(
    State(world): State<Arc<World>>,
    Path(sid): Path<String>,
    Json(speech): Json<Speech>,
) -> Response {
    match find(&world, &sid) {
        Some(call) => answer(call.say(&speech.text).await),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[derive(Deserialize)]
struct Keys {
    digits: String,
}

async fn key(
    State(world): State<Arc<World>>,
    Path(sid): Path<String>,
    Json(keys): Json<Keys>,
) -> Response {
    match find(&world, &sid) {
        Some(call) => answer(call.key(&keys.digits).await),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn silent(State(world): State<Arc<World>>, Path(sid): Path<String>) -> Response {
    match find(&world, &sid) {
        Some(call) => answer(call.silent().await),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn drop_socket(State(world): State<Arc<World>>, Path(sid): Path<String>) -> Response {
    match find(&world, &sid) {
        Some(call) => answer(call.drop_socket().await),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn hang_up(State(world): State<Arc<World>>, Path(sid): Path<String>) -> Response {
    let Some(call) = find(&world, &sid) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    call.hang_up();
    StatusCode::NO_CONTENT.into_response()
}

async fn set_faults(
    State(world): State<Arc<World>>,
    Json(faults): Json<TwilioFaults>,
) -> StatusCode {
    world.faults.change(&faults);
    StatusCode::NO_CONTENT
}

async fn clear_faults(State(world): State<Arc<World>>) -> StatusCode {
    world.faults.clear();
    StatusCode::NO_CONTENT
}

fn find(world: &World, sid: &str) -> Option<Call> {
    let line = world.call(sid)?;
    Some(Call::new(line, world.config.action_timeout))
}

/// 204 if the action had its effect, 409 with the reason otherwise.
fn answer(outcome: Result<(), WaitError>) -> Response {
    match outcome {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => (StatusCode::CONFLICT, format!("{error}\n")).into_response(),
    }
}
