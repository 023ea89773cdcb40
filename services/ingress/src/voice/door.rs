use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Request, State},
    http::{HeaderValue, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use claw_calls::TicketCode;
use claw_twilio::{
    form::{Form, VoiceRequest},
    signature::{self, AuthTokens, PublicUrl, SignatureError},
    twiml::CONTENT_TYPE as CONTENT_TYPE_TWIML,
};
use metrics::{counter, histogram};
use tokio::time::{Instant, timeout};
use tracing::{Instrument, info_span, warn};

use super::{
    conversation::Conversation,
    dialogue::{Beat, sorry},
    recent::Recent,
    relay::Lines,
    script,
    thread::Thread,
};
use crate::{VoiceMode, room::Room};

/// Largest body taken. Twilio's own have some kilobytes.
pub(super) const BODY_LIMIT_BYTES: usize = 256 * 1024;

/// How long a body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Whatever happens: before this a caller hears something. Twilio waits for 15 s in all.
const ANSWER_LIMIT: Duration = Duration::from_secs(12);

/// What Twilio calls.
pub(crate) struct Door {
    pub(crate) tokens: AuthTokens,
    pub(crate) base: PublicUrl,
    pub(crate) conversation: Arc<Conversation>,
    pub(crate) mode: VoiceMode,
    pub(crate) lines: Lines,
    pub(crate) recent: Recent,
    pub(crate) room: Room,
}

/// Which webhook was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Voice,
    Transcription,
    Reply,
    CallStatus,
    Fallback,
    RelayDone,
}

/// A request that is Twilio's.
struct Genuine {
    request: VoiceRequest,
    thread: Thread,
    /// The same for every repetition of it.
    token: Option<String>,
}

/// The webhooks of our number, and the URLs we hand to Twilio.
pub(crate) fn routes(door: Door) -> Router {
    let webhook = |asked: Asked| {
        post(
            move |State(door): State<Arc<Door>>, request: Request| async move {
                door.answer(asked, request).await
            },
        )
    };
    Router::new()
        .route("/voice/webhook/voice", webhook(Asked::Voice))
        .route(
            "/voice/webhook/transcription",
            webhook(Asked::Transcription),
        )
        .route("/voice/webhook/reply", webhook(Asked::Reply))
        .route("/voice/webhook/call-status", webhook(Asked::CallStatus))
        .route("/voice/webhook/fallback", webhook(Asked::Fallback))
        .route("/voice/webhook/relay-done", webhook(Asked::RelayDone))
        .route("/voice/health", get(|| async { StatusCode::OK }))
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(Arc::new(door))
}

impl Asked {
    const fn name(self) -> &'static str {
        match self {
            Self::Voice => "voice",
            Self::Transcription => "transcription",
            Self::Reply => "reply",
            Self::CallStatus => "call_status",
            Self::Fallback => "fallback",
            Self::RelayDone => "relay_done",
        }
    }
}

impl Door {
    async fn answer(&self, asked: Asked, request: Request) -> Response {
        let started = Instant::now();
        let span = info_span!(
            "ingress.voice",
            otel.kind = "server",
            webhook = asked.name()
        );
        let genuine = self.read(request).instrument(span.clone()).await;
        let response = match genuine {
            Ok(genuine) => self.respond(asked, genuine).instrument(span).await,
            Err(status) => status.into_response(),
        };
        let outcome = if response.status().is_success() {
            "answered"
        } else {
            "refused"
        };
        counter!("ingress_voice_total", "webhook" => asked.name(), "outcome" => outcome)
            .increment(1);
        histogram!("ingress_voice_seconds", "webhook" => asked.name())
            .record(started.elapsed().as_secs_f64());
        response
    }

