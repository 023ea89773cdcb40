use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use claw_agent::{
    AgentConnection, CallError, ConnectError, ConnectOptions, Credentials, DeviceKey, RetryClass,
};
use claw_domain::{Endpoint, SandboxId};
use claw_store::{Keyring, Sandbox, Store, StoreError};
use metrics::counter;
use secrecy::ExposeSecret;
use tokio::sync::{Mutex as AsyncMutex, Semaphore};
use tracing::info;

use crate::session::Session;

/// Handshakes under way at once: each costs the sandbox's gateway a signature check, and after a
/// restart of ours everyone's come together.
const HANDSHAKES_AT_ONCE: usize = 64;

/// Why there is no session with a sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The database could not be asked.
    #[error("looking up a sandbox's secrets")]
    Store(#[from] StoreError),
    /// The row lacks what is needed to connect.
    #[error("the sandbox's row has no {0}")]
    Incomplete(&'static str),
    /// No connection.
    #[error("connecting to the sandbox")]
    Connect(#[from] ConnectError),
    /// Connected, but it did not answer.
    #[error("looking into the sandbox's transcript")]
    Call(#[from] CallError),
}

impl SessionError {
    /// When to try again.
    pub(crate) fn retry(&self) -> RetryClass {
        match self {
            Self::Connect(error) => error.retry(),
            Self::Store(_) | Self::Call(_) | Self::Incomplete(_) => RetryClass::Backoff,
        }
    }
}

/// The sessions with the sandboxes: at most one each, made when first needed and kept.
#[derive(Clone)]
pub struct Agents {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    keyring: Keyring,
    handshakes: Semaphore,
    places: Mutex<HashMap<SandboxId, Arc<Place>>>,
}

/// Where one sandbox's session stands; the lock keeps two from being made.
#[derive(Default)]
struct Place(AsyncMutex<Option<(Endpoint, Arc<Session>)>>);

impl Agents {
    /// An empty pool.
    pub fn new(store: Store, keyring: Keyring) -> Self {
        Self {
            shared: Arc::new(Shared {
                store,
                keyring,
                handshakes: Semaphore::new(HANDSHAKES_AT_ONCE),
                places: Mutex::default(),
            }),
        }
    }

    /// The session with `sandbox`; connects when there is none, or when it has moved.
    pub(crate) async fn session(&self, sandbox: &Sandbox) -> Result<Arc<Session>, SessionError> {
        let endpoint = sandbox
            .endpoint
            .as_ref()
            .ok_or(SessionError::Incomplete("endpoint"))?;
        let place = Arc::clone(self.places().entry(sandbox.id).or_default());
        let mut place = place.0.lock().await;
        if let Some((at, session)) = &*place
            && at == endpoint
            && !session.handle().is_closed()
        {
            return Ok(Arc::clone(session));
        }
        let session = self.connect(sandbox, endpoint).await?;
        *place = Some((endpoint.clone(), Arc::clone(&session)));
        Ok(session)
    }

    async fn connect(
        &self,
        sandbox: &Sandbox,
        endpoint: &Endpoint,
    ) -> Result<Arc<Session>, SessionError> {
        let credentials = self.credentials(sandbox).await?;
        // Closed only together with the pool.
        let _permit = self.shared.handshakes.acquire().await;
        let outcome =
            AgentConnection::connect(endpoint, &credentials, &ConnectOptions::default()).await;
        let label = if outcome.is_ok() {
            "connected"
        } else {
            "failed"
        };
        counter!("claw_agent_connections_total", "outcome" => label).increment(1);
        let session = Session::open(outcome?).await?;
        info!(sandbox.id = %sandbox.id, "connected to sandbox {}", sandbox.id);
        Ok(session)
    }

    async fn credentials(&self, sandbox: &Sandbox) -> Result<Credentials, SessionError> {
        let secrets = self
            .shared
            .store
            .sandboxes()
            .secrets_of(sandbox.user, sandbox.id, &self.shared.keyring)
            .await?
            .ok_or(SessionError::Incomplete("secrets"))?;
        Ok(Credentials {
            gateway_token: secrets.gateway_token,
            device: DeviceKey::from_seed(secrets.device_seed.expose_secret()),
        })
    }

    fn places(&self) -> std::sync::MutexGuard<'_, HashMap<SandboxId, Arc<Place>>> {
        self.shared
            .places
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
