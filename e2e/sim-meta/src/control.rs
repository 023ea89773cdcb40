//! The control API of the simulator, under `/sim/` on the same port.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sim_kit::clock;

use super::{ChatView, MetaFaults, MetaStats, SendView, wamid, world::World};

/// Most sends that one `GET /sim/sends` returns by default.
const SENDS_PER_PAGE: usize = 10_000;

/// Longest that `GET /sim/wait` waits, in milliseconds.
const LONGEST_WAIT_MS: u64 = 600_000;

/// A message that a user writes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Inbound {
    /// The user's number, with or without `+`.
    pub from: String,
    /// The name in the user's profile.
    pub name: Option<String>,
    /// The user's business-scoped id; webhooks contain it if given.
    pub user_id: Option<String>,
    /// Whether webhooks omit the number, as for users with a username; needs `user_id`.
    pub hide_number: bool,
    /// The text of a text message.
    pub text: Option<String>,
    /// Any other message: the entry of `messages[]`, without `from`, `id` and `timestamp`.
    pub message: Option<Value>,
    /// The message id; a new one when absent. An id used before posts that message again.
    pub id: Option<String>,
    /// How many times the webhook is posted; once when absent.
    pub copies: Option<u32>,
}

/// The reason for which a user's message was not posted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteError {
    /// It has no sender, or neither text nor message.
    Incomplete,
    /// The webhook backlog is full.
    BacklogFull,
}

impl World {
    /// Posts a message of a user; returns WhatsApp's id of the message.
    pub(crate) fn write(&self, inbound: &Inbound) -> Result<String, WriteError> {
        let is_nameless = inbound.hide_number && inbound.user_id.is_none();
        if inbound.from.is_empty() || is_nameless {
            return Err(WriteError::Incomplete);
        }
        if self.webhooks.is_full() {
            return Err(WriteError::BacklogFull);
        }
        let number = inbound.from.trim_start_matches('+').to_owned();
        let user = match &inbound.user_id {
            Some(id) if inbound.hide_number => id.clone(),
            _ => number.clone(),
        };
        let wamid = inbound
            .id
            .clone()
            .unwrap_or_else(|| wamid::of_inbound(&number));
        let at_ms = clock::now_ms();
        let (message, text) = message_of(inbound, &number, &wamid, at_ms)?;
        let contact = contact_of(inbound, &number);
        let mut state = self.state();
        if state.record_writer(&wamid, &user) {
            state.stats.written += 1;
            let kept = self.config.lines_per_chat;
            state.chat(&user).write(&wamid, text, at_ms, kept);
        }
        drop(state);
        let copies = inbound.copies.unwrap_or(1);
        self.webhooks
            .post_message(&user, &contact, &message, copies);
        Ok(wamid)
    }
}

fn message_of(
    inbound: &Inbound,
    number: &str,
    wamid: &str,
    at_ms: i64,
) -> Result<(Value, String), WriteError> {
    let (content, text) = match (&inbound.text, &inbound.message) {
        (Some(text), _) => (
            json!({ "type": "text", "text": { "body": text } }),
            text.clone(),
        ),
        (None, Some(message)) if message["type"].is_string() => {
            let kind = message["type"].as_str().unwrap_or_default();
            (message.clone(), format!("<{kind}>"))
        }
        _ => return Err(WriteError::Incomplete),
    };
    let mut message = json!({});
    if !inbound.hide_number {
        message["from"] = json!(number);
    }
    if let Some(user_id) = &inbound.user_id {
        message["from_user_id"] = json!(user_id);
    }
    message["id"] = json!(wamid);
    message["timestamp"] = json!((at_ms / 1000).to_string());
    if let Value::Object(content) = content {
        for (key, value) in content {
            message[key] = value;
        }
    }
    Ok((message, text))
}

