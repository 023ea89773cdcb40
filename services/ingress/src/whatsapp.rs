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
use claw_metrics::{
    DELIVERY_REPORTS_RECEIVED, MESSAGES_RECEIVED, WHATSAPP_DEAD_LETTERS, WHATSAPP_ITEMS_IGNORED,
    WHATSAPP_WEBHOOK_DURATION, WHATSAPP_WEBHOOKS,
};
use claw_runtime::Clock;
use claw_whatsapp::{
    signature::{self, AppSecrets},
    webhook::{self, SubscriptionError, verify_subscription},
};
use secrecy::SecretString;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, debug, error, field::display, info_span};

use crate::{
    body_budget::BodyBudget,
    event_sink::EventSink,
    intake::{Fact, Intake},
    operator_notice,
    refusal::{Refusal, RefusalLog},
    request_id,
};

/// Largest body accepted: Meta sends up to 3 MB.
const BODY_LIMIT_BYTES: usize = 3 * 1024 * 1024;

/// How long a body may take to arrive. Meta and Caddy send it in one go.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// The webhook that Meta calls.
pub(crate) struct WhatsAppWebhook {
    secrets: AppSecrets,
    token: SecretString,
    phone_number_id: String,
    events: EventSink,
    clock: Arc<dyn Clock>,
    bodies: BodyBudget,
    refusals: RefusalLog,
}

/// The routes that Meta calls.
pub(crate) fn routes(webhook: WhatsAppWebhook) -> Router {
    Router::new()
        .route("/whatsapp/webhook", get(verify).post(receive))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(Arc::new(webhook))
}

/// `GET`: someone subscribes the webhook at Meta, which checks that we know the verification token.
async fn verify(
    State(webhook): State<Arc<WhatsAppWebhook>>,
    RawQuery(query): RawQuery,
) -> Response {
    match verify_subscription(&query.unwrap_or_default(), &webhook.token) {
        Ok(challenge) => challenge.into_response(),
        Err(SubscriptionError::Malformed) => StatusCode::BAD_REQUEST.into_response(),
        Err(SubscriptionError::Refused) => StatusCode::FORBIDDEN.into_response(),
    }
}

/// `POST`: a notification. We answer 200 once it is on disk; after any other status Meta sends it again, for up
/// to 7 days.
async fn receive(State(webhook): State<Arc<WhatsAppWebhook>>, request: Request) -> Response {
    let started = Instant::now();
    // A new trace: the sender's headers do not choose ours.
    let id = request_id::of(request.headers()).map(display);
    let span = info_span!("ingress.webhook", otel.kind = "server", request.id = id);
    let result = webhook.take(request).instrument(span).await;
    let outcome = result.as_ref().map_or_else(Refusal::name, |()| "stored");
    WHATSAPP_WEBHOOKS.increment([outcome]);
    WHATSAPP_WEBHOOK_DURATION.observe(started.elapsed(), [outcome]);
    match result {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refusal) => {
            webhook.refusals.log(&refusal, webhook.clock.now());
            refusal.into_response()
        }
    }
}

impl WhatsAppWebhook {
    pub(crate) fn new(
        secrets: AppSecrets,
        token: SecretString,
        phone_number_id: String,
        events: EventSink,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            secrets,
            token,
            phone_number_id,
            events,
            clock,
            bodies: BodyBudget::new(BODY_LIMIT_BYTES),
            refusals: RefusalLog::default(),
        }
    }

    async fn take(&self, request: Request) -> Result<(), Refusal> {
        let signature = request
            .headers()
            .get(signature::HEADER)
            .cloned()
            .ok_or(Refusal::Unsigned)?;
        let _memory = self
            .bodies
            .reserve(request.headers())
            .ok_or(Refusal::Full)?;
        let body = read(request).await?;
        self.secrets
            .verify(Some(signature.as_bytes()), &body)
            .map_err(|_| Refusal::Unsigned)?;
        match webhook::parse(&body) {
            Ok(notification) => {
                let intake = Intake::of(notification, &self.phone_number_id, self.clock.now());
                self.store(&intake, body.len()).await
            }
            Err(reason) => self.dead_letter(&body, &reason).await,
        }
    }

    async fn store(&self, intake: &Intake, body_bytes: usize) -> Result<(), Refusal> {
        self.events.store(intake, body_bytes).await?;
        count(intake);
        intake.notices.iter().for_each(operator_notice::log);
        Ok(())
    }

    /// An unreadable body is kept for the operator and acknowledged: otherwise Meta would repeat it for a week,
    /// and it would remain unreadable.
    async fn dead_letter(&self, body: &[u8], reason: &webhook::ParseError) -> Result<(), Refusal> {
        self.events.dead_letter(body).await?;
        WHATSAPP_DEAD_LETTERS.increment(["undecodable"]);
        error!(
            body.bytes = body.len(),
            "moved a webhook of Meta's to DEAD: it cannot be read: {reason}"
        );
        Ok(())
    }
}

/// The body, if it arrives whole, in time and within the limit that the routes set.
async fn read(request: Request) -> Result<Bytes, Refusal> {
    match timeout(BODY_TIMEOUT, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Refusal::TooLarge),
        Ok(Err(_)) | Err(_) => Err(Refusal::Incomplete),
    }
}

/// Counts what was stored. A repetition counts again.
fn count(intake: &Intake) {
    for fact in &intake.facts {
        match fact {
            Fact::Message(message) => {
                MESSAGES_RECEIVED.increment([message.content.kind()]);
                debug!(message.id = %message.id, user.id = %message.user, "stored message {}", message.id);
            }
            Fact::Status(report) => {
                let state = report.state.map_or("other", DeliveryState::as_str);
                DELIVERY_REPORTS_RECEIVED.increment([state]);
                debug!(user.id = %report.user, delivery.state = state, "stored a delivery report");
            }
        }
    }
    for (lack, _) in &intake.unattributable {
        WHATSAPP_DEAD_LETTERS.increment([lack.as_str()]);
        error!(
            lack = lack.as_str(),
            "moved a message or status to DEAD: it lacks its {}",
            lack.as_str()
        );
    }
    WHATSAPP_ITEMS_IGNORED.add(intake.for_others as u64, []);
}
