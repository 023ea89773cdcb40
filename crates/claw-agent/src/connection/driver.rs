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
use crate::{AgentEvent, CallError, Incoming, NotSent, Response, Unanswered, decode};

/// While a frame is written nothing is read, and the gateway closes slow readers.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the closing handshake may take; after that the socket is dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// With fewer free places than this, pieces of replies are left out: the final has them all.
const PLACES_FOR_WHAT_MATTERS: usize = EVENTS_IN_FLIGHT / 2;

/// What a call gets back.
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
    waiting: HashMap<String, oneshot::Sender<Answer>>,
    silence: Duration,
    last_heard: Instant,
}

type Step = ControlFlow<CloseReason>;

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    pub(super) fn new(
        socket: WebSocketStream<S>,
        commands: mpsc::Receiver<Box<Command>>,
        events: mpsc::Sender<Box<AgentEvent>>,
        stop: CancellationToken,
        silence: Duration,
    ) -> Self {
        Self {
            socket,
            commands,
            events,
            stop,
            waiting: HashMap::new(),
            silence,
            last_heard: Instant::now(),
        }
    }

    /// Runs until the connection is over, and leaves no call without an answer.
    pub(super) async fn run(mut self) -> CloseReason {
        let reason = loop {
            if let ControlFlow::Break(reason) = self.step().await {
                break reason;
            }
        };
        self.refuse_calls();
        // Whether the other side still says goodbye changes nothing.
        timeout(CLOSE_TIMEOUT, self.socket.close(None)).await.ok();
        reason
    }

    async fn step(&mut self) -> Step {
        select! {
            () = self.stop.cancelled() => Step::Break(CloseReason::Asked),
            () = sleep_until(self.last_heard + self.silence) => Step::Break(CloseReason::Silent),
            message = self.socket.next() => self.hear(message),
            Some(command) = self.commands.recv() => self.write(*command).await,
        }
    }

    fn hear(&mut self, message: Option<Result<Message, tungstenite::Error>>) -> Step {
        self.last_heard = Instant::now();
        match message {
            Some(Ok(Message::Text(text))) => self.take(&text),
            // tungstenite answers pings by itself with the next read.
            Some(Ok(
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_),
            )) => Step::Continue(()),
            Some(Ok(Message::Close(frame))) => Step::Break(CloseReason::of_frame(frame)),
            Some(Err(error)) => Step::Break(CloseReason::of_error(error)),
            None => Step::Break(CloseReason::of_frame(None)),
        }
    }

    fn take(&mut self, text: &str) -> Step {
        match decode(text) {
            Some(Incoming::Response(response)) => {
                // A late answer finds nobody waiting, and a caller may have gone.
                if let Some(waiting) = self.waiting.remove(&response.id) {
                    waiting.send(Ok(response)).ok();
                }
                Step::Continue(())
            }
            Some(Incoming::Event(event)) => self.deliver(event),
            None => {
                tracing::debug!(
                    frame.bytes = text.len(),
                    "ignored a frame that cannot be read"
                );
                Step::Continue(())
            }
        }
    }

    fn deliver(&mut self, event: AgentEvent) -> Step {
        let is_noise = matches!(event, AgentEvent::Tick | AgentEvent::Other { .. });
        let is_piece = matches!(event, AgentEvent::ChatDelta { .. });
        if is_noise || (is_piece && self.events.capacity() < PLACES_FOR_WHAT_MATTERS) {
            return Step::Continue(());
        }
        match self.events.try_send(Box::new(event)) {
            Ok(()) => Step::Continue(()),
            Err(mpsc::error::TrySendError::Full(_)) => Step::Break(CloseReason::Lagged),
            Err(mpsc::error::TrySendError::Closed(_)) => Step::Break(CloseReason::Asked),
        }
    }

    async fn write(&mut self, command: Command) -> Step {
        self.waiting.retain(|_, waiting| !waiting.is_closed());
        self.waiting.insert(command.id, command.answer);
        match timeout(
            WRITE_TIMEOUT,
            self.socket.send(Message::text(command.frame)),
        )
        .await
        {
            Ok(Ok(())) => Step::Continue(()),
            Ok(Err(error)) => Step::Break(CloseReason::of_error(error)),
            Err(_) => Step::Break(CloseReason::Stalled),
        }
    }

    fn refuse_calls(&mut self) {
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