fn contact_of(inbound: &Inbound, number: &str) -> Value {
    let name = inbound.name.as_deref().unwrap_or("Simulated Person");
    let mut contact = json!({ "profile": { "name": name } });
    if !inbound.hide_number {
        contact["wa_id"] = json!(number);
    }
    if let Some(user_id) = &inbound.user_id {
        contact["user_id"] = json!(user_id);
    }
    contact
}

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/sim", delete(reset))
        .route("/sim/messages", post(write))
        .route("/sim/chat/{number}", get(chat))
        .route("/sim/sends", get(sends))
        .route("/sim/recipients", get(recipients))
        .route("/sim/stats", get(stats))
        .route("/sim/faults", post(set_faults).delete(clear_faults))
        .route("/sim/webhook", post(set_webhook))
        .route("/sim/wait", get(wait))
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(|| async { "ok" }))
}

async fn reset(State(world): State<Arc<World>>) -> StatusCode {
    world.reset();
    StatusCode::NO_CONTENT
}

async fn write(State(world): State<Arc<World>>, Json(inbound): Json<Inbound>) -> Response {
    match world.write(&inbound) {
        Ok(wamid) => Json(json!({ "wamid": wamid })).into_response(),
        Err(WriteError::Incomplete) => (
            StatusCode::BAD_REQUEST,
            "the message needs `from`, and `text` or a `message` with a type\n",
        )
            .into_response(),
        Err(WriteError::BacklogFull) => {
            (StatusCode::SERVICE_UNAVAILABLE, "the backlog is full\n").into_response()
        }
    }
}

async fn chat(State(world): State<Arc<World>>, Path(number): Path<String>) -> Json<ChatView> {
    Json(world.chat_view(number.trim_start_matches('+')))
}

#[derive(Deserialize)]
struct SendsQuery {
    #[serde(default)]
    since: u64,
    limit: Option<usize>,
}

async fn sends(
    State(world): State<Arc<World>>,
    Query(query): Query<SendsQuery>,
) -> Json<Vec<SendView>> {
    let limit = query.limit.unwrap_or(SENDS_PER_PAGE);
    Json(world.sends_since(query.since, limit))
}

async fn recipients(
    State(world): State<Arc<World>>,
) -> Json<std::collections::BTreeMap<String, u64>> {
    Json(world.received_by_number())
}

async fn stats(State(world): State<Arc<World>>) -> Json<MetaStats> {
    Json(world.stats())
}

async fn set_faults(State(world): State<Arc<World>>, Json(faults): Json<MetaFaults>) -> StatusCode {
    world.change_faults(faults);
    StatusCode::NO_CONTENT
}

async fn clear_faults(State(world): State<Arc<World>>) -> StatusCode {
    world.faults.clear();
    world.set_status_plan(world.config.statuses.clone());
    StatusCode::NO_CONTENT
}

impl World {
    pub(crate) fn change_faults(&self, mut faults: MetaFaults) {
        if let Some(plan) = faults.statuses.take() {
            self.set_status_plan(plan);
        }
        self.faults.change(faults);
    }
}

#[derive(Deserialize)]
struct Webhook {
    url: Option<String>,
}

async fn set_webhook(State(world): State<Arc<World>>, Json(webhook): Json<Webhook>) -> StatusCode {
    world.webhooks.target.send_replace(webhook.url);
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct WaitQuery {
    number: String,
    received: u64,
    #[serde(default)]
    timeout_ms: u64,
}

/// 200 with the chat once the user has received that many messages, 504 with the chat otherwise.
async fn wait(State(world): State<Arc<World>>, Query(query): Query<WaitQuery>) -> Response {
    let number = query.number.trim_start_matches([' ', '+']);
    let mut received = world.received_watch(number);
    let limit = Duration::from_millis(query.timeout_ms.min(LONGEST_WAIT_MS));
    let enough = received.wait_for(|&count| count >= query.received);
    let is_reached = matches!(tokio::time::timeout(limit, enough).await, Ok(Ok(_)));
    let status = if is_reached {
        StatusCode::OK
    } else {
        StatusCode::GATEWAY_TIMEOUT
    };
    (status, Json(world.chat_view(number))).into_response()
}
