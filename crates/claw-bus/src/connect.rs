use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr, jetstream};
use claw_events::Stream;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{Publisher, accounts::Account};

/// How long one request to JetStream may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Largest number of unacknowledged publishes of one process.
const PUBLISHES_IN_FLIGHT: usize = 4_096;

/// Address and user of a connection to the bus.
#[derive(Debug, Clone)]
pub struct BusConfig {
    /// The server's address, as `nats://user:password@host:port`.
    pub url: SecretString,
    /// The user on the server, which is also the name of the service.
    pub service: &'static str,
}

/// An error of the bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// `NATS_URL` is not the URL of a NATS server.
    #[error("NATS_URL must look like nats://user:password@host:port")]
    Url(#[source] std::io::Error),
    /// The first connection failed. Later the client reconnects by itself.
    #[error("connecting to NATS (is NATS_URL right, and the server up?)")]
    Connect(#[source] async_nats::ConnectError),
    /// A request about a stream or bucket failed.
    #[error("{operation} on JetStream")]
    JetStream {
        /// The operation, for the message.
        operation: String,
        /// The error of the client library.
        #[source]
        source: async_nats::Error,
    },
}

impl BusError {
    pub(crate) fn jetstream(
        operation: impl Into<String>,
        source: impl Into<async_nats::Error>,
    ) -> Self {
        Self::JetStream {
            operation: operation.into(),
            source: source.into(),
        }
    }
}

/// A connection to the bus that reconnects by itself. Cheap to clone.
#[derive(Clone)]
pub struct Bus {
    pub(crate) client: Client,
    /// JetStream in the service's own account.
    pub(crate) jetstream: jetstream::Context,
    pub(crate) service: &'static str,
    /// The number of connections so far. After a change, deliveries in flight may be lost.
    pub(crate) connections: watch::Receiver<u64>,
}

impl Bus {
    /// Connects. Fails at once if the server is absent or refuses the user, so that a wrong setting is found at start.
    pub async fn connect(config: &BusConfig) -> Result<Self, BusError> {
        let (connected, mut connections) = watch::channel(0_u64);
        let server: ServerAddr = config.url.expose_secret().parse().map_err(BusError::Url)?;
        let client = options(&server)
            .name(config.service)
            .custom_inbox_prefix(format!("_INBOX_{}", config.service))
            .ping_interval(Duration::from_secs(10))
            .event_callback(move |event| {
                record(&event, &connected);
                std::future::ready(())
            })
            .connect(server)
            .await
            .map_err(BusError::Connect)?;
        // The first one is reported a little later; what begins now must not take it for a reconnect.
        drop(connections.wait_for(|count| *count > 0).await);
        let jetstream = jetstream::context::ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .max_ack_inflight(PUBLISHES_IN_FLIGHT)
            .build(client.clone());
        Ok(Self {
            client,
            jetstream,
            service: config.service,
            connections,
        })
    }

    /// A publisher on this connection.
    pub fn publisher(&self) -> Publisher {
        Publisher::new(self.client.clone(), self.jetstream.clone(), self.service)
    }

    /// JetStream in `account`, as far as `nats.conf` gives this service access to it.
    pub(crate) fn jetstream_in(&self, account: Account) -> jetstream::Context {
        if self.service == account.user() {
            return self.jetstream.clone();
        }
        jetstream::context::ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .api_prefix(account.api_prefix(self.service))
            .build(self.client.clone())
    }

    /// A unique name of letters and digits.
    pub(crate) fn unique(&self) -> String {
        let inbox = self.client.new_inbox();
        inbox.rsplit('.').next().unwrap_or(&inbox).to_owned()
    }

    /// Whether JetStream answers on this connection now.
    pub async fn is_ready(&self) -> bool {
        self.jetstream.query_account().await.is_ok()
    }

    pub(crate) async fn stream(
        &self,
        stream: Stream,
    ) -> Result<jetstream::stream::Stream, BusError> {
        self.jetstream_in(Account::of(stream))
            .get_stream(stream.name())
            .await
            .map_err(|error| {
                BusError::jetstream(format!("finding stream {}", stream.name()), error)
            })
    }

    /// Flushes the client's buffer.
    pub async fn flush(&self) {
        if let Err(error) = self.client.flush().await {
            warn!(
                error = &error as &dyn std::error::Error,
                "the bus could not be flushed"
            );
        }
    }
}

/// Takes user and password from the URL, which the client does not.
fn options(server: &ServerAddr) -> ConnectOptions {
    match (server.username(), server.password()) {
        (Some(user), Some(password)) => {
            ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned())
        }
        _ => ConnectOptions::new(),
    }
}

fn record(event: &Event, connected: &watch::Sender<u64>) {
    if matches!(event, Event::Connected) {
        connected.send_modify(|count| *count += 1);
        info!("connected to NATS");
    } else {
        // A denied publish looks like a timeout to the caller; the reason appears only here.
        warn!(event = %event, "NATS: {event}");
    }
}
