use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use sim_kit::clock;
use uuid::Uuid;

use super::{
    account::Account,
    action::Action,
    error::ApiError,
    key::{Key, LimitReset, NewKey, hash_of},
    prompt,
    script::Answer,
    stream::Generation,
};

/// Keys on one page of `GET /keys`.
const KEYS_PER_PAGE: usize = 100;

pub(crate) fn routes() -> Router<Arc<Account>> {
    Router::new()
        .route("/api/v1/keys", post(create).get(list))
        .route(
            "/api/v1/keys/{hash}",
            get(show).patch(change).delete(remove),
        )
        .route("/api/v1/key", get(own))
        .route("/api/v1/credits", get(credits))
        .route("/api/v1/models", get(models))
        .route("/api/v1/chat/completions", post(complete))
}

fn bearer(headers: &HeaderMap) -> Result<&str, ApiError> {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(|| ApiError::of_code(401))
}

/// Refuses a request without the management key.
fn check_manager(account: &Account, headers: &HeaderMap) -> Result<(), ApiError> {
    let token = bearer(headers)?;
    if token == account.config.management_key.expose_secret() {
        return Ok(());
    }
    let is_inference_key = account.state().keys.contains_key(&hash_of(token));
    Err(if is_inference_key {
        ApiError::of_code(403)
    } else {
        ApiError::new(401, "User not found.")
    })
}

async fn create(
    State(account): State<Arc<Account>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    check_manager(&account, &headers)?;
    let new: NewKey = serde_json::from_slice(&body).map_err(|_| ApiError::of_code(400))?;
    let now = clock::now();
    let (mut key, secret) = Key::make(new, now).ok_or_else(|| ApiError::of_code(400))?;
    let view = key.view(now);
    account.state().add_key(key);
    let body = Json(json!({ "data": view, "key": secret }));
    Ok((StatusCode::CREATED, body).into_response())
}

#[derive(Deserialize)]
struct ListQuery {
    #[serde(default)]
    offset: usize,
    include_disabled: Option<String>,
}

async fn list(
    State(account): State<Arc<Account>>,
    Query(query): Query<ListQuery>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    check_manager(&account, &headers)?;
    let with_disabled = query.include_disabled.as_deref() == Some("true");
    let now = clock::now();
    let mut state = account.state();
    let views: Vec<Value> = state
        .keys_in_order()
        .filter(|key| with_disabled || !key.disabled)
        .skip(query.offset)
        .take(KEYS_PER_PAGE)
        .map(|key| key.view(now))
        .collect();
    Ok(Json(json!({ "data": views })))
}

async fn show(
    State(account): State<Arc<Account>>,
    Path(hash): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    check_manager(&account, &headers)?;
    let view = account.state().key(&hash)?.view(clock::now());
    Ok(Json(json!({ "data": view })))
}

/// A field that distinguishes `null` from absence.
type Given<T> = Option<Option<T>>;

#[derive(Deserialize)]
struct Change {
    name: Option<String>,
    disabled: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    limit: Given<f64>,
    #[serde(default, deserialize_with = "given")]
    limit_reset: Given<LimitReset>,
    include_byok_in_limit: Option<bool>,
}

fn given<'de, T, D>(deserializer: D) -> Result<Given<T>, D::Error>
where
    T: Deserialize<'de>,
    D: serde::Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

async fn change(
    State(account): State<Arc<Account>>,
    Path(hash): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    check_manager(&account, &headers)?;
    let change: Change = serde_json::from_slice(&body).map_err(|_| ApiError::of_code(400))?;
    let now = clock::now();
    let mut state = account.state();
    let key = state.key(&hash)?;
    if let Some(name) = change.name {
        key.name = name;
    }
    key.disabled = change.disabled.unwrap_or(key.disabled);
    key.limit = change.limit.unwrap_or(key.limit);
    key.limit_reset = change.limit_reset.unwrap_or(key.limit_reset);
    key.include_byok_in_limit = change
        .include_byok_in_limit
        .unwrap_or(key.include_byok_in_limit);
    key.updated_at = Some(now);
    Ok(Json(json!({ "data": key.view(now) })))
}

