use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use super::{
    ChatSend, CloseReason, Flood, FrameBudget, SendStatus,
    answers::{AbortAnswer, ChatSendAnswer, WakeAnswer},
    driver::{Command, Order},
    handshake::ServerInfo,
};
use crate::{
    CallError, Cursor, History, HistorySince, JobList, MAIN_SESSION, NotSent, Unanswered,
    frame::{
        Abort, ChatSendParams, HistoryDelta, HistoryPage, ListJobs, Nothing, Payload, Wake, encode,
    },
    jobs::MOST_JOBS,
    transcript::HistoryError,
};

/// How long a request waits for its answer. OpenClaw silently ignores a request it cannot decode.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest text of a row in a page. OpenClaw cuts at 8000 characters by default.
const PAGE_TEXT_CHARS: u32 = 500_000;
/// The longest page we ask for. OpenClaw leaves out the oldest rows of a longer one.
const PAGE_BYTES: u32 = 2 * 1024 * 1024;
/// The most rows OpenClaw returns at once. Hidden rows and tool calls count.
const PAGE_ROWS_LIMIT: u32 = 1000;
/// A message sent while another run (a heartbeat) is active waits for it and keeps its own answer.
const QUEUE_MODE: &str = "followup";

/// Sends requests over a connection. Cheap to clone; safe to use from many tasks.
#[derive(Clone)]
pub struct AgentHandle {
    orders: mpsc::Sender<Order>,
    closing: watch::Receiver<Option<CloseReason>>,
    server: Arc<ServerInfo>,
    next_id: Arc<AtomicU64>,
    budget: FrameBudget,
}

impl AgentHandle {
    pub(super) fn new(
        orders: mpsc::Sender<Order>,
        closing: watch::Receiver<Option<CloseReason>>,
        server: ServerInfo,
        budget: FrameBudget,
    ) -> Self {
        Self {
            orders,
            closing,
            server: Arc::new(server),
            next_id: Arc::new(AtomicU64::new(1)),
            budget,
        }
    }

    /// The id of the OpenClaw process at the other end. A different id than last time means that
    /// OpenClaw restarted, forgot its runs, and will take up the runs that were interrupted.
    pub fn boot_id(&self) -> &str {
        &self.server.boot_id
    }

