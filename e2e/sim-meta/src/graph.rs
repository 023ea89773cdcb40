//! The part of the Graph API that sends: `POST /{version}/{phone number id}/messages`.

use std::sync::Arc;

use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, Path, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::post,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sim_kit::{clock, server::Connection};
use tokio::time::Instant;

use super::{
    error::GraphError,
    faults::Injection,
    send::{GraphRequest, Message, parse},
    wamid,
    world::{Draft, World},
};

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/{phone}/messages", post(unversioned))
        .route("/{version}/{phone}/messages", post(versioned))
}

async fn unversioned(
    State(world): State<Arc<World>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    Path(phone): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&world, &connection, &phone, &headers, &body).await
}

async fn versioned(
    State(world): State<Arc<World>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    Path((_, phone)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&world, &connection, &phone, &headers, &body).await
}

async fn answer(
    world: &World,
    connection: &Connection,
    phone: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Response {
    if let Some(latency) = world.faults.latency() {
        tokio::time::sleep(latency).await;
    }
    match world.call(phone, headers, body) {
        Ok(GraphReply::Json(answer)) => Json(answer).into_response(),
        Ok(GraphReply::Never) => std::future::pending().await,
        Ok(GraphReply::Cut) => {
            connection.cut();
            std::future::pending().await
        }
        Err(refusal) => {
            *world.state().stats.refused.entry(refusal.code).or_default() += 1;
            refusal.into_response()
        }
    }
}

/// Refuses a request without the configured bearer token.
pub(crate) fn check_token(world: &World, headers: &HeaderMap) -> Result<(), GraphError> {
    let expected = world.config.access_token.expose_secret();
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    if token == Some(expected) {
        Ok(())
    } else {
        Err(GraphError::token())
    }
}

enum GraphReply {
    Json(Value),
    /// No answer; the connection stays open.
    Never,
    /// No answer; the connection is cut.
    Cut,
}

impl World {
    fn call(
        &self,
        phone: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<GraphReply, GraphError> {
        check_token(self, headers)?;
        if phone != self.config.phone_number_id {
            return Err(GraphError::no_such_object(phone));
        }
        match parse(body, &self.config.templates)? {
            GraphRequest::MarkRead { wamid, typing } => {
                self.mark_read(&wamid, typing);
                Ok(GraphReply::Json(json!({ "success": true })))
            }
            GraphRequest::Send(message) => self.send(message),
        }
    }

    fn mark_read(&self, wamid: &str, typing: bool) {
        let mut state = self.state();
        state.stats.read_marks += 1;
        state.stats.typing += u64::from(typing);
        let Some(writer) = state.writer_of(wamid) else {
            return;
        };
        let chat = state.chat(&writer);
        chat.mark_read(wamid);
        if typing {
            chat.show_typing();
        }
    }

    fn send(&self, message: Message) -> Result<GraphReply, GraphError> {
        let injection = self.faults.inject(&message.to);
        match injection {
            Injection::Refuse(code) => return Err(GraphError::of_code(code)),
            Injection::CutBefore => return Ok(GraphReply::Cut),
            Injection::None | Injection::Hang | Injection::CutAfter => {}
        }
        let at_ms = clock::now_ms();
        self.check_limits(&message, at_ms)?;
        let answer = answer_of(&message);
        let sent = self.accept(Draft {
            wamid: answer.wamid,
            to: message.to,
            is_to_user_id: message.is_to_user_id,
            text: message.text,
            tracker: message.tracker,
            at_ms,
        });
        self.webhooks.plan_statuses(&sent, &self.status_plan());
        if injection == Injection::None {
            return Ok(GraphReply::Json(answer.body));
        }
        self.state().stats.unanswered += 1;
        Ok(if injection == Injection::Hang {
            GraphReply::Never
        } else {
            GraphReply::Cut
        })
    }

    fn check_limits(&self, message: &Message, now_ms: i64) -> Result<(), GraphError> {
        let now = Instant::now();
        let mut state = self.state();
        if !state.acquire_throughput(now) {
            return Err(GraphError::of_code(130_429));
        }
        let chat = state.chat(&message.to);
        if self.config.window && !message.is_template && !chat.window_is_open(now_ms) {
            return Err(GraphError::of_code(131_047));
        }
        if self.config.pair_rate && !chat.acquire_pair(now) {
            return Err(GraphError::of_code(131_056));
        }
        Ok(())
    }
}

struct SendAnswer {
    wamid: String,
    body: Value,
}

fn answer_of(message: &Message) -> SendAnswer {
    let wamid = wamid::of_outbound(&message.to);
    let contact = if message.is_to_user_id {
        json!({ "input": message.input, "user_id": message.to })
    } else {
        json!({ "input": message.input, "wa_id": message.to })
    };
    let body = json!({
        "messaging_product": "whatsapp",
        "contacts": [contact],
        "messages": [{ "id": wamid }],
    });
    SendAnswer { wamid, body }
}
