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
    tungstenite::{self, Message, protocol::Role},
};
use tokio_util::sync::CancellationToken;

use super::{
    CloseReason, Flood, FrameBudget, KEPT_BUFFER_BYTES, event_queue::EventSender, metered::Metered,
    socket_config,
};
use crate::{
    AgentEvent, CallError, NotSent, Unanswered,
    frame::{Incoming, Response, decode},
};

/// How long one write may take. Nothing is read meanwhile, and OpenClaw disconnects slow readers.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the closing handshake may take before the socket is dropped.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) type Answer = Result<Response, CallError>;

/// What the task is asked to do.
pub(super) enum Order {
    Send(Box<Command>),
    /// Close the connection, because of what a message contained.
    CutOff(Flood),
}

/// A request on its way to the socket.
pub(super) struct Command {
    pub(super) id: String,
    pub(super) frame: String,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// The task that owns the socket.
pub(super) struct Driver {
    orders: mpsc::Receiver<Order>,
    events: EventSender,
    stop: CancellationToken,
    /// The callers of unanswered requests, by request id.
    waiting: HashMap<String, oneshot::Sender<Answer>>,
    silence_limit: Duration,
    last_heard: Instant,
    budget: FrameBudget,
}

type Socket<S> = WebSocketStream<Metered<S>>;
type Flow = ControlFlow<CloseReason>;

impl Driver {
    pub(super) fn new(
        orders: mpsc::Receiver<Order>,
        events: EventSender,
        stop: CancellationToken,
        silence_limit: Duration,
        budget: FrameBudget,
    ) -> Self {
        Self {
            orders,
            events,
            stop,
            waiting: HashMap::new(),
            silence_limit,
            last_heard: Instant::now(),
            budget,
        }
    }

    /// Runs until the connection closes, and answers every call that is still open by then.
    pub(super) async fn run<S>(mut self, mut socket: Socket<S>) -> CloseReason
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let reason = loop {
            match self.step(&mut socket).await {
                ControlFlow::Continue(bytes) if bytes > KEPT_BUFFER_BYTES => {
                    socket = with_new_buffers(socket).await;
                }
                ControlFlow::Continue(_) => {}
                ControlFlow::Break(reason) => break reason,
            }
        };
        self.fail_calls();
        // The connection is over, whether or not the peer completes the closing handshake.
        timeout(CLOSE_TIMEOUT, socket.close(None)).await.ok();
        reason
    }

    /// Returns the length of the message that was read, or 0.
    async fn step<S>(&mut self, socket: &mut Socket<S>) -> ControlFlow<CloseReason, usize>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        select! {
            () = self.stop.cancelled() => ControlFlow::Break(CloseReason::Asked),
            () = sleep_until(self.last_heard + self.silence_limit) => {
                ControlFlow::Break(CloseReason::Silent)
            }
            message = socket.next() => {
                self.last_heard = Instant::now();
                let bytes = match &message {
                    Some(Ok(message)) => message.len(),
                    Some(Err(_)) | None => 0,
                };
                self.receive(socket, message).await?;
                ControlFlow::Continue(bytes)
            }
            Some(order) = self.orders.recv() => {
                self.obey(socket, order).await?;
                ControlFlow::Continue(0)
            }
        }
    }

    async fn receive<S>(
        &mut self,
        socket: &mut Socket<S>,
        message: Option<Result<Message, tungstenite::Error>>,
    ) -> Flow
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        match message {
            Some(Ok(Message::Text(text))) => {
                let permit = socket.get_mut().finish_message();
                let bytes = text.len();
                let decoded = self
                    .budget
                    .decode(bytes, move || decode(&text, permit))
                    .await;
                self.dispatch(bytes, decoded.flatten())
            }
            Some(Ok(Message::Binary(_))) => {
                socket.get_mut().finish_message();
                Flow::Continue(())
            }
            // tungstenite answers a ping itself during the next read.
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => Flow::Continue(()),
            Some(Ok(Message::Close(frame))) => Flow::Break(CloseReason::of_frame(frame)),
            Some(Err(error)) => Flow::Break(CloseReason::of_error(error)),
            None => Flow::Break(CloseReason::of_frame(None)),
        }
    }

    fn dispatch(&mut self, bytes: usize, incoming: Option<Incoming>) -> Flow {
        match incoming {
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
                    frame.bytes = bytes,
                    "ignored a frame that cannot be decoded"
                );
                Flow::Continue(())
            }
        }
    }

    fn deliver(&mut self, event: AgentEvent) -> Flow {
        match self.events.send(event) {
            Ok(()) => Flow::Continue(()),
            Err(reason) => Flow::Break(reason),
        }
    }

    async fn obey<S>(&mut self, socket: &mut Socket<S>, order: Order) -> Flow
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let command = match order {
            Order::Send(command) => *command,
            Order::CutOff(flood) => return Flow::Break(CloseReason::Flooded(flood)),
        };
        self.waiting.retain(|_, waiting| !waiting.is_closed());
        self.waiting.insert(command.id, command.answer);
        match timeout(WRITE_TIMEOUT, socket.send(Message::text(command.frame))).await {
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
        self.orders.close();
        while let Ok(order) = self.orders.try_recv() {
            if let Order::Send(command) = order {
                let closed = CallError::NotSent(NotSent::Closed);
                command.answer.send(Err(closed)).ok();
            }
        }
    }
}

/// The same socket without the memory of the last message, which must have been read completely.
async fn with_new_buffers<S>(mut socket: Socket<S>) -> Socket<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // There may be a pong to write. If this fails, so does the next read.
    timeout(WRITE_TIMEOUT, socket.flush()).await.ok();
    let stream = socket.into_inner();
    WebSocketStream::from_raw_socket(stream, Role::Client, Some(socket_config())).await
}
