//! One socket to one OpenClaw: the handshake, the task that owns the socket, and the handle that
//! sends requests over it.
//!
//! The [`AgentConnection`] owns the task: dropping the connection ends the task and closes the
//! socket. [`AgentHandle`]s may be cloned and outlive the connection; their calls then fail with
//! [`crate::NotSent::Closed`].

mod answers;
mod budget;
mod close;
mod driver;
mod event_queue;
mod flood;
mod frame_position;
mod handle;
mod handshake;
mod metered;
#[cfg(test)]
mod tests;

use std::time::Duration;

use claw_domain::Endpoint;
use secrecy::SecretString;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, client::IntoClientRequest, error::UrlError, protocol::WebSocketConfig},
};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use answers::{ChatSend, SendStatus};
pub use budget::FrameBudget;
pub(crate) use budget::LongMessagePermit;
pub use close::CloseReason;
pub use flood::{Allowance, Flood};
pub use handle::AgentHandle;

use crate::{AgentEvent, ConnectError, DeviceKey};
use driver::Driver;
use event_queue::EventQueue;
use metered::Metered;

/// tungstenite allocates the read buffer of every connection up front, 128 KiB by default, and most
/// connections are idle. A tick is 100 bytes long; the buffer grows for longer messages.
const BUFFER_BYTES: usize = 2 * 1024;
/// The longest message OpenClaw may send us. The longest we ask for is a history page of 2 MiB; a
/// sandbox that sends more must not take our memory.
const LONGEST_MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// After a longer message the socket gets new buffers, because tungstenite keeps the one of the longest message.
const KEPT_BUFFER_BYTES: usize = 4 * BUFFER_BYTES;
/// Requests not yet taken by the task.
const COMMANDS_IN_FLIGHT: usize = 32;
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
    events: EventQueue,
    task: JoinHandle<()>,
    stop: DropGuard,
}

impl AgentConnection {
    /// Connects and authenticates. [`ConnectError::retry`] says when to try again after a failure.
    pub async fn connect(
        endpoint: &Endpoint,
        credentials: &Credentials,
        budget: &FrameBudget,
    ) -> Result<Self, ConnectError> {
        timeout(HANDSHAKE_TIMEOUT, async {
            let socket = open_socket(endpoint, budget)
                .await
                .map_err(|error| ConnectError::Unreachable(Box::new(error)))?;
            Self::open(socket, credentials, budget).await
        })
        .await
        .unwrap_or(Err(ConnectError::TimedOut))
    }

    async fn open<S>(
        mut socket: WebSocketStream<Metered<S>>,
        credentials: &Credentials,
        budget: &FrameBudget,
    ) -> Result<Self, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let server = handshake::perform(&mut socket, credentials).await?;
        let (commands, command_queue) = mpsc::channel(COMMANDS_IN_FLIGHT);
        let (events, event_queue) = event_queue::channel();
        let (closed, closing) = watch::channel(None);
        let stop = CancellationToken::new();
        let driver = Driver::new(
            command_queue,
            events,
            stop.clone(),
            server.silence_limit(),
            budget.clone(),
        );
        let task = tokio::spawn(async move {
            let reason = driver.run(socket).await;
            tracing::debug!(agent.close_reason = %reason, "agent connection closed: {reason}");
            closed.send_replace(Some(reason));
        });
        Ok(Self {
            handle: AgentHandle::new(commands, closing, server, budget.clone()),
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
    /// [`CloseReason::Lagged`], because a lost final event is worse than a new connection. Before
    /// that, and when 256 KiB of text wait, deltas are dropped and finals lose their text. Ticks and
    /// unknown events are never delivered.
    pub async fn next_event(&mut self) -> Option<AgentEvent> {
        self.events.next().await
    }

    /// Closes the connection with a closing handshake and waits until the socket is closed.
    pub async fn close(self) {
        drop(self.stop);
        // The task can fail only by panicking, and then the socket is closed as well.
        self.task.await.ok();
    }
}

async fn open_socket(
    endpoint: &Endpoint,
    budget: &FrameBudget,
) -> tungstenite::Result<WebSocketStream<Metered<TcpStream>>> {
    let request = endpoint.as_str().into_client_request()?;
    let uri = request.uri();
    if uri.scheme_str() != Some("ws") {
        return Err(UrlError::UnsupportedUrlScheme.into());
    }
    let host = uri.host().ok_or(UrlError::NoHostName)?;
    let address = format!("{host}:{}", uri.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let metered = Metered::before_upgrade(stream, budget);
    let (socket, _) = client_async_with_config(request, metered, Some(socket_config())).await?;
    Ok(socket)
}

fn socket_config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(LONGEST_MESSAGE_BYTES))
        .max_frame_size(Some(LONGEST_MESSAGE_BYTES))
}
