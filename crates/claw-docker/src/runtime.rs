use std::fmt;

use async_trait::async_trait;
use claw_domain::SandboxId;
use secrecy::SecretString;

use crate::RuntimeError;

/// Keeps containers. Every call may be repeated: what is there already, or gone already, is a success.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Makes the sandbox's volume and container where they are absent and starts the container where
    /// it does not run. Containers of the same sandbox under other names are removed first: two must
    /// never share the volume.
    async fn ensure(&self, spec: &Spec) -> Result<ContainerId, RuntimeError>;

    /// What became of the container.
    async fn state(&self, name: &ContainerName) -> Result<ContainerState, RuntimeError>;

    /// Stops and removes the container at once; its volume stays.
    async fn remove(&self, name: &ContainerName) -> Result<(), RuntimeError>;

    /// Deletes the sandbox's volume: all its assistant ever knew. No container may use it.
    async fn remove_volume(&self, name: &VolumeName) -> Result<(), RuntimeError>;

    /// Every container of this installation, running or not.
    async fn list_ours(&self) -> Result<Vec<Found>, RuntimeError>;

    /// Whether the engine answers.
    async fn is_reachable(&self) -> bool;
}

/// What a sandbox's container is made from.
#[derive(Debug, Clone)]
pub struct Spec {
    /// Whose container it is.
    pub sandbox: SandboxId,
    /// The container's name.
    pub name: ContainerName,
    /// The image it runs, which must be on the host.
    pub image: String,
    /// The host's port that leads to the gateway inside.
    pub port: u16,
    /// What the image reads from its environment.
    pub environment: Vec<(&'static str, SecretString)>,
}

/// A container's name. Derived from its sandbox and the number of the start, so that a repeated step
/// finds what the first try made, and a late answer to an abandoned start cannot pass for this one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContainerName(String);

impl ContainerName {
    /// The name of the container of this start.
    pub fn of(sandbox: SandboxId, start: u32) -> Self {
        Self(format!("clawkaka-{}-{start}", sandbox.as_uuid().simple()))
    }

    /// Wraps a name read back from the engine.
    pub(crate) fn from_engine(name: &str) -> Self {
        Self(name.trim_start_matches('/').to_owned())
    }

    /// The name as the engine has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A volume's name. Derived from the sandbox alone: it outlives its containers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VolumeName(String);

impl VolumeName {
    /// The name of the sandbox's volume.
    pub fn of(sandbox: SandboxId) -> Self {
        Self(format!("clawkaka-{}", sandbox.as_uuid().simple()))
    }

    /// The name as the engine has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The engine's own id of a container.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ContainerId(String);

impl ContainerId {
    /// Wraps the id as the engine wrote it.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as the engine wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What became of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerState {
    /// There is none of this name.
    Absent,
    /// Made, and never started.
    Created,
    /// Its first process runs.
    Running,
    /// Its first process ended.
    Exited {
        /// That process's exit code; 137 after a kill.
        code: i64,
        /// Whether it met its memory limit.
        out_of_memory: bool,
    },
}

/// A container of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: ContainerName,
    /// The sandbox it was made for; `None` when its label is not one of ours.
    pub sandbox: Option<SandboxId>,
    /// Whether its first process runs.
    pub is_running: bool,
}
