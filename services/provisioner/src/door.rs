//! Whether a sandbox's gateway lets us in.

use std::time::Duration;

use async_trait::async_trait;
use claw_agent::{AgentConnection, ConnectError, ConnectOptions, Credentials, DeviceKey};
use claw_domain::Endpoint;
use claw_store::SandboxSecrets;
use reqwest::Client;
use secrecy::ExposeSecret;
use tracing::debug;

/// How long one look may take. A gateway that starts on a busy host answers late, not never.
const LOOK_LIMIT: Duration = Duration::from_secs(10);

/// How a sandbox's gateway receives us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// It does not answer, or says that it is not ready.
    Silent,
    /// It is ready, and has not approved our device yet.
    Unapproved,
    /// It let us in as the device it approved.
    Open,
    /// It will never let us in: another token, another key, another protocol.
    Barred,
}

/// Knocks at gateways.
#[async_trait]
pub trait Doors: Send + Sync + 'static {
    /// How the gateway at `endpoint` receives us now.
    async fn knock(&self, endpoint: &Endpoint, secrets: &SandboxSecrets) -> Door;
}

/// Knocks with a real handshake, once the gateway calls itself ready.
pub struct AgentDoors {
    http: Client,
}

impl AgentDoors {
    /// Asks for readiness through `http`.
    pub const fn new(http: Client) -> Self {
        Self { http }
    }

    async fn is_ready(&self, endpoint: &Endpoint) -> bool {
        let Some(address) = endpoint.as_str().strip_prefix("ws") else {
            return false;
        };
        let url = format!("http{}/readyz", address.trim_end_matches('/'));
        let answer = self.http.get(url).timeout(LOOK_LIMIT).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}

#[async_trait]
impl Doors for AgentDoors {
    async fn knock(&self, endpoint: &Endpoint, secrets: &SandboxSecrets) -> Door {
        if !self.is_ready(endpoint).await {
            return Door::Silent;
        }
        let credentials = Credentials {
            gateway_token: secrets.gateway_token.clone(),
            device: DeviceKey::from_seed(secrets.device_seed.expose_secret()),
        };
        match AgentConnection::connect(endpoint, &credentials, &ConnectOptions::default()).await {
            Ok(connection) => {
                connection.close().await;
                Door::Open
            }
            Err(error) => {
                debug!(
                    error = &error as &dyn std::error::Error,
                    "the gateway did not let us in"
                );
                door_of(&error)
            }
        }
    }
}

const fn door_of(error: &ConnectError) -> Door {
    match error {
        ConnectError::NotPaired { .. } | ConnectError::ScopesMissing { .. } => Door::Unapproved,
        ConnectError::BadToken | ConnectError::BadSignature { .. } | ConnectError::Protocol(_) => {
            Door::Barred
        }
        ConnectError::Unreachable(_)
        | ConnectError::TimedOut
        | ConnectError::Unavailable { .. }
        | ConnectError::LockedOut { .. }
        | ConnectError::Refused(_)
        | ConnectError::Closed(_) => Door::Silent,
    }
}
