//! The control API of the simulator, under `/sim/` on the same ports.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    routing::{delete, get, post},
};
use serde::Deserialize;
use sim_kit::clock;

use super::{
    CompletionRequest, ModelStats, Rule,
    account::{self, Account},
};

pub(crate) fn routes() -> Router<Arc<Account>> {
    Router::new()
        .route("/sim", delete(reset))
        .route("/sim/stats", get(stats))
        .route("/sim/requests", get(requests))
        .route("/sim/rules", post(set_rules).get(rules))
        .route("/sim/spend", post(spend))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(|| async { "ok" }))
}

async fn reset(State(account): State<Arc<Account>>) -> StatusCode {
    *account.state() = account::State::default();
    StatusCode::NO_CONTENT
}

async fn stats(State(account): State<Arc<Account>>) -> Json<ModelStats> {
    Json(account.state().stats())
}

async fn requests(State(account): State<Arc<Account>>) -> Json<Vec<CompletionRequest>> {
    Json(account.state().requests())
}

async fn rules(State(account): State<Arc<Account>>) -> Json<Vec<Rule>> {
    Json(account.state().rules.clone())
}

async fn set_rules(
    State(account): State<Arc<Account>>,
    Json(rules): Json<Vec<Rule>>,
) -> StatusCode {
    account.state().rules = rules;
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Spend {
    hash: String,
    usd: f64,
}

async fn spend(State(account): State<Arc<Account>>, Json(spend): Json<Spend>) -> StatusCode {
    match account.state().key(&spend.hash) {
        Ok(key) => {
            key.spend(spend.usd, clock::now());
            StatusCode::NO_CONTENT
        }
        Err(_) => StatusCode::NOT_FOUND,
    }
}
