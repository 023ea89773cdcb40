//! One socket to one gateway: the handshake, the task that owns the socket, and the handle through
//! which others use it.
//!
//! Whoever holds the [`AgentConnection`] owns the task: dropping it ends the task and closes the
//! socket. [`AgentHandle`]s may be cloned and outlive it; their calls then fail as "not sent".

mod answers;
mod close;
mod driver;
mod handle;
mod handshake;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

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

pub use answers::{ChatSend, SendStatus, SessionActivity, WaitOutcome};
pub use close::CloseReason;
pub use handle::AgentHandle;
pub use handshake::Limits;

use crate::{AgentEvent, ConnectError, DeviceKey};
use driver::Driver;

/// tungstenite allocates it at once for every connection, idle or not, and by default 128 KiB of it;
/// a tick is 100 bytes long, and what is longer finds room as it comes.
const BUFFER_BYTES: usize = 2 * 1024;
/// The longest message a gateway may send us. A history page is the longest we ask for, with
/// 4 MiB; a sandbox that sends more is not to be trusted with our memory.
const LONGEST_MESSAGE_BYTES: usize = 8 * 1024 * 1024;
/// Requests written but not yet taken by the task.
const COMMANDS_IN_FLIGHT: usize = 32;
/// Events not yet taken by their consumer. A turn makes a handful besides its deltas.
const EVENTS_IN_FLIGHT: usize = 256;

/// What we prove ourselves with.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The sandbox's gateway token.
    pub gateway_token: SecretString,
    /// The device the sandbox has approved.
    pub device: DeviceKey,
}

/// How long we wait for what.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// For everything up to `hello-ok`. The gateway itself gives up after 15 s.
    pub handshake_timeout: Duration,
    /// For the answer to a request. The gateway ignores what it cannot read, so it must end.
    pub request_timeout: Duration,
    /// What `connect` calls our version.
    pub client_version: String,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(15),
            request_timeout: Duration::from_secs(30),
            client_version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// An open, authenticated connection, its events and its task.
#[derive(Debug)]
pub struct AgentConnection {
    handle: AgentHandle,
    /// Boxed: a channel keeps room for 32 of its items, and thousands of connections are idle.
    events: mpsc::Receiver<Box<AgentEvent>>,
    task: JoinHandle<()>,
    stop: DropGuard,
}

impl AgentConnection {
    /// Connects and proves who we are. Failing tells when to try again.
    pub async fn connect(
        endpoint: &Endpoint,
        credentials: &Credentials,
        options: &ConnectOptions,
    ) -> Result<Self, ConnectError> {
        timeout(options.handshake_timeout, async {
            let (socket, _) =
                connect_async_with_config(endpoint.as_str(), Some(socket_config()), true)
                    .await
                    .map_err(|error| ConnectError::Unreachable(Box::new(error)))?;
            Self::open(socket, credentials, options).await
        })
        .await
        .unwrap_or(Err(ConnectError::TimedOut))
    }

    async fn open<S>(
        mut socket: WebSocketStream<S>,
        credentials: &Credentials,
        options: &ConnectOptions,
    ) -> Result<Self, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = handshake::perform(&mut socket, credentials, options).await?;
        let (commands, command_queue) = mpsc::channel(COMMANDS_IN_FLIGHT);
        let (events, event_queue) = mpsc::channel(EVENTS_IN_FLIGHT);
        let (closed, closing) = watch::channel(None);
        let stop = CancellationToken::new();
        let driver = Driver::new(
            socket,
            command_queue,
            events,
            stop.clone(),
            limits.silence(),
        );
        let task = tokio::spawn(async move {
            let reason = driver.run().await;
            tracing::debug!(agent.close_reason = %reason, "agent connection closed: {reason}");
            closed.send_replace(Some(reason));
        });
        Ok(Self {
            handle: AgentHandle::new(commands, closing, Arc::new(limits), options),
            events: event_queue,
            task,
            stop: stop.drop_guard(),
        })
    }

    /// The way to send requests; clone it freely.
    pub const fn handle(&self) -> &AgentHandle {
        &self.handle
    }

    /// The next event, or `None` when the connection is closed. May be dropped and called again.
    ///
    /// Must be called often: when 256 events wait, the connection closes as
    /// [`CloseReason::Lagged`], because a lost final is worse than a new connection. Pieces of
    /// replies are left out before that, ticks and noise are never delivered.
    pub async fn next_event(&mut self) -> Option<AgentEvent> {
        self.events.recv().await.map(|event| *event)
    }

    /// Closes the socket politely and waits until it is.
    pub async fn close(self) {
        drop(self.stop);
        // The task only fails by panicking, and then the connection is closed as well.
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
