use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use async_trait::async_trait;
use bollard::{
    API_DEFAULT_VERSION,
    errors::Error as EngineError,
    models::{ContainerInspectResponse, ContainerStateStatusEnum, ContainerSummaryStateEnum},
    query_parameters::{
        CreateContainerOptionsBuilder, ListContainersOptionsBuilder, RemoveContainerOptionsBuilder,
        RemoveVolumeOptions, StopContainerOptionsBuilder,
    },
};
use claw_domain::SandboxId;
use secrecy::SecretString;
use tracing::info;

use crate::{
    ContainerId, ContainerName, ContainerSpec, ContainerState, EngineInfo, ListedContainer,
    Runtime, RuntimeError, VolumeName,
    container::{
        OPENCLAW_PORT, OWNER_LABEL, SANDBOX_LABEL, container_body, published, volume_body,
    },
};

/// How long the engine may take to answer one request. The slowest request removes a container that
/// is writing a lot.
const TIMEOUT_SECONDS: u64 = 60;

/// Settings of a Docker engine.
#[derive(Debug, Clone)]
pub struct DockerConfig {
    /// The engine's address: `unix:///…` or `tcp://…`.
    pub engine: String,
    /// The installation's name, a label of every container and volume. Containers of other owners are
    /// neither listed nor changed.
    pub owner: String,
    /// The bridge network of the sandboxes. It must exist, with traffic between containers disabled.
    pub network: String,
    /// This host's address on that network.
    pub host_address: IpAddr,
    /// The address of this host on which the sandboxes' ports are published.
    pub published_on: IpAddr,
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self {
            engine: "unix:///var/run/docker.sock".to_owned(),
            owner: "local".to_owned(),
            network: "clawkaka".to_owned(),
            host_address: Ipv4Addr::new(172, 30, 0, 1).into(),
            published_on: Ipv4Addr::LOCALHOST.into(),
        }
    }
}

/// Keeps containers in a Docker engine.
#[derive(Debug, Clone)]
pub struct Docker {
    config: DockerConfig,
}

impl Docker {
    /// Uses the engine of `config`, without connecting: the engine may be down, and come back.
    pub const fn new(config: DockerConfig) -> Self {
        Self { config }
    }

    /// A client is cheap, because each request opens its own connection. Creating the client fails
    /// while the engine's socket does not exist.
    fn engine(&self, operation: &'static str) -> Result<bollard::Docker, RuntimeError> {
        self.engine_that_may_take(TIMEOUT_SECONDS, operation)
    }

    fn engine_that_may_take(
        &self,
        seconds: u64,
        operation: &'static str,
    ) -> Result<bollard::Docker, RuntimeError> {
        let address = self.config.engine.as_str();
        let client = if address.starts_with("unix://") {
            bollard::Docker::connect_with_unix(address, seconds, API_DEFAULT_VERSION)
        } else {
            bollard::Docker::connect_with_http(address, seconds, API_DEFAULT_VERSION)
        };
        client.map_err(|error| RuntimeError::of(operation, error, &[]))
    }

    async fn inspect(
        &self,
        name: &ContainerName,
    ) -> Result<Option<ContainerInspectResponse>, RuntimeError> {
        const OPERATION: &str = "inspecting a container";
        let found = self
            .engine(OPERATION)?
            .inspect_container(name.as_str(), None)
            .await;
        absent_as_none(found.map_err(|error| RuntimeError::of(OPERATION, error, &[])))
    }

    async fn create(&self, spec: &ContainerSpec) -> Result<ContainerId, RuntimeError> {
        const OPERATION: &str = "creating a container";
        let secrets: Vec<&SecretString> = spec.environment.iter().map(|(_, value)| value).collect();
        let engine = self.engine(OPERATION)?;
        engine
            .create_volume(volume_body(&self.config, spec.sandbox))
            .await
            .map_err(|error| RuntimeError::of("creating a volume", error, &[]))?;
        let options = CreateContainerOptionsBuilder::new()
            .name(spec.name.as_str())
            .build();
        let body = container_body(&self.config, spec);
        match engine.create_container(Some(options), body).await {
            Ok(created) => Ok(ContainerId::new(created.id)),
            Err(EngineError::DockerResponseServerError {
                status_code: 404,
                message,
            }) if is_image_missing(&message) => Err(RuntimeError::ImageMissing {
                image: spec.image.clone(),
            }),
            Err(error) => Err(RuntimeError::of(OPERATION, error, &secrets)),
        }
    }

