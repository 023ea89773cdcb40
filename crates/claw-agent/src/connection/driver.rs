use std::{collections::HashMap, ops::ControlFlow, time::Duration};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    select,
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message},
};
use tokio_util::sync::CancellationToken;

use super::{CloseReason, EVENTS_IN_FLIGHT};
use crate::{
    AgentEvent, CallError, NotSent, Unanswered,
    frame::{Incoming, Response, decode},
};

/// How long one write may take. Nothing is read meanwhile, and OpenClaw disconnects slow readers.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the closing handshake may take before the socket is dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// Capacity kept free for other events: deltas are dropped when less is left. The final event
/// repeats the whole text.
const CAPACITY_WITHOUT_DELTAS: usize = EVENTS_IN_FLIGHT / 2;

pub(super) type Answer = Result<Response, CallError>;

/// A request on its way to the socket.
pub(super) struct Command {
    pub(super) id: String,
    pub(super) frame: String,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// The task that owns the socket.
pub(super) struct Driver<S> {
    socket: WebSocketStream<S>,
    commands: mpsc::Receiver<Box<Command>>,
    events: mpsc::Sender<Box<AgentEvent>>,
    stop: CancellationToken,
    /// The callers of unanswered requests, by request id.
    waiting: HashMap<String, oneshot::Sender<Answer>>,
    silence_limit: Duration,
    last_heard: Instant,
}

type Flow = ControlFlow<CloseReason>;

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    pub(super) fn new(
        socket: WebSocketStream<S>,
        commands: mpsc::Receiver<Box<Command>>,
        events: mpsc::Sender<Box<AgentEvent>>,
        stop: CancellationToken,
        silence_limit: Duration,
    ) -> Self {
        Self {
            socket,
            commands,
            events,
            stop,
            waiting: HashMap::new(),
            silence_limit,
            last_heard: Instant::now(),
        }
    }

    /// Runs until the connection closes, and answers every call that is still open by then.
    pub(super) async fn run(mut self) -> CloseReason {
        let reason = loop {
            if let ControlFlow::Break(reason) = self.step().await {
                break reason;
            }
        };
        self.fail_calls();
        // The connection is over, whether or not the peer completes the closing handshake.
        timeout(CLOSE_TIMEOUT, self.socket.close(None)).await.ok();
        reason
    }

    async fn step(&mut self) -> Flow {
        select! {
            () = self.stop.cancelled() => Flow::Break(CloseReason::Asked),
            () = sleep_until(self.last_heard + self.silence_limit) => {
                Flow::Break(CloseReason::Silent)
            }
            message = self.socket.next() => self.receive(message),
            Some(command) = self.commands.recv() => self.write(*command).await,
        }
    }

    fn receive(&mut self, message: Option<Result<Message, tungstenite::Error>>) -> Flow {
        self.last_heard = Instant::now();
        match message {
            Some(Ok(Message::Text(text))) => self.dispatch(&text),
            // tungstenite answers a ping itself during the next read.
            Some(Ok(
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_),
            )) => Flow::Continue(()),
            Some(Ok(Message::Close(frame))) => Flow::Break(CloseReason::of_frame(frame)),
            Some(Err(error)) => Flow::Break(CloseReason::of_error(error)),
            None => Flow::Break(CloseReason::of_frame(None)),
        }
    }

    fn dispatch(&mut self, text: &str) -> Flow {
        match decode(text) {
            Some(Incoming::Response(response)) => {
                // No caller waits for a late answer, and a caller may have been dropped.
                if let Some(waiting) = self.waiting.remove(&response.id) {
                    waiting.send(Ok(response)).ok();
                }
                Flow::Continue(())
            }
            Some(Incoming::Event(event)) => self.deliver(event),
            None => {
                tracing::debug!(
                    frame.bytes = text.len(),
                    "ignored a frame that cannot be decoded"
                );
                Flow::Continue(())
            }
        }
    }

    fn deliver(&mut self, event: AgentEvent) -> Flow {
        let is_noise = matches!(event, AgentEvent::Tick | AgentEvent::Other { .. });
        let is_delta = matches!(event, AgentEvent::ChatDelta { .. });
        if is_noise || (is_delta && self.events.capacity() < CAPACITY_WITHOUT_DELTAS) {
            return Flow::Continue(());
        }
        match self.events.try_send(Box::new(event)) {
            Ok(()) => Flow::Continue(()),
            Err(mpsc::error::TrySendError::Full(_)) => Flow::Break(CloseReason::Lagged),
            Err(mpsc::error::TrySendError::Closed(_)) => Flow::Break(CloseReason::Asked),
        }
    }

    async fn write(&mut self, command: Command) -> Flow {
        self.waiting.retain(|_, waiting| !waiting.is_closed());
        self.waiting.insert(command.id, command.answer);
        match timeout(
            WRITE_TIMEOUT,
            self.socket.send(Message::text(command.frame)),
        )
        .await
        {
            Ok(Ok(())) => Flow::Continue(()),
            Ok(Err(error)) => Flow::Break(CloseReason::of_error(error)),
            Err(_) => Flow::Break(CloseReason::Stalled),
        }
    }

    fn fail_calls(&mut self) {
        for (_, waiting) in self.waiting.drain() {
            waiting
                .send(Err(CallError::Unknown(Unanswered::Closed)))
                .ok();
        }
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            command
                .answer
                .send(Err(CallError::NotSent(NotSent::Closed)))
                .ok();
        }
    }
}