async fn remove(
    State(account): State<Arc<Account>>,
    Path(hash): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    check_manager(&account, &headers)?;
    account.state().remove_key(&hash)?;
    Ok(Json(json!({ "deleted": true })))
}

async fn own(
    State(account): State<Arc<Account>>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let hash = hash_of(bearer(&headers)?);
    let now = clock::now();
    let mut state = account.state();
    let key = state
        .key(&hash)
        .ok()
        .filter(|key| key.is_valid(now))
        .ok_or_else(|| ApiError::new(401, "User not found."))?;
    Ok(Json(json!({ "data": key.own_view(now) })))
}

async fn credits(
    State(account): State<Arc<Account>>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    check_manager(&account, &headers)?;
    let spent = account.state().total_spent();
    let total = account.config.credits_usd;
    Ok(Json(
        json!({ "data": { "total_credits": total, "total_usage": spent } }),
    ))
}

async fn models() -> Json<Value> {
    Json(json!({ "data": [{
        "id": "simulated/assistant",
        "canonical_slug": "simulated/assistant",
        "name": "Simulated Assistant",
        "created": 1_692_901_234,
        "description": "Answers by rules.",
        "context_length": 200_000,
        "architecture": {
            "modality": "text->text",
            "input_modalities": ["text"],
            "output_modalities": ["text"],
            "tokenizer": "Other",
            "instruct_type": null,
        },
        "pricing": { "prompt": "0.000001", "completion": "0.000002", "request": "0", "image": "0" },
        "top_provider": {
            "context_length": 200_000, "max_completion_tokens": 8192, "is_moderated": false,
        },
        "per_request_limits": null,
        "supported_parameters": ["tools", "tool_choice", "max_tokens", "temperature"],
        "default_parameters": null,
        "expiration_date": null,
    }] }))
}

async fn complete(
    State(account): State<Arc<Account>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let hash = hash_of(bearer(&headers)?);
    let answered = account.answer(&hash, &body);
    if let Err(refusal) = &answered {
        account.state().count_refusal(refusal.code);
    }
    let (request, answer) = answered?;
    if let Action::Error(code) = answer.action {
        account.state().count_refusal(code);
    }
    let generation = Generation {
        id: format!("gen-{}", Uuid::new_v4().simple()),
        model: request["model"].as_str().unwrap_or_default().to_owned(),
        cost_usd: account.config.cost_usd,
    };
    Ok(if request["stream"] == true {
        generation.streamed(answer)
    } else {
        generation.whole(answer).await
    })
}

impl Account {
    /// Checks the key, charges the cost, and decides the answer.
    fn answer(&self, hash: &str, body: &[u8]) -> Result<(Value, Answer), ApiError> {
        let request: Value = serde_json::from_slice(body).map_err(|_| ApiError::of_code(400))?;
        if !request["messages"].is_array() || !request["model"].is_string() {
            return Err(ApiError::of_code(400));
        }
        let prompt = prompt::read(&request);
        let now = clock::now();
        let mut state = self.state();
        let left_of_account = self.config.credits_usd - state.total_spent();
        let key = state
            .key(hash)
            .ok()
            .filter(|key| key.is_valid(now))
            .ok_or_else(|| ApiError::new(401, "User not found."))?;
        if key.remaining(now).is_some_and(|left| left <= 0.0) {
            return Err(ApiError::new(
                402,
                "This request requires more credits, or fewer max_tokens: the limit of this key \
                 is used up.",
            ));
        }
        if left_of_account <= 0.0 {
            return Err(ApiError::of_code(402));
        }
        let answer = state.decide(&prompt, now);
        if !matches!(answer.action, Action::Error(_)) {
            state.charge(hash, self.config.cost_usd, now);
        }
        state.record_request(hash, &request, &prompt, &answer, self.config.requests_kept);
        Ok((request, answer))
    }
}
