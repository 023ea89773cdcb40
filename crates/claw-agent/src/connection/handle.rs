use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use super::{
    ChatSend, CloseReason, ConnectOptions, Limits, SendStatus, SessionActivity, WaitOutcome,
    answers::{AbortAnswer, ChatSendAnswer, SessionsAnswer, WaitAnswer},
    driver::Command,
};
use crate::{
    CallError, Cursor, History, HistorySince, NotSent, Unanswered,
    frame::{Abort, ChatSendParams, HistoryDelta, HistoryPage, Nothing, Payload, Wait, encode},
};

/// The longest text of a row in a page; the gateway would cut at 8000 characters otherwise.
const PAGE_TEXT_CHARS: u32 = 500_000;
/// The longest page we ask for; older rows are left out of a longer one.
const PAGE_BYTES: u32 = 4 * 1024 * 1024;
/// The gateway refuses to page more rows at once. Hidden rows and tool calls count.
const MOST_ROWS: u32 = 1000;
/// Turns that overlap in spite of us (a heartbeat is running) wait, and keep their own answers.
const QUEUE_MODE: &str = "followup";

/// The way to send requests over a connection. Cheap to clone; safe to use from many tasks.
#[derive(Clone)]
pub struct AgentHandle {
    commands: mpsc::Sender<Box<Command>>,
    closing: watch::Receiver<Option<CloseReason>>,
    limits: Arc<Limits>,
    next_id: Arc<AtomicU64>,
    request_timeout: Duration,
}

impl AgentHandle {
    pub(super) fn new(
        commands: mpsc::Sender<Box<Command>>,
        closing: watch::Receiver<Option<CloseReason>>,
        limits: Arc<Limits>,
        options: &ConnectOptions,
    ) -> Self {
        Self {
            commands,
            closing,
            limits,
            next_id: Arc::new(AtomicU64::new(1)),
            request_timeout: options.request_timeout,
        }
    }

    /// The gateway process at the other end: another one than last time means that it restarted,
    /// forgot its runs, and will take up what it was interrupted in.
    pub fn boot_id(&self) -> &str {
        &self.limits.boot_id
    }

    /// What the gateway told about itself.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Waits until the connection is over, and tells why.
    pub async fn closed(&self) -> CloseReason {
        let mut closing = self.closing.clone();
        match closing.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or(CloseReason::Asked),
            // The task is gone without a word: it panicked or its runtime ended.
            Err(_) => CloseReason::Asked,
        }
    }

    /// Whether the connection is over.
    pub fn is_closed(&self) -> bool {
        self.commands.is_closed()
    }

    /// Sends a message. Does not wait for the answer to it.
    ///
    /// Send only when the session is idle and [`crate::standing`] says
    /// [`crate::Standing::Unknown`]: the gateway remembers run keys for five minutes of one
    /// process, and after that would answer again. After [`CallError::Unknown`] look first.
    pub async fn send_chat(&self, send: &ChatSend) -> Result<SendStatus, CallError> {
        // The gateway refuses texts with NUL, which nobody can type or see.
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
        let answer: ChatSendAnswer = self.ask("chat.send", &params).await?;
        Ok(answer.status())
    }

    /// The newest rows of a session, at most `limit` (1000) with hidden ones counted.
    pub async fn history(&self, session: &str, limit: u32) -> Result<History, CallError> {
        let params = HistoryPage {
            session_key: session,
            limit: limit.clamp(1, MOST_ROWS),
            max_chars: PAGE_TEXT_CHARS,
            max_bytes: PAGE_BYTES,
        };
        let payload = self.call("chat.history", &params).await?;
        History::read(payload.raw()).map_err(unreadable)
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
        let payload = self.call("chat.history", &params).await?;
        HistorySince::read(payload.raw()).map_err(unreadable)
    }

    /// Waits until a run has ended, at most `at_most`; zero asks without waiting.
    pub async fn wait(&self, run: &str, at_most: Duration) -> Result<WaitOutcome, CallError> {
        let params = Wait {
            run_id: run,
            timeout_ms: milliseconds(at_most),
        };
        let payload = self
            .call_within("agent.wait", &params, at_most + self.request_timeout)
            .await?;
        payload.read().map(WaitAnswer::outcome).map_err(unreadable)
    }

    /// Stops a run, or without one whatever waits or runs in the session. `false` if there was nothing to
    /// stop.
    pub async fn abort(&self, session: &str, run: Option<&str>) -> Result<bool, CallError> {
        let params = Abort {
            session_key: session,
            run_id: run,
        };
        let answer: AbortAnswer = self.ask("chat.abort", &params).await?;
        Ok(answer.aborted)
    }

    /// Asks for [`crate::AgentEvent::SessionMessage`] events, of all sessions. `chat` and lifecycle
    /// events come without it. Ends with the connection.
    pub async fn subscribe(&self) -> Result<(), CallError> {
        self.call("sessions.subscribe", &Nothing {}).await?;
        Ok(())
    }

    /// All sessions and what they are doing.
    pub async fn sessions(&self) -> Result<Vec<SessionActivity>, CallError> {
        let answer: SessionsAnswer = self.ask("sessions.list", &Nothing {}).await?;
        Ok(answer.sessions())
    }

    async fn ask<P, T>(&self, method: &'static str, params: &P) -> Result<T, CallError>
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
        self.call_within(method, params, self.request_timeout).await
    }

    async fn call_within<P: Serialize>(
        &self,
        method: &'static str,
        params: &P,
        at_most: Duration,
    ) -> Result<Payload, CallError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed).to_string();
        let frame = encode(&id, method, params);
        self.check_length(&frame)?;
        let (answer, answered) = oneshot::channel();
        let command = Box::new(Command { id, frame, answer });
        let exchange = async {
            if self.commands.send(command).await.is_err() {
                return Err(CallError::NotSent(NotSent::Closed));
            }
            // The task answers every command it took; without one it must have been torn down.
            let closed = CallError::Unknown(Unanswered::Closed);
            let response = answered.await.unwrap_or(Err(closed))?;
            response.outcome.map_err(CallError::Refused)
        };
        timeout(at_most, exchange)
            .await
            .unwrap_or(Err(CallError::Unknown(Unanswered::TimedOut)))
    }

    fn check_length(&self, frame: &str) -> Result<(), CallError> {
        let (bytes, limit) = (frame.len(), self.limits.max_payload_bytes);
        if bytes > limit {
            return Err(CallError::NotSent(NotSent::TooLarge { bytes, limit }));
        }
        Ok(())
    }
}

impl fmt::Debug for AgentHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgentHandle(boot {})", self.limits.boot_id)
    }
}

fn unreadable(_: serde_json::Error) -> CallError {
    CallError::Unknown(Unanswered::Unreadable)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
