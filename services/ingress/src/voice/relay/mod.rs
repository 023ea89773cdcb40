//! Streamed conversations: Twilio hears and speaks, and exchanges text with us over a WebSocket. What is said
//! when is decided in `talk`; `line` carries it to and fro, once `arrival` has let the socket in.

mod answering;
mod arrival;
mod handoff;
mod line;
mod talk;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{HeaderMap, HeaderValue, StatusCode, Uri},
    response::{IntoResponse, Response},
    routing::get,
};
use claw_bus::Bus;
use claw_twilio::signature::{self, AuthTokens, PublicUrl};
use metrics::{counter, gauge};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, info, info_span, warn};

use super::conversation::Conversation;
use arrival::{Arrival, hold};
pub(super) use handoff::Handoff;

/// Where Twilio's sockets come in.
pub(super) const PATH: &str = "/voice/relay";

/// The parameter of a document, and of the socket's first message, with the ticket.
pub(super) const TICKET: &str = "ticket";

/// Turns that a streamed conversation has numbers for. What comes after it is numbered from there.
pub(super) const TURNS: u32 = 1_000_000;

/// Largest message taken: what somebody says at one go has some kilobytes.
const MESSAGE_LIMIT_BYTES: usize = 64 * 1024;

/// Most conversations at once in one process.
const MOST_LINES: usize = 2_000;

/// How long lines have that are told to move: what was said is spoken to its end first.
pub(crate) const MOVE_GRACE: Duration = Duration::from_secs(15);

/// The door for sockets.
pub(crate) struct RelayDoor {
    pub(crate) tokens: AuthTokens,
    pub(crate) base: PublicUrl,
    pub(crate) bus: Bus,
    pub(crate) conversation: Arc<Conversation>,
    pub(crate) lines: Lines,
}

/// The streamed conversations of this process.
#[derive(Clone)]
pub(crate) struct Lines {
    tasks: TaskTracker,
    /// Has [`MOST_LINES`] permits.
    places: Arc<Semaphore>,
    /// No call is to begin here.
    closing: CancellationToken,
    /// Whoever is still on the line goes on at another replica.
    moving: CancellationToken,
}

/// The way in for sockets.
pub(crate) fn routes(door: RelayDoor) -> Router {
    Router::new()
        .route(PATH, get(enter))
        .with_state(Arc::new(door))
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self {
            tasks: TaskTracker::new(),
            places: Arc::new(Semaphore::new(MOST_LINES)),
            closing: CancellationToken::new(),
            moving: CancellationToken::new(),
        }
    }

    /// Whether a call may begin here.
    pub(super) fn are_open(&self) -> bool {
        !self.closing.is_cancelled()
    }

    /// After `stop` waits until everyone has hung up, at most for `grace`; whoever is still there then is
    /// handed to another replica.
    pub(crate) async fn run(self, stop: CancellationToken, grace: Duration) {
        stop.cancelled().await;
        self.closing.cancel();
        self.tasks.close();
        let live = self.tasks.len();
        if live > 0 {
            info!(calls = live, "letting {live} calls finish");
        }
        if timeout(grace, self.tasks.wait()).await.is_ok() {
            return;
        }
        let live = self.tasks.len();
        info!(calls = live, "handing {live} calls to another replica");
        self.moving.cancel();
        if timeout(MOVE_GRACE, self.tasks.wait()).await.is_err() {
            let left = self.tasks.len();
            warn!(calls = left, "leaving {left} calls: Twilio reconnects them");
        }
    }
}

async fn enter(
    State(door): State<Arc<RelayDoor>>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let path = uri.path_and_query().map_or(PATH, |path| path.as_str());
    let header = headers.get(signature::HEADER).map(HeaderValue::as_bytes);
    let url = door.base.of_websocket(path);
    if let Err(error) = door.tokens.verify_upgrade(header, &url) {
        counter!("ingress_voice_unsigned_total").increment(1);
        warn!("a socket of the phone is refused: {error} (is BASE_URL what Twilio reaches us by?)");
        return StatusCode::FORBIDDEN.into_response();
    }
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let Ok(place) = Arc::clone(&door.lines.places).try_acquire_owned() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let upgrade = upgrade
        .max_message_size(MESSAGE_LIMIT_BYTES)
        .max_frame_size(MESSAGE_LIMIT_BYTES);
    let tasks = door.lines.tasks.clone();
    upgrade.on_upgrade(move |socket| {
        let arrival = Arrival {
            socket,
            bus: door.bus.clone(),
            conversation: Arc::clone(&door.conversation),
            moving: door.lines.moving.clone(),
        };
        let span = info_span!("ingress.relay");
        let held = async move {
            gauge!("ingress_relay_lines").increment(1.0);
            let outcome = match hold(arrival).await {
                Ok(()) => "over",
                Err(error) => {
                    warn!("a streamed conversation broke off: {error:#}");
                    "broken"
                }
            };
            counter!("ingress_relay_lines_total", "outcome" => outcome).increment(1);
            gauge!("ingress_relay_lines").decrement(1.0);
            drop(place);
        };
        // Boxed: it is large, and every upgrade would carry it about.
        tasks.track_future(Box::pin(held.instrument(span)))
    })
}
