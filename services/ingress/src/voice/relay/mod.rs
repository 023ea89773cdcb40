//! Streamed conversations: Twilio converts speech to text and text to speech, and exchanges the text with us over
//! a WebSocket. `handshake` admits a socket, `session` serves it, and `conversation` decides what is said when.

mod conversation;
mod handshake;
mod session;
mod streamed_answer;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use claw_bus::Bus;
use claw_metrics::{RELAY_SESSIONS, RELAY_SESSIONS_OPEN, VOICE_UNSIGNED};
use claw_twilio::signature::{self, AuthTokens, PublicUrl, Signature};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, field::display, info, info_span, warn};

use super::{call_control::CallControl, paths};
use crate::{
    refusal::{Refusal, RefusalLog},
    request_id,
    unverified::UnverifiedRequests,
};
use handshake::{IncomingSocket, serve};

/// Largest message accepted. One utterance has a few kilobytes.
const MESSAGE_LIMIT_BYTES: usize = 64 * 1024;

/// Most sessions of one process at once.
const MAX_SESSIONS: usize = 2_000;

/// How long sessions have to move to another replica: speech that was sent is spoken to its end first.
pub(crate) const HANDOVER_GRACE: Duration = Duration::from_secs(15);

/// Where Twilio opens its sockets.
pub(crate) struct RelayEndpoint {
    pub(crate) tokens: AuthTokens,
    pub(crate) base: PublicUrl,
    pub(crate) bus: Bus,
    pub(crate) control: Arc<CallControl>,
    pub(crate) sessions: RelaySessions,
    pub(crate) unverified: UnverifiedRequests,
    pub(crate) refusals: Arc<RefusalLog>,
}

/// The sessions of this process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct RelaySessions {
    tasks: TaskTracker,
    /// One permit per session, [`MAX_SESSIONS`] in all.
    permits: Arc<Semaphore>,
    /// No new call starts a session here.
    closing: CancellationToken,
    /// Remaining sessions move to another replica.
    handing_over: CancellationToken,
}

/// The route that Twilio opens its sockets at.
pub(crate) fn routes(endpoint: RelayEndpoint) -> Router {
    Router::new()
        .route(paths::RELAY_SOCKET, get(open))
        .with_state(Arc::new(endpoint))
}

impl RelaySessions {
    pub(crate) fn new() -> Self {
        Self {
            tasks: TaskTracker::new(),
            permits: Arc::new(Semaphore::new(MAX_SESSIONS)),
            closing: CancellationToken::new(),
            handing_over: CancellationToken::new(),
        }
    }

    /// Whether a call may start a session here.
    pub(super) fn are_open(&self) -> bool {
        !self.closing.is_cancelled()
    }

    /// After `stop`, waits up to `grace` for all sessions to end, and then hands the remaining ones over to
    /// another replica, which takes up to [`HANDOVER_GRACE`].
    pub(crate) async fn run(self, stop: CancellationToken, grace: Duration) {
        stop.cancelled().await;
        self.closing.cancel();
        self.tasks.close();
        let live = self.tasks.len();
        if live > 0 {
            info!(calls = live, "waiting for {live} calls to end");
        }
        if timeout(grace, self.tasks.wait()).await.is_ok() {
            return;
        }
        let live = self.tasks.len();
        info!(calls = live, "handing {live} calls over to another replica");
        self.handing_over.cancel();
        if timeout(HANDOVER_GRACE, self.tasks.wait()).await.is_err() {
            let left = self.tasks.len();
            warn!(calls = left, "leaving {left} calls: Twilio reconnects them");
        }
    }
}

impl RelayEndpoint {
    /// Whether Twilio has signed the request.
    fn verifies(&self, request: &Request) -> bool {
        let headers = request.headers();
        let header = headers.get(signature::HEADER).map(HeaderValue::as_bytes);
        let path = request.uri().path_and_query();
        let path = path.map_or(paths::RELAY_SOCKET, |path| path.as_str());
        let url = self.base.of_websocket(path);
        let signature = Signature::parse(header);
        let verified = signature.and_then(|signature| self.tokens.verify_upgrade(signature, &url));
        if verified.is_ok() {
            let peer = self.unverified.peer_of(headers, request.extensions());
            self.unverified.prove(peer);
        }
        verified.is_ok()
    }
}

async fn open(
    State(endpoint): State<Arc<RelayEndpoint>>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    if !endpoint.verifies(&request) {
        VOICE_UNSIGNED.increment([]);
        let refusal = Refusal::Unsigned;
        let now = endpoint.control.clock.now();
        endpoint.refusals.log("relay", &refusal, now);
        return refusal.into_response();
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let Ok(permit) = Arc::clone(&endpoint.sessions.permits).try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let upgrade = upgrade
        .max_message_size(MESSAGE_LIMIT_BYTES)
        .max_frame_size(MESSAGE_LIMIT_BYTES);
    let tasks = endpoint.sessions.tasks.clone();
    let id = request_id::of(request.headers()).map(display);
    upgrade.on_upgrade(move |socket| {
        let socket = IncomingSocket {
            socket,
            bus: endpoint.bus.clone(),
            control: Arc::clone(&endpoint.control),
            handing_over: endpoint.sessions.handing_over.clone(),
        };
        let span = info_span!("ingress.relay", request.id = id);
        let session = async move {
            RELAY_SESSIONS_OPEN.increment([]);
            let outcome = match serve(socket).await {
                Ok(()) => "over",
                Err(error) => {
                    warn!("a streamed conversation failed: {error:#}");
                    "broken"
                }
            };
            RELAY_SESSIONS.increment([outcome]);
            RELAY_SESSIONS_OPEN.decrement([]);
            drop(permit);
        };
        // Boxed, because every upgrade would move this large future about.
        tasks.track_future(Box::pin(session.instrument(span)))
    })
}
