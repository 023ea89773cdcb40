//! Sandboxes in containers on this host: each step, with the one that undoes it.

use std::{io::ErrorKind, net::IpAddr, ops::RangeInclusive, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use claw_agent::DeviceKey;
use claw_docker::{
    ContainerName, ContainerSpec, ContainerState, EngineInfo, ListedContainer, Runtime,
    RuntimeError, VolumeName,
};
use claw_domain::{Endpoint, FailureReason, SandboxStatus};
use claw_model_keys::{KeyHash, ModelKeys, SpendLimit};
use claw_runtime::Clock;
use claw_store::{AnySandbox, Keyring, Sandbox, SandboxSecrets, Sandboxes};
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use tokio::{net::TcpListener, time::timeout};
use tracing::{info, warn};
use uuid::Uuid;

use crate::{
    fault::Fault,
    model_keys::{KEY_IN_SANDBOX, URL_IN_SANDBOX},
    orphans::KeyName,
    readiness::{Readiness, ReadinessProbe},
    refused_ports::RefusedPorts,
    room::{Capacity, Room},
    step::Observed,
};

/// How long a container may take to stop: several times what an idle OpenClaw needs.
const STOP_GRACE: Duration = Duration::from_secs(45);

/// The interval of OpenClaw's heartbeats that turns them off.
const NEVER: &str = "0m";

/// How long the engine may take to tell its id.
const ENGINE_ID_LIMIT: Duration = Duration::from_secs(10);

/// How long the engine may take to list the containers.
const LIST_LIMIT: Duration = Duration::from_secs(30);

/// The settings of all containers on this host.
#[derive(Debug, Clone)]
pub struct ContainerSettings {
    /// The installation's name, which is part of its model keys' names.
    pub owner: String,
    /// The image that containers of new starts are made from.
    pub image: String,
    /// The ports on which containers may be published.
    pub ports: RangeInclusive<u16>,
    /// The address of this host on which containers are published.
    pub published_on: IpAddr,
    /// The amount that each sandbox may spend on models.
    pub key_limit: SpendLimit,
    /// The model provider's address as sandboxes see it; `None` for the one that OpenClaw knows.
    pub model_base_url: Option<String>,
    /// The interval of OpenClaw's heartbeats (`30m`); `0m` turns them off.
    pub heartbeat_every: String,
    /// The time zone of sandboxes; `None` for UTC.
    pub time_zone: Option<String>,
    /// The memory of the host that sandboxes leave to everything else, in MiB.
    pub memory_reserve_mb: u32,
    /// The memory that one sandbox is expected to use, in MiB.
    pub memory_mb: u32,
}

/// The backend that runs sandboxes in containers on this host.
pub struct Containers {
    /// The settings of all containers.
    pub settings: ContainerSettings,
    /// The container engine of this host.
    pub runtime: Arc<dyn Runtime>,
    /// The account in which the sandboxes' model keys are made.
    pub keys: Arc<dyn ModelKeys>,
    /// Tells whether a started container accepts our connection.
    pub probe: Arc<dyn ReadinessProbe>,
    /// The repository of sandboxes.
    pub sandboxes: Sandboxes,
    /// The keys that seal and open the sandboxes' secrets.
    pub keyring: Arc<Keyring>,
    /// The clock that tells when a start has taken too long.
    pub clock: Arc<dyn Clock>,
    /// What this process has learned of the engine.
    pub learned: Learned,
}

/// What a process remembers of its container engine.
#[derive(Debug, Default)]
pub struct Learned {
    engine: Mutex<Option<EngineInfo>>,
    refused_ports: RefusedPorts,
}

impl Containers {
    /// The id of the engine, as last read; read now if it is unknown.
    pub(crate) async fn engine_id(&self) -> Result<String, Fault> {
        match self.known_engine_id() {
            Some(id) => Ok(id),
            None => self.read_engine_id().await,
        }
    }

    /// The id of the engine, if it has been read.
    pub(crate) fn known_engine_id(&self) -> Option<String> {
        let known = self.learned.engine.lock();
        known.as_ref().map(|engine| engine.id.clone())
    }

    /// How many sandboxes this host has room for, and not more than `cap`.
    pub(crate) fn room(&self, cap: u32) -> Room {
        let known = self.learned.engine.lock();
        let bytes = |mb: u32| u64::from(mb) << 20;
        let capacity = Capacity {
            memory: known.as_ref().and_then(|engine| engine.memory),
            reserve: bytes(self.settings.memory_reserve_mb),
            per_sandbox: bytes(self.settings.memory_mb),
            ports: u32::try_from(self.settings.ports.len()).unwrap_or(u32::MAX),
        };
        Room::of(&capacity, cap)
    }

    /// Reads the id of the engine, which may be another one than before, and the memory of its host.
    pub(crate) async fn read_engine_id(&self) -> Result<String, Fault> {
        let engine = timeout(ENGINE_ID_LIMIT, self.runtime.engine_info()).await;
        let engine = engine.map_err(|_| silent_engine("told its id"))??;
        let id = engine.id.clone();
        *self.learned.engine.lock() = Some(engine);
        Ok(id)
    }

    /// All containers of this installation, running or not.
    pub(crate) async fn list(&self) -> Result<Vec<ListedContainer>, Fault> {
        let found = timeout(LIST_LIMIT, self.runtime.list_ours()).await;
        Ok(found.map_err(|_| silent_engine("listed its containers"))??)
    }

    /// Returns the refused ports that were not reported to the operator yet, and marks them as reported.
    pub(crate) fn take_untold_ports(&self) -> Vec<u16> {
        self.learned.refused_ports.take_untold()
    }

    /// Observes a sandbox's container and, while it starts, its readiness.
    pub(crate) async fn observe(
        &self,
        sandbox: &AnySandbox,
        starts: u32,
    ) -> Result<Observed, Fault> {
        let container = self.runtime.state(&name_of(sandbox)).await?;
        let is_starting = sandbox.status == SandboxStatus::Starting;
        let readiness = match (container, sandbox.port) {
            (ContainerState::Running, Some(port)) if is_starting => {
                let secrets = self.secrets(sandbox).await?;
                self.probe.probe(&self.endpoint(port), &secrets).await
            }
            _ => Readiness::NotReady,
        };
        Ok(Observed {
            container,
            readiness,
            starts,
        })
    }

    /// The address of the sandbox published on this port.
    pub(crate) fn endpoint(&self, port: u16) -> Endpoint {
        let host = match self.settings.published_on {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        Endpoint::new(format!("ws://{host}:{port}"))
    }

    /// Reserves a port. Undone by the store when it marks the sandbox as failed.
    pub(crate) async fn reserve_port(&self, sandbox: &AnySandbox) -> Result<(), Fault> {
        self.reserve(sandbox).await?;
        Ok(())
    }

    /// Makes the sandbox's model key under a name that is stored first. Undone by [`Containers::revoke_key`].
    pub(crate) async fn mint_key(&self, sandbox: &AnySandbox) -> Result<(), Fault> {
        let start = sandbox.current_start();
        let row = self.sandboxes.by_id(sandbox.id).await?;
        let Some(sandbox) = row.filter(|row| row.current_start() == start) else {
            return Ok(());
        };
        if sandbox.model_key_hash.is_some() {
            return Ok(());
        }
        // An earlier attempt whose answer was lost may have made a key, which is useless but can spend money.
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

    /// Undoes [`Containers::mint_key`]: revokes the key in the row, or any key made under the name in the row.
    pub(crate) async fn revoke_key(&self, sandbox: &AnySandbox) -> Result<(), Fault> {
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

    /// Makes the volume and the container if they are absent, and starts the container. If the engine refuses the sandbox's
    /// port, the next one is reserved instead, and no sandbox gets the refused one for a while. Undone by
    /// [`Containers::take_down`].
    pub(crate) async fn start_container(&self, sandbox: &AnySandbox) -> Result<(), Fault> {
        let mut spec = self.spec(sandbox).await?;
        let id = loop {
            match self.runtime.ensure(&spec).await {
                Ok(id) => break id,
                Err(RuntimeError::PortTaken { port }) => {
                    self.learned.refused_ports.add(port, self.clock.now());
                    let Some(next) = self.reserve(sandbox).await? else {
                        return Ok(());
                    };
                    info!(
                        sandbox.id = %sandbox.id,
                        "the engine refuses port {port}: sandbox {} gets port {next}", sandbox.id
                    );
                    spec.port = next;
                }
                Err(error) => return Err(error.into()),
            }
        };
        let now = self.clock.now();
        self.sandboxes
            .record_container(sandbox.current_start(), id.as_str(), now)
            .await?;
        Ok(())
    }

    /// Undoes [`Containers::start_container`]. Removes the volume only if this is the first start: later it
    /// holds the assistant's memory.
    pub(crate) async fn take_down(&self, sandbox: &AnySandbox) -> Result<(), Fault> {
        self.runtime.remove(&name_of(sandbox)).await?;
        if sandbox.start == 1 {
            self.runtime
                .remove_volume(&VolumeName::of(sandbox.id))
                .await?;
        }
        Ok(())
    }

    /// Stops the sandbox's container gracefully, so that its OpenClaw can finish what it writes, and removes it. The volume
    /// remains, for [`Containers::start_container`].
    pub(crate) async fn put_to_sleep(&self, sandbox: &AnySandbox) -> Result<(), Fault> {
        self.stop(sandbox).await?;
        self.runtime.remove(&name_of(sandbox)).await?;
        Ok(())
    }

    /// Stops the sandbox's container gracefully; the container remains.
    pub(crate) async fn stop<User: Sync>(&self, sandbox: &Sandbox<User>) -> Result<(), Fault> {
        Ok(self.runtime.stop(&name_of(sandbox), STOP_GRACE).await?)
    }

    /// Undoes everything that any start made: the containers, the model key and the volume.
    pub(crate) async fn remove(&self, sandbox: &AnySandbox) -> Result<(), Fault> {
        let volume = VolumeName::of(sandbox.id);
        for container in self.list().await? {
            if container.name.volume() == volume {
                self.runtime.remove(&container.name).await?;
            }
        }
        self.revoke_key(sandbox).await?;
        self.runtime.remove_volume(&volume).await?;
        Ok(())
    }

    async fn spec(&self, sandbox: &AnySandbox) -> Result<ContainerSpec, Fault> {
        let missing =
            |what: &'static str| Fault::Internal(anyhow!("the sandbox's row has no {what}"));
        let secrets = self.secrets(sandbox).await?;
        let device = DeviceKey::from_seed(secrets.device_seed.expose_secret());
        let key = secrets.model_key.ok_or_else(|| missing("model key"))?;
        // A spare assistant has no person yet, and its alerts would reach the newcomer who claims it.
        let heartbeat_every = match sandbox.user {
            Some(_) => self.settings.heartbeat_every.as_str(),
            None => NEVER,
        };
        let mut environment: Vec<(&'static str, SecretString)> = vec![
            ("OPENCLAW_GATEWAY_TOKEN", secrets.gateway_token),
            (KEY_IN_SANDBOX, key),
            ("OPENCLAW_MODEL", sandbox.model.as_str().into()),
            ("CLAWKAKA_DEVICE_ID", device.id().into()),
            (
                "CLAWKAKA_DEVICE_PUBLIC_KEY",
                device.public_key_base64url().into(),
            ),
            ("HEARTBEAT_EVERY", heartbeat_every.into()),
        ];
        let optional = [
            (URL_IN_SANDBOX, &self.settings.model_base_url),
            ("TZ", &self.settings.time_zone),
        ];
        for (variable, value) in optional {
            environment.extend(value.as_deref().map(|value| (variable, value.into())));
        }
        Ok(ContainerSpec {
            sandbox: sandbox.id,
            name: name_of(sandbox),
            image: self.settings.image.clone(),
            port: sandbox.port.ok_or_else(|| missing("port"))?,
            environment,
        })
    }

    async fn secrets(&self, sandbox: &AnySandbox) -> Result<SandboxSecrets, Fault> {
        let secrets = self
            .sandboxes
            .secrets_of(sandbox.user, sandbox.id, &self.keyring)
            .await?;
        secrets
            .context("the sandbox's row is gone")
            .map_err(Fault::Internal)
    }

    /// Reserves a port, in place of one that the engine refuses; `None` if the start is over.
    async fn reserve(&self, sandbox: &AnySandbox) -> Result<Option<u16>, Fault> {
        let now = self.clock.now();
        let refused = self.learned.refused_ports.at(now);
        let range = self
            .ports_from(*self.settings.ports.start(), &refused)
            .await;
        let reserved = self
            .sandboxes
            .reserve_port(sandbox.current_start(), range, &refused, now)
            .await?;
        if reserved.is_some() || self.is_over(sandbox).await? {
            return Ok(reserved);
        }
        Err(self.no_free_port())
    }

    async fn is_over(&self, sandbox: &AnySandbox) -> Result<bool, Fault> {
        let row = self.sandboxes.by_id(sandbox.id).await?;
        Ok(row.is_none_or(|row| row.current_start() != sandbox.current_start()))
    }

    fn no_free_port(&self) -> Fault {
        let ports = &self.settings.ports;
        Fault::Dependency {
            reason: FailureReason::NoFreePort,
            is_permanent: true,
            asked_pause: None,
            source: anyhow!(
                "all ports from {} to {} are taken",
                ports.start(),
                ports.end()
            ),
        }
    }

    /// The ports from `first` on, less those at the beginning on which processes of this host listen. The store
    /// skips the ports of stopped sandboxes, on which no process listens either.
    ///
    /// In a container the host's address cannot be bound, so nothing is known about the ports: the engine refuses
    /// a port that is taken.
    async fn ports_from(&self, first: u16, refused: &[u16]) -> RangeInclusive<u16> {
        let last = *self.settings.ports.end();
        for port in (first..=last).filter(|port| !refused.contains(port)) {
            match TcpListener::bind((self.settings.published_on, port)).await {
                Err(error) if error.kind() == ErrorKind::AddrInUse => {}
                Err(error) if error.kind() != ErrorKind::AddrNotAvailable => {
                    warn!(%error, "cannot check whether port {port} is free");
                    return port..=last;
                }
                Ok(_) | Err(_) => return port..=last,
            }
        }
        first..=last
    }
}

fn silent_engine(what: &'static str) -> Fault {
    Fault::Dependency {
        reason: FailureReason::Engine,
        is_permanent: false,
        asked_pause: None,
        source: anyhow!("the container engine has not {what} in time"),
    }
}

/// The name of the container of the sandbox's current start.
pub(crate) fn name_of<User>(sandbox: &Sandbox<User>) -> ContainerName {
    ContainerName::of(sandbox.id, sandbox.start)
}
