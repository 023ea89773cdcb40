use std::sync::Arc;

use claw_agent::{
    AgentConnection, CallError, CloseReason, ConnectError, Credentials, DeviceKey, Flood,
    FrameBudget, RetryClass,
};
use claw_bus::Publisher;
use claw_domain::Endpoint;
use claw_metrics::AGENT_CONNECTIONS;
use claw_store::{Keyring, Sandbox, Store, StoreError};
use secrecy::ExposeSecret;
use tracing::info;

use crate::session::Session;

/// Why there is no session with a sandbox.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    #[error("reading the sandbox's secrets")]
    Store(#[from] StoreError),
    /// The sandbox's row lacks a value that is needed to connect.
    #[error("the sandbox's row has no {0}")]
    Incomplete(&'static str),
    /// OpenClaw could not be reached, or refused the connection.
    #[error("connecting to the sandbox")]
    Connect(#[from] ConnectError),
    /// The sandbox sent too much right after connecting.
    #[error("connecting to the sandbox")]
    Flooded(#[source] Flood),
    /// OpenClaw did not answer after connecting.
    #[error("subscribing to the sandbox's transcript")]
    Call(#[from] CallError),
}

impl SessionError {
    /// When to try again.
    pub(crate) fn retry(&self) -> RetryClass {
        match self {
            Self::Connect(error) => error.retry(),
            Self::Store(_) | Self::Call(_) | Self::Flooded(_) | Self::Incomplete(_) => {
                RetryClass::Backoff
            }
        }
    }

    /// What the sandbox sent too much of, if that is why there is no session.
    pub(crate) const fn flood(&self) -> Option<Flood> {
        match self {
            Self::Flooded(flood)
            | Self::Connect(ConnectError::Closed(CloseReason::Flooded(flood))) => Some(*flood),
            Self::Store(_) | Self::Call(_) | Self::Connect(_) | Self::Incomplete(_) => None,
        }
    }
}

/// Opens sessions with sandboxes, using the secrets in the store.
#[derive(Clone)]
pub(crate) struct Agents {
    store: Store,
    keyring: Arc<Keyring>,
    publisher: Publisher,
    budget: FrameBudget,
}

impl Agents {
    pub(crate) fn new(store: Store, keyring: Keyring, publisher: Publisher) -> Self {
        Self {
            store,
            keyring: Arc::new(keyring),
            publisher,
            budget: FrameBudget::default(),
        }
    }

    /// Opens a session with `sandbox`.
    pub(crate) async fn connect(
        &self,
        sandbox: &Sandbox,
        endpoint: &Endpoint,
    ) -> Result<Session, SessionError> {
        let credentials = self.credentials(sandbox).await?;
        let outcome = AgentConnection::connect(endpoint, &credentials, &self.budget).await;
        let label = if outcome.is_ok() {
            "connected"
        } else {
            "failed"
        };
        AGENT_CONNECTIONS.increment([label]);
        let connection = outcome?;
        let handle = connection.handle().clone();
        let session = match Session::open(connection, self.publisher.clone()).await {
            Ok(session) => session,
            Err(error) => {
                let flood = handle.flood().await;
                return Err(flood.map_or(SessionError::Call(error), SessionError::Flooded));
            }
        };
        info!(sandbox.id = %sandbox.id, "connected to sandbox {}", sandbox.id);
        Ok(session)
    }

    /// Decrypts the secrets in the database.
    pub(crate) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    async fn credentials(&self, sandbox: &Sandbox) -> Result<Credentials, SessionError> {
        let secrets = self
            .store
            .sandboxes()
            .connection_secrets_of(sandbox.user, sandbox.id, &self.keyring)
            .await?
            .ok_or(SessionError::Incomplete("secrets"))?;
        Ok(Credentials {
            token: secrets.gateway_token,
            device: DeviceKey::from_seed(secrets.device_seed.expose_secret()),
        })
    }
}
