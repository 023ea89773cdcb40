//! Sandboxes in containers of this host: what is made for one, and the undo of each beside it.

use std::{io::ErrorKind, net::IpAddr, ops::RangeInclusive, sync::Arc};

use anyhow::{Context, anyhow};
use claw_agent::DeviceKey;
use claw_docker::{ContainerName, ContainerState, Runtime, Spec, VolumeName};
use claw_domain::{Endpoint, FailureReason, SandboxStatus};
use claw_openrouter::{KeyHash, ModelKeys, SpendLimit};
use claw_runtime::Clock;
use claw_store::{Keyring, Sandbox, SandboxSecrets, Sandboxes};
use secrecy::{ExposeSecret, SecretString};
use tokio::net::TcpListener;
use tracing::warn;
use uuid::Uuid;

use crate::{
    door::{Door, Doors},
    orphans::KeyName,
    step::Observed,
    trouble::Fault,
};

/// What all containers of this host have in common.
#[derive(Debug, Clone)]
pub struct ContainerSettings {
    /// The installation's name, in the names of its keys.
    pub owner: String,
    /// The image they run.
    pub image: String,
    /// The ports they may be published on.
    pub ports: RangeInclusive<u16>,
    /// The address of this host they are published on.
    pub published_on: IpAddr,
    /// What each may spend on models.
    pub key_limit: SpendLimit,
    /// Where they reach the model provider; `None` for its own address.
    pub model_base_url: Option<String>,
    /// How often they look for something to say by themselves (`30m`; `0m`: never).
    pub heartbeat_every: String,
    /// Their time zone; `None` for UTC.
    pub time_zone: Option<String>,
}

