use serde::{Deserialize, Serialize};

/// A container, for operators and tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerView {
    /// The name, without Docker's slash.
    pub name: String,
    /// The engine's id.
    pub id: String,
    /// The image it was created from.
    pub image: String,
    /// Its volume, which is also the name of its assistant.
    pub volume: String,
    /// The port on which it is published.
    pub port: Option<u16>,
    /// Whether its process runs.
    pub status: ContainerStatus,
    /// The exit code of its process, if that has ended.
    pub exit_code: Option<i64>,
}

/// The state of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContainerStatus {
    /// Created, but never started.
    Created,
    /// Its process runs.
    Running,
    /// Its process has ended.
    Exited,
}

impl ContainerStatus {
    /// The value of `State` in Docker's answers.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Exited => "exited",
        }
    }
}

/// Exact counts of the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineStats {
    /// Volumes that exist.
    pub volumes: u64,
    /// Containers that exist.
    pub containers: u64,
    /// Containers that run.
    pub running: u64,
    /// Containers created so far.
    pub created: u64,
    /// Starts that succeeded, also those whose process ended at once.
    pub starts: u64,
    /// Requests refused because the engine was failing.
    pub requests_refused: u64,
    /// Starts refused because of their port.
    pub ports_refused: u64,
    /// The most containers that ran at once.
    pub most_running: u64,
    /// The most containers that were starting at once: running, and not ready yet.
    pub most_starting: u64,
    /// Starts of a container on a volume that a running container used. Each one is a bug of the client: a real
    /// assistant loses data.
    pub shared_volumes: Vec<SharedVolume>,
}

/// Two containers that ran on one volume at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedVolume {
    /// The name of the volume.
    pub volume: String,
    /// The name of the container that ran.
    pub running: String,
    /// The name of the container that was started.
    pub started: String,
}
