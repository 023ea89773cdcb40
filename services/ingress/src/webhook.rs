use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, RawQuery, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use claw_domain::DeliveryState;
use claw_runtime::Clock;
use claw_whatsapp::{
    signature::{self, AppSecrets},
    webhook::{self, SubscriptionError, verify_subscription},
};
use secrecy::SecretString;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, debug, error, info_span};

use crate::{
    intake::{Fact, Intake},
    news,
    publish::Door,
    refusal::{Refusal, RefusalLog},
    room::Room,
};

/// Largest body taken. Meta sends up to 3 MB; beyond that it is not Meta.
const BODY_LIMIT_BYTES: usize = 3 * 1024 * 1024;

/// How long a body may take to arrive. Meta's and Caddy's come in one go.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The WhatsApp webhook.
pub(crate) struct Webhook {
    secrets: AppSecrets,
    token: SecretString,
    phone_number_id: String,
    door: Door,
    clock: Arc<dyn Clock>,
    room: Room,
    refusals: RefusalLog,
}

/// What Meta calls.
pub(crate) fn routes(webhook: Webhook) -> Router {
    Router::new()
        .route("/whatsapp/webhook", get(verify).post(receive))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(Arc::new(webhook))
}

/// `GET`: Meta sets up the webhook and wants to see that it is ours.
async fn verify(State(webhook): State<Arc<Webhook>>, RawQuery(query): RawQuery) -> Response {
    match verify_subscription(&query.unwrap_or_default(), &webhook.token) {
        Ok(challenge) => challenge.into_response(),
        Err(SubscriptionError::Malformed) => StatusCode::BAD_REQUEST.into_response(),
        Err(SubscriptionError::Refused) => StatusCode::FORBIDDEN.into_response(),
    }
}

/// `POST`: Meta tells something. 200 once it is on disk; with anything else Meta sends it again, for up
/// to 7 days.
async fn receive(State(webhook): State<Arc<Webhook>>, request: Request) -> Response {
    let started = Instant::now();
    // A trace begins here: whoever sends has no say in ours.
    let span = info_span!("ingress.webhook", otel.kind = "server");
    let result = webhook.take(request).instrument(span).await;
    let outcome = result.as_ref().map_or_else(Refusal::name, |()| "stored");
    metrics::counter!("ingress_webhooks_total", "outcome" => outcome).increment(1);
    metrics::histogram!("ingress_webhook_seconds", "outcome" => outcome)
        .record(started.elapsed().as_secs_f64());
    match result {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refusal) => {
            webhook.refusals.log(&refusal, webhook.clock.now());
            refusal.into_response()
        }
    }
}

impl Webhook {
    pub(crate) fn new(
        secrets: AppSecrets,
        token: SecretString,
        phone_number_id: String,
        door: Door,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            secrets,
            token,
            phone_number_id,
            door,
            clock,
            room: Room::new(BODY_LIMIT_BYTES),
            refusals: RefusalLog::default(),
        }
    }

    async fn take(&self, request: Request) -> Result<(), Refusal> {
        let signature = request
            .headers()
            .get(signature::HEADER)
            .cloned()
            .ok_or(Refusal::Unsigned)?;
        let _place = self.room.for_body(request.headers()).ok_or(Refusal::Full)?;
        let body = read(request).await?;
        self.secrets
            .verify(Some(signature.as_bytes()), &body)
            .map_err(|_| Refusal::Unsigned)?;
        match webhook::parse(&body) {
            Ok(notification) => {
                let now = self.clock.now();
                self.store(
                    Intake::of(notification, &self.phone_number_id, now),
                    body.len(),
                )
                .await
            }
            Err(reason) => self.set_aside(&body, &reason).await,
        }
    }

    async fn store(&self, intake: Intake, body_bytes: usize) -> Result<(), Refusal> {
        self.door
            .store(&intake, body_bytes)
            .await
            .map_err(Refusal::NotStored)?;
        count(&intake);
        intake.news.iter().for_each(news::tell);
        Ok(())
    }

    /// Meta would repeat an unreadable body for a week, and it would be as unreadable then: it is kept
    /// for people and acknowledged.
    async fn set_aside(&self, body: &[u8], reason: &webhook::ParseError) -> Result<(), Refusal> {
        self.door
            .set_aside(body)
            .await
            .map_err(Refusal::NotStored)?;
        metrics::counter!("ingress_set_aside_total", "lack" => "undecodable").increment(1);
        error!(
            body.bytes = body.len(),
            "a webhook of Meta's cannot be read and is kept in DEAD: {reason}"
        );
        Ok(())
    }
}

/// The whole body, if it arrives in time and keeps to the limit the routes set.
async fn read(request: Request) -> Result<Bytes, Refusal> {
    match timeout(BODY_TIMEOUT, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Refusal::TooLarge),
        Ok(Err(_)) | Err(_) => Err(Refusal::Incomplete),
    }
}

/// After the fact: a repetition counts again, as it did cross the door again.
fn count(intake: &Intake) {
    for fact in &intake.facts {
        match fact {
            Fact::Message(message) => {
                metrics::counter!("ingress_messages_total", "kind" => message.content.kind())
                    .increment(1);
                debug!(message.id = %message.id, user.id = %message.user, "message {} stored", message.id);
            }
            Fact::Status(report) => {
                let state = report.state.map_or("other", DeliveryState::as_str);
                metrics::counter!("ingress_statuses_total", "state" => state).increment(1);
                debug!(user.id = %report.user, delivery.state = state, "a delivery report is stored");
            }
        }
    }
    for (lack, _) in &intake.unattributable {
        metrics::counter!("ingress_set_aside_total", "lack" => lack.as_str()).increment(1);
        error!(
            lack = lack.as_str(),
            "a message or status is kept in DEAD: it lacks its {}",
            lack.as_str()
        );
    }
    metrics::counter!("ingress_items_for_others_total").increment(intake.for_others as u64);
}
