use std::time::Duration;

use async_trait::async_trait;
use claw_agent::{AgentConnection, ConnectError, Credentials, DeviceKey, FrameBudget};
use claw_domain::Endpoint;
use claw_store::SandboxSecrets;
use reqwest::Client;
use secrecy::ExposeSecret;
use tracing::debug;

/// Time limit for one request. A sandbox on a busy host answers late.
const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// Whether a sandbox accepts our connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It does not answer, or says that it is not ready.
    NotReady,
    /// It is ready, but has not approved our device yet.
    NotApproved,
    /// It accepted our connection with the approved device.
    Ready,
    /// It will never accept us: it has another token, another key or another protocol.
    Rejected,
    /// It was ready, and has not answered for a while.
    Silent,
}

/// Asks the OpenClaw in a sandbox how it is.
#[async_trait]
pub trait ReadinessProbe: Send + Sync + 'static {
    /// The readiness of the sandbox at `endpoint`.
    async fn probe(&self, endpoint: &Endpoint, secrets: &SandboxSecrets) -> Readiness;

    /// Whether the sandbox at `endpoint`, which has been ready, still answers. One that is busy does.
    async fn is_alive(&self, endpoint: &Endpoint) -> bool;
}

/// Asks for `/readyz` and then connects as an agent's client does; later asks for `/healthz`, which also a busy OpenClaw
/// answers.
pub struct AgentProbe {
    http: Client,
    budget: FrameBudget,
}

impl AgentProbe {
    /// A probe that asks for `/readyz` through `http`.
    pub fn new(http: Client) -> Self {
        Self {
            http,
            budget: FrameBudget::default(),
        }
    }

    async fn says_yes(&self, endpoint: &Endpoint, path: &str) -> bool {
        let Some(address) = endpoint.as_str().strip_prefix("ws") else {
            return false;
        };
        let url = format!("http{}/{path}", address.trim_end_matches('/'));
        let answer = self.http.get(url).timeout(PROBE_LIMIT).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}

#[async_trait]
impl ReadinessProbe for AgentProbe {
    async fn probe(&self, endpoint: &Endpoint, secrets: &SandboxSecrets) -> Readiness {
        if !self.says_yes(endpoint, "readyz").await {
            return Readiness::NotReady;
        }
        let credentials = Credentials {
            token: secrets.gateway_token.clone(),
            device: DeviceKey::from_seed(secrets.device_seed.expose_secret()),
        };
        match AgentConnection::connect(endpoint, &credentials, &self.budget).await {
            Ok(connection) => {
                connection.close().await;
                Readiness::Ready
            }
            Err(error) => {
                debug!(
                    error = &error as &dyn std::error::Error,
                    "a starting sandbox did not accept our connection"
                );
                readiness_after(&error)
            }
        }
    }

    async fn is_alive(&self, endpoint: &Endpoint) -> bool {
        self.says_yes(endpoint, "healthz").await
    }
}

const fn readiness_after(error: &ConnectError) -> Readiness {
    match error {
        ConnectError::NotPaired { .. } | ConnectError::ScopesMissing { .. } => {
            Readiness::NotApproved
        }
        ConnectError::BadToken | ConnectError::BadSignature { .. } | ConnectError::Protocol(_) => {
            Readiness::Rejected
        }
        ConnectError::Unreachable(_)
        | ConnectError::TimedOut
        | ConnectError::Unavailable { .. }
        | ConnectError::LockedOut { .. }
        | ConnectError::Refused(_)
        | ConnectError::Closed(_) => Readiness::NotReady,
    }
}
