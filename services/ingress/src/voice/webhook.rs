use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use claw_calls::TicketCode;
use claw_metrics::{VOICE_APOLOGIES, VOICE_UNSIGNED, VOICE_WEBHOOK_DURATION, VOICE_WEBHOOKS};
use claw_twilio::{
    form::{Form, VoiceRequest},
    signature::{self, AuthTokens, PublicUrl, Signature},
    twiml::CONTENT_TYPE as CONTENT_TYPE_TWIML,
};
use strum::IntoStaticStr;
use tokio::time::{Instant, timeout};
use tracing::{Instrument, field::display, info_span, warn};

use super::{
    call_control::CallControl,
    call_state::CallState,
    dialogue::{CallResponse, apologize},
    paths,
    relay::RelaySessions,
    response_cache::ResponseCache,
    twiml,
};
use crate::{
    VoiceMode,
    refusal::{Refusal, RefusalLog},
    request_id,
    unverified::{self, BodyLimits, UnverifiedRequests},
};

/// Twilio's bodies have a few kilobytes.
const BODY_LIMITS: BodyLimits = BodyLimits {
    bytes: 256 * 1024,
    time: Duration::from_secs(5),
};

/// The latest moment at which a caller hears something, if only an apology. Twilio gives up after 15 s.
const RESPONSE_LIMIT: Duration = Duration::from_secs(12);

/// The webhooks that Twilio calls.
pub(crate) struct VoiceWebhook {
    pub(crate) tokens: AuthTokens,
    pub(crate) base: PublicUrl,
    pub(crate) control: Arc<CallControl>,
    pub(crate) mode: VoiceMode,
    pub(crate) sessions: RelaySessions,
    pub(crate) responses: ResponseCache,
    pub(crate) unverified: UnverifiedRequests,
    pub(crate) refusals: Arc<RefusalLog>,
}

/// Which webhook was called; metrics and traces contain its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
enum Endpoint {
    Voice,
    Transcription,
    Reply,
    CallStatus,
    Fallback,
    RelayDone,
}

/// A request with a valid signature of Twilio's.
struct VerifiedRequest {
    request: VoiceRequest,
    state: CallState,
    /// Repetitions of a request have the same token.
    idempotency_token: Option<String>,
}

/// The routes of the webhooks.
pub(crate) fn routes(webhook: VoiceWebhook) -> Router {
    let handler = |endpoint: Endpoint| {
        post(
            move |State(webhook): State<Arc<VoiceWebhook>>, request: Request| async move {
                webhook.handle(endpoint, request).await
            },
        )
    };
    Router::new()
        .route(paths::VOICE, handler(Endpoint::Voice))
        .route(paths::TRANSCRIPTION, handler(Endpoint::Transcription))
        .route(paths::REPLY, handler(Endpoint::Reply))
        .route(paths::CALL_STATUS, handler(Endpoint::CallStatus))
        .route(paths::FALLBACK, handler(Endpoint::Fallback))
        .route(paths::RELAY_DONE, handler(Endpoint::RelayDone))
        .route("/voice/health", get(|| async { StatusCode::OK }))
        .with_state(Arc::new(webhook))
}

impl VoiceWebhook {
    async fn handle(&self, endpoint: Endpoint, request: Request) -> Response {
        let started = Instant::now();
        let name = endpoint.into_str();
        let id = request_id::of(request.headers()).map(display);
        let (response, outcome) = match self.verify(request).await {
            Ok(verified) => {
                let span = info_span!(
                    "ingress.voice",
                    otel.kind = "server",
                    webhook = name,
                    request.id = id
                );
                let response = self.respond(endpoint, verified).instrument(span).await;
                let is_success = response.status().is_success();
                (response, if is_success { "answered" } else { "failed" })
            }
            Err(refusal) => {
                let outcome = refusal.name();
                self.refusals.log(name, &refusal, self.control.clock.now());
                (refusal.into_response(), outcome)
            }
        };
        VOICE_WEBHOOKS.increment([name, outcome]);
        VOICE_WEBHOOK_DURATION.observe(started.elapsed(), [name]);
        response
    }