    async fn respond(&self, asked: Asked, genuine: Genuine) -> Response {
        if asked == Asked::CallStatus {
            // Without a 2xx it is told again, if Twilio is set up to.
            let told = timeout(ANSWER_LIMIT, self.conversation.status(&genuine.request)).await;
            return match told {
                Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
                Ok(Err(_)) | Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
            };
        }
        let token = genuine.token.clone();
        let make = self.document(asked, genuine);
        let document = self.recent.answer(token.as_deref(), make).await;
        let xml = [(CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE_TWIML))];
        (xml, document.to_string()).into_response()
    }

    /// What is said, whatever happens.
    async fn document(&self, asked: Asked, genuine: Genuine) -> Arc<str> {
        let Genuine {
            request, thread, ..
        } = genuine;
        let next = timeout(ANSWER_LIMIT, self.next(asked, &request, thread)).await;
        let (thread, beat, ticket) = match next {
            Ok(Ok(next)) => next,
            Ok(Err(error)) => {
                warn!(
                    error = &*error as &dyn std::error::Error,
                    "a caller is told that something is broken"
                );
                counter!("ingress_voice_apologies_total").increment(1);
                (thread, sorry(), None)
            }
            Err(_elapsed) => {
                counter!("ingress_voice_apologies_total").increment(1);
                warn!("a caller is told that something is broken: nothing answered in time");
                (thread, sorry(), None)
            }
        };
        script::write(&self.base, thread, &beat, ticket.as_ref())
            .into_exposed()
            .into()
    }

    async fn next(
        &self,
        asked: Asked,
        request: &VoiceRequest,
        thread: Thread,
    ) -> anyhow::Result<(Thread, Beat, Option<TicketCode>)> {
        let (thread, beat) = self.beat(asked, request, thread).await?;
        let ticket = match self.mode {
            VoiceMode::Gather => None,
            // While we are being replaced, a call that cannot be handed over is best held turn by turn.
            VoiceMode::Relay if !self.lines.are_open() => None,
            VoiceMode::Relay => self.conversation.ticket(request, thread, &beat).await,
        };
        Ok((thread, beat, ticket))
    }

    async fn beat(
        &self,
        asked: Asked,
        request: &VoiceRequest,
        thread: Thread,
    ) -> anyhow::Result<(Thread, Beat)> {
        match asked {
            Asked::Voice => self.conversation.ring(request).await,
            Asked::Transcription => self.conversation.spoken(request, thread).await,
            Asked::Reply => self.conversation.wait(request, thread).await,
            Asked::RelayDone => self.conversation.relay_done(request, thread).await,
            Asked::Fallback | Asked::CallStatus => self.conversation.fallback(request).await,
        }
    }

    /// The request, if it is Twilio's; the status for whoever else it is from.
    async fn read(&self, request: Request) -> Result<Genuine, StatusCode> {
        let headers = request.headers();
        let signature = headers.get(signature::HEADER).cloned();
        let signature = signature.ok_or(StatusCode::FORBIDDEN)?;
        let token = headers.get(signature::IDEMPOTENCY_HEADER).cloned();
        let uri = request.uri().clone();
        let place = self.room.for_body(request.headers());
        let _place = place.ok_or(StatusCode::SERVICE_UNAVAILABLE)?;
        let body = timeout(BODY_TIMEOUT, Bytes::from_request(request, &())).await;
        let body = match body {
            Ok(Ok(body)) => body,
            Ok(Err(error)) => return Err(error.status()),
            Err(_elapsed) => return Err(StatusCode::REQUEST_TIMEOUT),
        };
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let form = Form::parse(&body);
        self.tokens
            .verify_form(Some(signature.as_bytes()), &self.base.of(path), &form)
            .map_err(refused)?;
        let request = VoiceRequest::read(&form).map_err(|_| StatusCode::BAD_REQUEST)?;
        let thread = match uri.query() {
            Some(query) => Thread::read(query),
            None => Thread::begin(&request.caller),
        };
        Ok(Genuine {
            request,
            thread,
            token: token.and_then(|token| token.to_str().map(str::to_owned).ok()),
        })
    }
}

fn refused(error: SignatureError) -> StatusCode {
    counter!("ingress_voice_unsigned_total").increment(1);
    warn!("a voice webhook is refused: {error} (is BASE_URL what is set at Twilio?)");
    StatusCode::FORBIDDEN
}