    /// Waits until the connection closes, and returns the reason.
    pub async fn closed(&self) -> CloseReason {
        let mut closing = self.closing.clone();
        match closing.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(CloseReason::Asked),
            // The task ended without a reason: it panicked or its runtime was shut down.
            Err(_) => CloseReason::Asked,
        }
    }

    /// Whether the connection is closed.
    pub fn is_closed(&self) -> bool {
        self.orders.is_closed()
    }

    /// What the sandbox sent too much of, if that is why the connection is closed. Waits at most as long as closing
    /// takes.
    pub async fn flood(&self) -> Option<Flood> {
        if !self.is_closed() {
            return None;
        }
        self.closed().await.flood()
    }

    /// Sends a message. Does not wait for the assistant's answer.
    ///
    /// Send only while the session is idle and [`crate::run_status`] returns
    /// [`crate::RunStatus::Unknown`]: OpenClaw remembers run keys for five minutes, and only until
    /// its process ends; after that it would answer a second time. After [`CallError::Unknown`],
    /// read the transcript first.
    pub async fn send_chat(&self, send: &ChatSend) -> Result<SendStatus, CallError> {
        // OpenClaw refuses texts with NUL, which nobody can type or see.
        let text = send.text.expose().replace('\0', "");
        let params = ChatSendParams {
            session_key: &send.session,
            message: &text,
            idempotency_key: &send.run,
            queue_mode: QUEUE_MODE,
            suppress_command_interpretation: true,
            timeout_ms: milliseconds(send.timeout),
            system_provenance_receipt: send.note.as_ref().map(|note| note.expose().as_str()),
        };
        let answer: ChatSendAnswer = self.request("chat.send", &params).await?;
        Ok(answer.status())
    }

    /// The newest rows of a session, at most `limit`. Hidden rows count; `limit` is capped at 1000.
    /// Closes the connection with [`CloseReason::Flooded`] if there are more than twice as many.
    pub async fn history(&self, session: &str, limit: u32) -> Result<History, CallError> {
        let params = HistoryPage {
            session_key: session,
            limit: limit.clamp(1, PAGE_ROWS_LIMIT),
            max_chars: PAGE_TEXT_CHARS,
            max_bytes: PAGE_BYTES,
        };
        match self
            .read_long("chat.history", &params, History::read)
            .await?
        {
            Ok(history) => Ok(history),
            Err(HistoryError::Unreadable) => Err(CallError::Unknown(Unanswered::Unreadable)),
            Err(HistoryError::TooManyRows) => {
                // If the connection is closed already, nothing is left to do.
                self.orders.send(Order::CutOff(Flood::Rows)).await.ok();
                self.closed().await;
                Err(CallError::Unknown(Unanswered::Closed))
            }
        }
    }

    /// The rows appended to a session since `cursor`.
    pub async fn history_since(
        &self,
        session: &str,
        cursor: &Cursor,
    ) -> Result<HistorySince, CallError> {
        let params = HistoryDelta {
            session_key: session,
            cursor: cursor.as_str(),
        };
        let since = self
            .read_long("chat.history", &params, HistorySince::read)
            .await?;
        since.map_err(|_| CallError::Unknown(Unanswered::Unreadable))
    }

    /// The enabled jobs that OpenClaw runs by itself. Fails if a job of the list cannot be read.
    pub async fn jobs(&self) -> Result<JobList, CallError> {
        let params = ListJobs {
            limit: MOST_JOBS,
            compact: true,
        };
        let list = self.read_long("cron.list", &params, JobList::read).await?;
        list.ok_or(CallError::Unknown(Unanswered::Unreadable))
    }

    /// Whether a heartbeat has ended since OpenClaw started.
    pub async fn has_had_heartbeat(&self) -> Result<bool, CallError> {
        let last = self.call("last-heartbeat", &Nothing {}).await?;
        Ok(last.raw().get() != RawValue::NULL.get())
    }

    /// Begins a heartbeat at once; the assistant also reads `text`. Returns `false` if OpenClaw does not.
    pub async fn wake(&self, text: &str) -> Result<bool, CallError> {
        let params = Wake {
            mode: "now",
            text,
            session_key: MAIN_SESSION,
        };
        let answer: WakeAnswer = self.request("wake", &params).await?;
        Ok(answer.ok)
    }

    /// Decodes an answer that may be long.
    async fn read_long<P: Serialize, T: Send + 'static>(
        &self,
        method: &'static str,
        params: &P,
        read: fn(&RawValue) -> T,
    ) -> Result<T, CallError> {
        let payload = self.call(method, params).await?;
        let bytes = payload.raw().get().len();
        let decoded = self.budget.decode(bytes, move || read(payload.raw())).await;
        decoded.ok_or(CallError::Unknown(Unanswered::Closed))
    }

    /// Stops one run, or all active and queued runs of the session if `run` is `None`. Returns
    /// `false` if there was nothing to stop.
    pub async fn abort(&self, session: &str, run: Option<&str>) -> Result<bool, CallError> {
        let params = Abort {
            session_key: session,
            run_id: run,
        };
        let answer: AbortAnswer = self.request("chat.abort", &params).await?;
        Ok(answer.aborted)
    }

    /// Subscribes this connection to the [`crate::AgentEvent::SessionMessage`] events of all
    /// sessions. `chat` and lifecycle events come without a subscription.
    pub async fn subscribe(&self) -> Result<(), CallError> {
        self.call("sessions.subscribe", &Nothing {}).await?;
        Ok(())
    }

    async fn request<P, T>(&self, method: &'static str, params: &P) -> Result<T, CallError>
    where
        P: Serialize,
        T: DeserializeOwned,
    {
        self.call(method, params).await?.read().map_err(unreadable)
    }

    async fn call<P: Serialize>(
        &self,
        method: &'static str,
        params: &P,
    ) -> Result<Payload, CallError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed).to_string();
        let frame = encode(&id, method, params);
        self.check_length(&frame)?;
        let (answer, answered) = oneshot::channel();
        let order = Order::Send(Box::new(Command { id, frame, answer }));
        let exchange = async {
            if self.orders.send(order).await.is_err() {
                return Err(CallError::NotSent(NotSent::Closed));
            }
            // The driver answers every command it took; if it did not, it was torn down.
            let closed = CallError::Unknown(Unanswered::Closed);
            let response = answered.await.unwrap_or(Err(closed))?;
            response.outcome.map_err(CallError::Refused)
        };
        timeout(REQUEST_TIMEOUT, exchange)
            .await
            .unwrap_or(Err(CallError::Unknown(Unanswered::TimedOut)))
    }

    fn check_length(&self, frame: &str) -> Result<(), CallError> {
        let (bytes, limit) = (frame.len(), self.server.max_payload_bytes);
        if bytes > limit {
            return Err(CallError::NotSent(NotSent::TooLarge { bytes, limit }));
        }
        Ok(())
    }
}

impl fmt::Debug for AgentHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentHandle(boot {})", self.server.boot_id)
    }
}

fn unreadable(_: serde_json::Error) -> CallError {
    CallError::Unknown(Unanswered::Unreadable)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