    async fn start(&self, spec: &ContainerSpec) -> Result<(), RuntimeError> {
        const OPERATION: &str = "starting a container";
        match self
            .engine(OPERATION)?
            .start_container(spec.name.as_str(), None)
            .await
        {
            Ok(()) => Ok(()),
            Err(EngineError::DockerResponseServerError { message, .. })
                if is_port_taken(&message) =>
            {
                Err(RuntimeError::PortTaken { port: spec.port })
            }
            Err(error) => Err(RuntimeError::of(OPERATION, error, &[])),
        }
    }

    async fn remove_others(&self, spec: &ContainerSpec) -> Result<(), RuntimeError> {
        let label = format!("{SANDBOX_LABEL}={}", spec.sandbox);
        for other in self.list(label).await? {
            if other.name != spec.name {
                info!(sandbox.id = %spec.sandbox, "removing container {} of an earlier start", other.name);
                self.remove(&other.name).await?;
            }
        }
        Ok(())
    }

    async fn list(&self, label: String) -> Result<Vec<ListedContainer>, RuntimeError> {
        const OPERATION: &str = "listing containers";
        let labels = vec![label, format!("{OWNER_LABEL}={}", self.config.owner)];
        let filters = HashMap::from([("label", labels)]);
        let options = ListContainersOptionsBuilder::new()
            .all(true)
            .filters(&filters)
            .build();
        let listed = self
            .engine(OPERATION)?
            .list_containers(Some(options))
            .await
            .map_err(|error| RuntimeError::of(OPERATION, error, &[]))?;
        let found = listed.into_iter().filter_map(|container| {
            let name = container
                .names?
                .first()
                .map(|name| ContainerName::from_engine(name))?;
            Some(ListedContainer {
                name,
                image: container.image.filter(|image| !image.is_empty()),
                is_running: container.state == Some(ContainerSummaryStateEnum::RUNNING),
            })
        });
        Ok(found.collect())
    }

    fn has_port_of(&self, container: &ContainerInspectResponse, spec: &ContainerSpec) -> bool {
        let host = container.host_config.as_ref();
        let ports = host.and_then(|host| host.port_bindings.as_ref()?.get(OPENCLAW_PORT)?.as_ref());
        ports.is_some_and(|ports| *ports == [published(self.config.published_on, spec.port)])
    }
}

#[async_trait]
impl Runtime for Docker {
    async fn ensure(&self, spec: &ContainerSpec) -> Result<ContainerId, RuntimeError> {
        self.remove_others(spec).await?;
        let existing = match self.inspect(&spec.name).await? {
            Some(container) if sandbox_of(&container) != Some(spec.sandbox) => {
                return Err(RuntimeError::NotOurs {
                    name: spec.name.to_string(),
                });
            }
            Some(container)
                if state_of(&container) == ContainerState::Running
                    || self.has_port_of(&container, spec) =>
            {
                container.id
            }
            // The container never ran, because its port was taken.
            Some(_) => {
                self.remove(&spec.name).await?;
                None
            }
            None => None,
        };
        let id = match existing {
            Some(id) => ContainerId::new(id),
            None => self.create(spec).await?,
        };
        self.start(spec).await?;
        Ok(id)
    }

    async fn state(&self, name: &ContainerName) -> Result<ContainerState, RuntimeError> {
        let container = self.inspect(name).await?;
        Ok(container.as_ref().map_or(ContainerState::Absent, state_of))
    }

