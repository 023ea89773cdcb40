//! The control API of the simulator, under `/sim/` at an address of its own, because the engine's may be down.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::Deserialize;

use super::{
    ContainerView, EngineFaults, EngineStats, Starts, api, engine::Engine, server::EngineServer,
};

/// The exit code of a container that was killed.
const KILLED: i64 = 137;

/// The engine and the server of its API.
#[derive(Debug)]
pub(crate) struct Simulated {
    pub(crate) engine: Arc<Engine>,
    pub(crate) server: EngineServer,
}

impl Simulated {
    pub(crate) async fn come_up(&self) -> anyhow::Result<()> {
        let router = api::router(Arc::clone(&self.engine));
        self.server.start_again(router).await
    }
}

pub(crate) fn router(simulated: Arc<Simulated>) -> Router {
    Router::new()
        .route("/sim", delete(reset))
        .route("/sim/stats", get(stats))
        .route("/sim/containers", get(containers))
        .route("/sim/volumes", get(volumes))
        .route("/sim/faults", post(set_faults).delete(clear_faults))
        .route("/sim/starts", post(set_starts))
        .route("/sim/images", post(set_images))
        .route("/sim/crash", post(crash))
        .route("/sim/hang", post(hang))
        .route("/sim/down", post(go_down))
        .route("/sim/up", post(come_up))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(|| async { "ok" }))
        .with_state(simulated)
}

async fn reset(State(simulated): State<Arc<Simulated>>) -> StatusCode {
    simulated.engine.reset().await;
    StatusCode::NO_CONTENT
}

async fn stats(State(simulated): State<Arc<Simulated>>) -> Json<EngineStats> {
    Json(simulated.engine.stats())
}

async fn containers(State(simulated): State<Arc<Simulated>>) -> Json<Vec<ContainerView>> {
    Json(simulated.engine.containers())
}

async fn volumes(State(simulated): State<Arc<Simulated>>) -> Json<Vec<String>> {
    Json(simulated.engine.volumes())
}

async fn set_faults(
    State(simulated): State<Arc<Simulated>>,
    Json(faults): Json<EngineFaults>,
) -> StatusCode {
    simulated.engine.faults.change(faults);
    StatusCode::NO_CONTENT
}

async fn clear_faults(State(simulated): State<Arc<Simulated>>) -> StatusCode {
    simulated.engine.faults.clear();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct StartsCall {
    volume: Option<String>,
    starts: Starts,
}

async fn set_starts(
    State(simulated): State<Arc<Simulated>>,
    Json(call): Json<StartsCall>,
) -> StatusCode {
    simulated
        .engine
        .set_starts(call.volume.as_deref(), call.starts);
    StatusCode::NO_CONTENT
}

async fn set_images(
    State(simulated): State<Arc<Simulated>>,
    Json(images): Json<Vec<String>>,
) -> StatusCode {
    simulated.engine.set_images(images);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct CrashCall {
    /// The name of a container or of its volume.
    container: String,
    code: Option<i64>,
}

/// 404 if no such container runs.
async fn crash(State(simulated): State<Arc<Simulated>>, Json(call): Json<CrashCall>) -> StatusCode {
    let code = call.code.unwrap_or(KILLED);
    found(simulated.engine.crash(&call.container, code).await)
}

#[derive(Deserialize)]
struct HangCall {
    /// The name of a container or of its volume.
    container: String,
}

/// 404 if no such container runs.
async fn hang(State(simulated): State<Arc<Simulated>>, Json(call): Json<HangCall>) -> StatusCode {
    found(simulated.engine.hang(&call.container))
}

fn found(is_found: bool) -> StatusCode {
    if is_found {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}

async fn go_down(State(simulated): State<Arc<Simulated>>) -> StatusCode {
    simulated.server.stop().await;
    StatusCode::NO_CONTENT
}

async fn come_up(State(simulated): State<Arc<Simulated>>) -> Response {
    match simulated.come_up().await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => (StatusCode::CONFLICT, format!("{error:#}\n")).into_response(),
    }
}