    async fn respond(&self, endpoint: Endpoint, verified: VerifiedRequest) -> Response {
        if endpoint == Endpoint::CallStatus {
            let published = self.control.status_changed(&verified.request);
            // Without a 2xx Twilio repeats the request, if it is configured to.
            return match timeout(RESPONSE_LIMIT, published).await {
                Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
                Ok(Err(_)) | Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            };
        }
        let token = verified.idempotency_token.clone();
        let document = self.document(endpoint, verified);
        let document = self.responses.get_or_make(token.as_deref(), document).await;
        let xml = [(CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE_TWIML))];
        (xml, document.to_string()).into_response()
    }

    /// The TwiML to answer with; an apology if anything fails.
    async fn document(&self, endpoint: Endpoint, verified: VerifiedRequest) -> Arc<str> {
        let VerifiedRequest { request, state, .. } = verified;
        let decided = timeout(RESPONSE_LIMIT, self.decide(endpoint, &request, state)).await;
        let failure = match decided {
            Ok(Ok((state, response, ticket))) => {
                return self.write(state, &response, ticket.as_ref());
            }
            Ok(Err(error)) => error,
            Err(elapsed) => elapsed.into(),
        };
        warn!(
            error = &*failure as &dyn std::error::Error,
            "cannot answer a caller, who hears an apology"
        );
        VOICE_APOLOGIES.increment([]);
        self.write(state, &apologize(), None)
    }

    fn write(
        &self,
        state: CallState,
        response: &CallResponse,
        ticket: Option<&TicketCode>,
    ) -> Arc<str> {
        let document = twiml::document(&self.base, state, response, ticket);
        document.into_exposed().into()
    }

    async fn decide(
        &self,
        endpoint: Endpoint,
        request: &VoiceRequest,
        state: CallState,
    ) -> anyhow::Result<(CallState, CallResponse, Option<TicketCode>)> {
        let control = &self.control;
        let (state, response) = match endpoint {
            Endpoint::Voice => control.ring(request).await,
            Endpoint::Transcription => control.spoke(request, state).await,
            Endpoint::Reply => control.wait(request, state).await,
            Endpoint::RelayDone => control.relay_done(request, state).await,
            Endpoint::Fallback | Endpoint::CallStatus => control.fallback(request).await,
        }?;
        let ticket = match self.mode {
            VoiceMode::Gather => None,
            // This replica is stopping, and a call with webhooks can go on at any other.
            VoiceMode::Relay if !self.sessions.are_open() => None,
            VoiceMode::Relay => control.issue_ticket(request, state, &response).await,
        };
        Ok((state, response, ticket))
    }

    /// Reads a request and verifies its signature.
    async fn verify(&self, request: Request) -> Result<VerifiedRequest, Refusal> {
        let headers = request.headers();
        let header = headers.get(signature::HEADER).map(HeaderValue::as_bytes);
        let Ok(signature) = Signature::parse(header) else {
            VOICE_UNSIGNED.increment([]);
            unverified::discard(request.into_body()).await;
            return Err(Refusal::Unsigned);
        };
        let token = headers.get(signature::IDEMPOTENCY_HEADER).cloned();
        let uri = request.uri().clone();
        let body = self.unverified.read(request, BODY_LIMITS).await?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let form = Form::parse(&body);
        let url = self.base.of(path);
        if self.tokens.verify_form(signature, &url, &form).is_err() {
            VOICE_UNSIGNED.increment([]);
            return Err(Refusal::Unsigned);
        }
        body.verified();
        let request = VoiceRequest::read(&form).map_err(|_| Refusal::Malformed)?;
        let state = match uri.query() {
            Some(query) => CallState::read(query),
            None => CallState::begin(&request.caller),
        };
        Ok(VerifiedRequest {
            request,
            state,
            idempotency_token: token.and_then(|token| token.to_str().map(str::to_owned).ok()),
        })
    }
}
