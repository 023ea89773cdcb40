use std::{fmt, time::Duration};

use async_trait::async_trait;
use claw_domain::SandboxId;
use secrecy::SecretString;

use crate::RuntimeError;

/// Keeps containers. Every call is idempotent: it succeeds if its effect exists already.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Creates the sandbox's volume and container if they do not exist, and starts the container if it
    /// is not running. Containers of the same sandbox with other names are removed first, because two
    /// must never share the volume.
    async fn ensure(&self, spec: &ContainerSpec) -> Result<ContainerId, RuntimeError>;

    /// The state of the container.
    async fn state(&self, name: &ContainerName) -> Result<ContainerState, RuntimeError>;

    /// Asks the container's process to end (SIGTERM), and kills it if it has not ended after `grace`. The container remains.
    async fn stop(&self, name: &ContainerName, grace: Duration) -> Result<(), RuntimeError>;

    /// Kills and removes the container. Its volume remains.
    async fn remove(&self, name: &ContainerName) -> Result<(), RuntimeError>;

    /// Deletes the sandbox's volume, and with it everything its assistant knows. No container may be
    /// using it.
    async fn remove_volume(&self, name: &VolumeName) -> Result<(), RuntimeError>;

    /// All containers of this installation, running or not.
    async fn list_ours(&self) -> Result<Vec<ListedContainer>, RuntimeError>;

    /// Which engine this is, and what its host has.
    async fn engine_info(&self) -> Result<EngineInfo, RuntimeError>;

    /// Whether the engine answers.
    async fn is_reachable(&self) -> bool;
}

/// The description of a sandbox's container.
#[derive(Debug, Clone)]
pub struct ContainerSpec {
    /// The sandbox of the container.
    pub sandbox: SandboxId,
    /// The name, which includes the number of the start.
    pub name: ContainerName,
    /// The image, which must be on the host.
    pub image: String,
    /// The port of the host that is forwarded to the sandbox's OpenClaw.
    pub port: u16,
    /// The environment variables of the container.
    pub environment: Vec<(&'static str, SecretString)>,
}

/// A container's name, derived from its sandbox and the number of the start. A retry thus finds the
/// container that an earlier try created, and the container of an abandoned start is not mistaken for it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContainerName(String);

impl ContainerName {
    /// The name of the sandbox's container for this start.
    pub fn of(sandbox: SandboxId, start: u32) -> Self {
        Self(format!("clawkaka-{}-{start}", sandbox.as_uuid().simple()))
    }

    /// Wraps a name returned by the engine.
    pub(crate) fn from_engine(name: &str) -> Self {
        Self(name.trim_start_matches('/').to_owned())
    }

    /// The volume that a container of this name uses.
    pub fn volume(&self) -> VolumeName {
        let volume = self
            .0
            .rsplit_once('-')
            .map_or(self.as_str(), |(volume, _)| volume);
        VolumeName(volume.to_owned())
    }

    /// The name in the engine.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A volume's name, derived from the sandbox alone, because the volume outlives its containers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VolumeName(String);

impl VolumeName {
    /// The name of the sandbox's volume.
    pub fn of(sandbox: SandboxId) -> Self {
        Self(format!("clawkaka-{}", sandbox.as_uuid().simple()))
    }

    /// The name in the engine.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The engine's id of a container.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContainerId(String);

impl ContainerId {
    /// Wraps an id returned by the engine.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id in the engine.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The state of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerState {
    /// No container has this name.
    Absent,
    /// Created, but never started.
    Created,
    /// Its main process is running.
    Running,
    /// Its main process ended.
    Exited {
        /// The exit code of that process; 137 after a kill.
        code: i64,
        /// Whether the container exceeded its memory limit.
        out_of_memory: bool,
    },
}

/// A container engine and its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// The id that the engine has kept since it was installed. Containers and volumes exist in one engine only.
    pub id: String,
    /// The memory of its host, in bytes; `None` if the engine does not tell.
    pub memory: Option<u64>,
}

/// A container in the list of this installation's containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedContainer {
    /// The name in the engine.
    pub name: ContainerName,
    /// The image it was made from: its name, or its id if the name has come to mean another image; `None` if the engine does
    /// not tell.
    pub image: Option<String>,
    /// Whether its main process is running.
    pub is_running: bool,
}
