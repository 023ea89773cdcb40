use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{RawQuery, Request, State},
    http::{HeaderValue, StatusCode},
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
    signature::{self, AppSecrets, Signature},
    webhook::{self, SubscriptionError, verify_subscription},
};
use secrecy::SecretString;
use tokio::time::Instant;
use tracing::{Instrument, debug, error, field::display, info_span};

use crate::{
    Keys,
    event_sink::EventSink,
    intake::{Fact, Intake},
    operator_notice,
    refusal::{Refusal, RefusalLog},
    request_id,
    unverified::{self, BodyLimits, HeldBody, UnverifiedRequests},
};

/// Meta sends up to 3 MB, in one go.
const BODY_LIMITS: BodyLimits = BodyLimits {
    bytes: 3 * 1024 * 1024,
    time: Duration::from_secs(10),
};

/// The webhook that Meta calls.
pub(crate) struct WhatsAppWebhook {
    secrets: AppSecrets,
    token: SecretString,
    phone_number_id: String,
    keys: Keys,
    events: EventSink,
    clock: Arc<dyn Clock>,
    unverified: UnverifiedRequests,
    refusals: RefusalLog,
}

/// The routes that Meta calls.
pub(crate) fn routes(webhook: WhatsAppWebhook) -> Router {
    Router::new()
        .route("/whatsapp/webhook", get(verify).post(receive))
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
    let result = webhook.take(request).await;
    let outcome = result.as_ref().map_or_else(Refusal::name, |()| "stored");
    WHATSAPP_WEBHOOKS.increment([outcome]);
    WHATSAPP_WEBHOOK_DURATION.observe(started.elapsed(), [outcome]);
    match result {
        Ok(()) => StatusCode::OK.into_response(),
        Err(refusal) => {
            webhook
                .refusals
                .log("whatsapp", &refusal, webhook.clock.now());
            refusal.into_response()
        }
    }
}

impl WhatsAppWebhook {
    pub(crate) fn new(
        secrets: AppSecrets,
        token: SecretString,
        phone_number_id: String,
        keys: Keys,
        events: EventSink,
        clock: Arc<dyn Clock>,
        unverified: UnverifiedRequests,
    ) -> Self {
        Self {
            secrets,
            token,
            phone_number_id,
            keys,
            events,
            clock,
            unverified,
            refusals: RefusalLog::default(),
        }
    }

    async fn take(&self, request: Request) -> Result<(), Refusal> {
        let id = request_id::of(request.headers()).map(display);
        let body = self.verify(request).await?;
        // A new trace: the sender's headers do not choose ours. Strangers cause none.
        let span = info_span!("ingress.webhook", otel.kind = "server", request.id = id);
        self.take_verified(&body).instrument(span).await
    }

    /// Reads the body, and verifies its signature.
    async fn verify(&self, request: Request) -> Result<HeldBody, Refusal> {
        let header = request.headers().get(signature::HEADER);
        let signature = Signature::parse(header.map(HeaderValue::as_bytes));
        let Ok(signature) = signature else {
            unverified::discard(request.into_body()).await;
            return Err(Refusal::Unsigned);
        };
        let body = self.unverified.read(request, BODY_LIMITS).await?;
        self.secrets
            .verify(signature, &body)
            .map_err(|_| Refusal::Unsigned)?;
        body.verified();
        Ok(body)
    }

    async fn take_verified(&self, body: &[u8]) -> Result<(), Refusal> {
        match webhook::parse(body) {
            Ok(notification) => {
                let (ours, now) = (&self.phone_number_id, self.clock.now());
                let intake = Intake::of(notification, ours, &self.keys, now);
                self.store(&intake, body.len()).await
            }
            Err(reason) => self.dead_letter(body, &reason).await,
        }
    }

    async fn store(&self, intake: &Intake, body_bytes: usize) -> Result<(), Refusal> {
        self.events.store(intake, body_bytes).await?;
        count(intake);
        for notice in &intake.notices {
            operator_notice::report(self.events.publisher(), notice).await;
        }
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