/// The engine, the keys and the doors of this host's containers.
pub struct Containers {
    /// What they have in common.
    pub settings: ContainerSettings,
    /// The engine that keeps them.
    pub runtime: Arc<dyn Runtime>,
    /// Where their model keys are made.
    pub keys: Arc<dyn ModelKeys>,
    /// How their gateways are asked.
    pub doors: Arc<dyn Doors>,
    /// Their rows.
    pub sandboxes: Sandboxes,
    /// What opens and seals their secrets.
    pub keyring: Arc<Keyring>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Containers {
    /// What there is to see of a sandbox.
    pub(crate) async fn observe(&self, sandbox: &Sandbox, starts: u32) -> Result<Observed, Fault> {
        let container = self.runtime.state(&name_of(sandbox)).await?;
        let is_starting = sandbox.status == SandboxStatus::Starting;
        let door = match (container, sandbox.port) {
            (ContainerState::Running, Some(port)) if is_starting => {
                let secrets = self.secrets(sandbox).await?;
                self.doors.knock(&self.endpoint(port), &secrets).await
            }
            _ => Door::Silent,
        };
        Ok(Observed {
            container,
            door,
            starts,
        })
    }

    /// Where the gateway behind this port listens.
    pub(crate) fn endpoint(&self, port: u16) -> Endpoint {
        let host = match self.settings.published_on {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        Endpoint::new(format!("ws://{host}:{port}"))
    }

    /// Undone by the store itself, when the sandbox is marked as failed.
    pub(crate) async fn reserve_port(&self, sandbox: &Sandbox) -> Result<(), Fault> {
        let range = self.first_free_port().await..=*self.settings.ports.end();
        let now = self.clock.now();
        let reserved = self
            .sandboxes
            .reserve_port(sandbox.current_start(), range, now)
            .await?;
        if reserved.is_some() || self.is_over(sandbox).await? {
            return Ok(());
        }
        let ports = &self.settings.ports;
        Err(Fault::Outside {
            reason: FailureReason::NoFreePort,
            is_permanent: true,
            asked_pause: None,
            source: anyhow!("no port is left of {} to {}", ports.start(), ports.end()),
        })
    }

    /// Makes the sandbox's key under a name that was written down first. Undone by
    /// [`Containers::revoke_key`].
    pub(crate) async fn mint_key(&self, sandbox: &Sandbox) -> Result<(), Fault> {
        let start = sandbox.current_start();
        let row = self.sandboxes.of_user(sandbox.user).await?;
        let Some(sandbox) = row.filter(|row| row.current_start() == start) else {
            return Ok(());
        };
        if sandbox.model_key_hash.is_some() {
            return Ok(());
        }
        // A try whose answer got lost may have made a key; it is useless, and can spend money.
        self.revoke_key(&sandbox).await?;
        let name = KeyName::new(&self.settings.owner, sandbox.id, Uuid::new_v4()).to_string();
        if !self
            .sandboxes
            .record_model_key_name(start, &name, self.clock.now())
            .await?
        {
            return Ok(());
        }
        let minted = self.keys.mint(&name, self.settings.key_limit).await?;
        let hash = minted.hash.as_str();
        if !self
            .sandboxes
            .record_model_key(start, hash, &minted.key, &self.keyring)
            .await?
        {
            self.keys.revoke(&minted.hash).await?;
        }
        Ok(())
    }

    /// Undo of [`Containers::mint_key`], for the key in the row or the one that may have been made.
    pub(crate) async fn revoke_key(&self, sandbox: &Sandbox) -> Result<(), Fault> {
        if let Some(hash) = &sandbox.model_key_hash {
            self.keys.revoke(&KeyHash::new(hash)).await?;
        } else if let Some(name) = &sandbox.model_key_name {
            for key in self
                .keys
                .list()
                .await?
                .into_iter()
                .filter(|key| key.name == *name)
            {
                self.keys.revoke(&key.hash).await?;
            }
        }
        Ok(())
    }

    /// Makes what is absent of volume and container, and starts it. Undone by
    /// [`Containers::take_down`].
    pub(crate) async fn start_container(&self, sandbox: &Sandbox) -> Result<(), Fault> {
        let spec = self.spec(sandbox).await?;
        let id = self.runtime.ensure(&spec).await?;
        let now = self.clock.now();
        self.sandboxes
            .record_container(sandbox.current_start(), id.as_str(), now)
            .await?;
        Ok(())
    }

    /// Undo of [`Containers::start_container`]. The volume goes with a first start only: after that
    /// it may hold what an assistant knows of its person.
    pub(crate) async fn take_down(&self, sandbox: &Sandbox) -> Result<(), Fault> {
        self.runtime.remove(&name_of(sandbox)).await?;
        if sandbox.start == 1 {
            self.runtime
                .remove_volume(&VolumeName::of(sandbox.id))
                .await?;
        }
        Ok(())
    }

    async fn spec(&self, sandbox: &Sandbox) -> Result<Spec, Fault> {
        let missing = |what: &'static str| Fault::Ours(anyhow!("the row has no {what}"));
        let secrets = self.secrets(sandbox).await?;
        let device = DeviceKey::from_seed(secrets.device_seed.expose_secret());
        let key = secrets.model_key.ok_or_else(|| missing("model key"))?;
        let mut environment: Vec<(&'static str, SecretString)> = vec![
            ("OPENCLAW_GATEWAY_TOKEN", secrets.gateway_token),
            ("OPENROUTER_API_KEY", key),
            ("OPENCLAW_MODEL", sandbox.model.as_str().into()),
            ("CLAWKAKA_DEVICE_ID", device.id().into()),
            (
                "CLAWKAKA_DEVICE_PUBLIC_KEY",
                device.public_key_base64url().into(),
            ),
            (
                "HEARTBEAT_EVERY",
                self.settings.heartbeat_every.as_str().into(),
            ),
        ];
        let optional = [
            ("OPENROUTER_BASE_URL", &self.settings.model_base_url),
            ("TZ", &self.settings.time_zone),
        ];
        for (variable, value) in optional {
            environment.extend(value.as_deref().map(|value| (variable, value.into())));
        }
        Ok(Spec {
            sandbox: sandbox.id,
            name: name_of(sandbox),
            image: self.settings.image.clone(),
            port: sandbox.port.ok_or_else(|| missing("port"))?,
            environment,
        })
    }

    async fn secrets(&self, sandbox: &Sandbox) -> Result<SandboxSecrets, Fault> {
        let secrets = self
            .sandboxes
            .secrets_of(sandbox.user, sandbox.id, &self.keyring)
            .await?;
        secrets.context("the row is gone").map_err(Fault::Ours)
    }

    async fn is_over(&self, sandbox: &Sandbox) -> Result<bool, Fault> {
        let row = self.sandboxes.of_user(sandbox.user).await?;
        Ok(row.is_none_or(|row| row.current_start() != sandbox.current_start()))
    }

    /// The first port of the range that nothing on this host listens on. What our rows have reserved
    /// is the store's business: a stopped sandbox listens on nothing.
    async fn first_free_port(&self) -> u16 {
        for port in self.settings.ports.clone() {
            match TcpListener::bind((self.settings.published_on, port)).await {
                Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                Ok(_) => return port,
                Err(error) => {
                    warn!(%error, "whether port {port} is free cannot be told");
                    return port;
                }
            }
        }
        *self.settings.ports.start()
    }
}

/// The name of the container of the start the sandbox is in.
pub(crate) fn name_of(sandbox: &Sandbox) -> ContainerName {
    ContainerName::of(sandbox.id, sandbox.start)
}