    async fn stop(&self, name: &ContainerName, grace: Duration) -> Result<(), RuntimeError> {
        const OPERATION: &str = "stopping a container";
        let seconds = grace.as_secs();
        let options = StopContainerOptionsBuilder::new()
            .t(i32::try_from(seconds).unwrap_or(i32::MAX))
            .build();
        let stopped = self
            .engine_that_may_take(seconds.saturating_add(TIMEOUT_SECONDS), OPERATION)?
            .stop_container(name.as_str(), Some(options))
            .await;
        absent_as_none(stopped.map_err(|error| RuntimeError::of(OPERATION, error, &[])))?;
        Ok(())
    }

    async fn remove(&self, name: &ContainerName) -> Result<(), RuntimeError> {
        const OPERATION: &str = "removing a container";
        let options = RemoveContainerOptionsBuilder::new().force(true).build();
        let removed = self
            .engine(OPERATION)?
            .remove_container(name.as_str(), Some(options))
            .await;
        absent_as_none(removed.map_err(|error| RuntimeError::of(OPERATION, error, &[])))?;
        Ok(())
    }

    async fn remove_volume(&self, name: &VolumeName) -> Result<(), RuntimeError> {
        const OPERATION: &str = "removing a volume";
        let options = None::<RemoveVolumeOptions>;
        let removed = self
            .engine(OPERATION)?
            .remove_volume(name.as_str(), options)
            .await;
        absent_as_none(removed.map_err(|error| RuntimeError::of(OPERATION, error, &[])))?;
        Ok(())
    }

    async fn list_ours(&self) -> Result<Vec<ListedContainer>, RuntimeError> {
        self.list(SANDBOX_LABEL.to_owned()).await
    }

    async fn engine_info(&self) -> Result<EngineInfo, RuntimeError> {
        const OPERATION: &str = "asking the engine who it is";
        let info = self.engine(OPERATION)?.info().await;
        let info = info.map_err(|error| RuntimeError::of(OPERATION, error, &[]))?;
        let id = info.id.filter(|id| !id.is_empty());
        Ok(EngineInfo {
            id: id.ok_or(RuntimeError::Unreadable {
                operation: OPERATION,
            })?,
            memory: info
                .mem_total
                .and_then(|bytes| u64::try_from(bytes).ok())
                .filter(|bytes| *bytes > 0),
        })
    }

    async fn is_reachable(&self) -> bool {
        match self.engine("pinging the engine") {
            Ok(engine) => engine.ping().await.is_ok(),
            Err(_) => false,
        }
    }
}

fn absent_as_none<T>(result: Result<T, RuntimeError>) -> Result<Option<T>, RuntimeError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_status(404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Distinguishes a missing image from a missing network, which has the same status 404.
fn is_image_missing(message: &str) -> bool {
    message.contains("image") || message.contains("manifest")
}

/// The engine has no status code for this. The container that could not be started remains.
fn is_port_taken(message: &str) -> bool {
    message.contains("port is already allocated") || message.contains("address already in use")
}

fn sandbox_of(container: &ContainerInspectResponse) -> Option<SandboxId> {
    container
        .config
        .as_ref()?
        .labels
        .as_ref()?
        .get(SANDBOX_LABEL)?
        .parse()
        .ok()
}

fn state_of(container: &ContainerInspectResponse) -> ContainerState {
    let Some(state) = &container.state else {
        return ContainerState::Absent;
    };
    match state.status {
        Some(ContainerStateStatusEnum::CREATED) => ContainerState::Created,
        Some(
            ContainerStateStatusEnum::RUNNING
            | ContainerStateStatusEnum::PAUSED
            | ContainerStateStatusEnum::RESTARTING
            | ContainerStateStatusEnum::STOPPING,
        ) => ContainerState::Running,
        Some(
            ContainerStateStatusEnum::EXITED
            | ContainerStateStatusEnum::DEAD
            | ContainerStateStatusEnum::REMOVING
            | ContainerStateStatusEnum::EMPTY,
        )
        | None => ContainerState::Exited {
            code: state.exit_code.unwrap_or_default(),
            out_of_memory: state.oom_killed.unwrap_or_default(),
        },
    }
}
