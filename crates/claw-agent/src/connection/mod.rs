//! One socket to one OpenClaw: the handshake, the task that owns the socket, and the handle that
//! sends requests over it.
//!
//! The [`AgentConnection`] owns the task: dropping the connection ends the task and closes the
//! socket. [`AgentHandle`]s may be cloned and outlive the connection; their calls then fail with
//! [`crate::NotSent::Closed`].

mod answers;
mod close;
mod driver;
mod handle;
mod handshake;
#[cfg(test)]
mod tests;

use std::time::Duration;

use claw_domain::Endpoint;
use secrecy::SecretString;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, connect_async_with_config, tungstenite::protocol::WebSocketConfig,
};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use answers::{ChatSend, SendStatus};
pub use close::CloseReason;
pub use handle::AgentHandle;

use crate::{AgentEvent, ConnectError, DeviceKey};
use driver::Driver;

/// tungstenite allocates the read buffer of every connection up front, 128 KiB by default, and most
/// connections are idle. A tick is 100 bytes long; the buffer grows for longer messages.
const BUFFER_BYTES: usize = 2 * 1024;
/// The longest message OpenClaw may send us. The longest we ask for is a history page of 4 MiB; a
/// sandbox that sends more must not take our memory.
const LONGEST_MESSAGE_BYTES: usize = 8 * 1024 * 1024;
/// Requests not yet taken by the task.
const COMMANDS_IN_FLIGHT: usize = 32;
/// Events not yet taken by their consumer. A run causes about five besides its deltas.
const EVENTS_IN_FLIGHT: usize = 256;

/// The time limit for everything up to `hello-ok`. OpenClaw itself gives up after 15 s.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// The credentials that we present to a sandbox.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The token of the sandbox's OpenClaw.
    pub token: SecretString,
    /// The device that the sandbox has approved.
    pub device: DeviceKey,
}

/// An open, authenticated connection, its events and its task.
#[derive(Debug)]
pub struct AgentConnection {
    handle: AgentHandle,
    /// Boxed, because a channel allocates space for 32 items and thousands of connections are idle.
    events: mpsc::Receiver<Box<AgentEvent>>,
    task: JoinHandle<()>,
    stop: DropGuard,
}

impl AgentConnection {
    /// Connects and authenticates. [`ConnectError::retry`] says when to try again after a failure.
    pub async fn connect(
        endpoint: &Endpoint,
        credentials: &Credentials,
    ) -> Result<Self, ConnectError> {
        timeout(HANDSHAKE_TIMEOUT, async {
            let (socket, _) =
                connect_async_with_config(endpoint.as_str(), Some(socket_config()), true)
                    .await
                    .map_err(|error| ConnectError::Unreachable(Box::new(error)))?;
            Self::open(socket, credentials).await
        })
        .await
        .unwrap_or(Err(ConnectError::TimedOut))
    }

    async fn open<S>(
        mut socket: WebSocketStream<S>,
        credentials: &Credentials,
    ) -> Result<Self, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let server = handshake::perform(&mut socket, credentials).await?;
        let (commands, command_queue) = mpsc::channel(COMMANDS_IN_FLIGHT);
        let (events, event_queue) = mpsc::channel(EVENTS_IN_FLIGHT);
        let (closed, closing) = watch::channel(None);
        let stop = CancellationToken::new();
        let driver = Driver::new(
            socket,
            command_queue,
            events,
            stop.clone(),
            server.silence_limit(),
        );
        let task = tokio::spawn(async move {
            let reason = driver.run().await;
            tracing::debug!(agent.close_reason = %reason, "agent connection closed: {reason}");
            closed.send_replace(Some(reason));
        });
        Ok(Self {
            handle: AgentHandle::new(commands, closing, server),
            events: event_queue,
            task,
            stop: stop.drop_guard(),
        })
    }

    /// The handle that sends requests.
    pub const fn handle(&self) -> &AgentHandle {
        &self.handle
    }

    /// The next event, or `None` once the connection is closed. Cancel safe.
    ///
    /// Must be called often: when 256 events wait, the connection closes with
    /// [`CloseReason::Lagged`], because a lost final event is worse than a new connection. Deltas of
    /// replies are dropped before that; ticks and unknown events are never delivered.
    pub async fn next_event(&mut self) -> Option<AgentEvent> {
        self.events.recv().await.map(|event| *event)
    }

    /// Closes the connection with a closing handshake and waits until the socket is closed.
    pub async fn close(self) {
        drop(self.stop);
        // The task can fail only by panicking, and then the socket is closed as well.
        self.task.await.ok();
    }
}

fn socket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(LONGEST_MESSAGE_BYTES))
        .max_frame_size(Some(LONGEST_MESSAGE_BYTES))
}
