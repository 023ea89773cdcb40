//! A container engine in memory, for tests. It keeps state, so that a test can check which containers
//! exist.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use async_trait::async_trait;
use claw_domain::SandboxId;
use parking_lot::Mutex;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;

use crate::{
    ContainerId, ContainerName, ContainerSpec, ContainerState, EngineInfo, ListedContainer,
    Runtime, RuntimeError, VolumeName,
};

/// The memory of the host, in bytes: no sandbox waits for it.
const MEMORY: u64 = 1 << 50;

/// An engine that creates, starts and removes containers as Docker does, and fails on request.
#[derive(Debug, Default)]
pub struct FakeRuntime {
    engine: Mutex<Engine>,
    fault: watch::Sender<Option<EngineFault>>,
}

#[derive(Debug, Default)]
struct Engine {
    containers: BTreeMap<String, Container>,
    volumes: BTreeSet<String>,
    made: usize,
    taken_ports: BTreeSet<u16>,
    exits_with: Option<i64>,
    started: Vec<String>,
    stopped: Vec<String>,
    id: Option<String>,
}

#[derive(Debug, Clone)]
struct Container {
    sandbox: Option<SandboxId>,
    image: String,
    environment: Vec<(&'static str, SecretString)>,
    port: u16,
    state: ContainerState,
}

/// A fault of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineFault {
    /// It answers every request with status 500.
    Failing,
    /// It creates and starts containers, but the answers are lost.
    LosesAnswers,
    /// It does not have the image.
    NoImage,
    /// It answers no request until it is repaired.
    Hangs,
}

impl FakeRuntime {
    /// The names of the existing containers.
    pub fn containers(&self) -> Vec<String> {
        self.engine.lock().containers.keys().cloned().collect()
    }

    /// An environment variable of an existing container.
    pub fn variable(&self, container: &ContainerName, variable: &str) -> Option<String> {
        let engine = self.engine.lock();
        let found = engine.containers.get(container.as_str())?;
        let mut variables = found.environment.iter();
        let (_, value) = variables.find(|(name, _)| *name == variable)?;
        Some(value.expose_secret().to_owned())
    }

    /// The names of the existing volumes.
    pub fn volumes(&self) -> Vec<String> {
        self.engine.lock().volumes.iter().cloned().collect()
    }

    /// The number of containers created so far.
    pub fn made(&self) -> usize {
        self.engine.lock().made
    }

    /// Lets another process listen on this port of the host.
    pub fn take_port(&self, port: u16) {
        self.engine.lock().taken_ports.insert(port);
    }

    /// Gives the engine this fault, or repairs it.
    pub fn set_fault(&self, fault: Option<EngineFault>) {
        self.fault.send_replace(fault);
    }

    /// Makes every container started later exit at once with this code; `None` lets them run.
    pub fn let_containers_exit(&self, code: Option<i64>) {
        self.engine.lock().exits_with = code;
    }

    /// The containers that were started, in order.
    pub fn started(&self) -> Vec<String> {
        self.engine.lock().started.clone()
    }

    /// The containers that were stopped gracefully, in order.
    pub fn stopped(&self) -> Vec<String> {
        self.engine.lock().stopped.clone()
    }

    /// Gives the engine another id, as if a provisioner was connected to the engine of another host.
    pub fn set_engine_id(&self, id: &str) {
        self.engine.lock().id = Some(id.to_owned());
    }

    /// Kills the container's process, as a crash of the engine does.
    pub fn kill(&self, name: &ContainerName) {
        if let Some(container) = self.engine.lock().containers.get_mut(name.as_str()) {
            container.state = ContainerState::Exited {
                code: 137,
                out_of_memory: false,
            };
        }
    }

    /// Adds a running container of this sandbox that no row refers to.
    pub fn add(&self, name: &ContainerName, sandbox: Option<SandboxId>) {
        let state = ContainerState::Running;
        let container = Container {
            sandbox,
            image: String::new(),
            environment: Vec::new(),
            port: 0,
            state,
        };
        self.engine
            .lock()
            .containers
            .insert(name.to_string(), container);
    }
}

impl FakeRuntime {
    /// Waits while the engine hangs, and fails while it is failing; otherwise returns the fault that it has.
    async fn answer(&self, operation: &'static str) -> Result<Option<EngineFault>, RuntimeError> {
        let mut faults = self.fault.subscribe();
        let is_answering = |fault: &Option<EngineFault>| *fault != Some(EngineFault::Hangs);
        // The sender lives as long as `self`.
        let fault = faults.wait_for(is_answering).await.map(|fault| *fault);
        match fault.unwrap_or_default() {
            Some(EngineFault::Failing) => Err(failure(operation)),
            fault => Ok(fault),
        }
    }
}

impl Engine {
    fn start(&mut self, spec: &ContainerSpec) {
        let Some(container) = self.containers.get_mut(spec.name.as_str()) else {
            return;
        };
        self.started.push(spec.name.to_string());
        container.state = match self.exits_with {
            Some(code) => ContainerState::Exited {
                code,
                out_of_memory: false,
            },
            None => ContainerState::Running,
        };
    }
}

#[async_trait]
impl Runtime for FakeRuntime {
    async fn ensure(&self, spec: &ContainerSpec) -> Result<ContainerId, RuntimeError> {
        let fault = self.answer("ensuring").await?;
        let mut engine = self.engine.lock();
        if fault == Some(EngineFault::NoImage) {
            return Err(RuntimeError::ImageMissing {
                image: spec.image.clone(),
            });
        }
        let name = spec.name.as_str();
        let others = |key: &String, other: &mut Container| {
            key == name || other.sandbox != Some(spec.sandbox)
        };
        engine.containers.retain(others);
        let is_reusable = |existing: &Container| {
            existing.port == spec.port || existing.state == ContainerState::Running
        };
        if !engine.containers.get(name).is_some_and(is_reusable) {
            engine.made += 1;
            let state = ContainerState::Created;
            let container = Container {
                sandbox: Some(spec.sandbox),
                image: spec.image.clone(),
                environment: spec.environment.clone(),
                port: spec.port,
                state,
            };
            engine.containers.insert(name.to_owned(), container);
        }
        engine
            .volumes
            .insert(VolumeName::of(spec.sandbox).to_string());
        if engine.taken_ports.contains(&spec.port) {
            return Err(RuntimeError::PortTaken { port: spec.port });
        }
        engine.start(spec);
        answered(fault, "ensuring")?;
        Ok(ContainerId::new(format!("id-of-{name}")))
    }

    async fn state(&self, name: &ContainerName) -> Result<ContainerState, RuntimeError> {
        self.answer("inspecting").await?;
        let engine = self.engine.lock();
        let container = engine.containers.get(name.as_str());
        Ok(container.map_or(ContainerState::Absent, |container| container.state))
    }

    async fn stop(&self, name: &ContainerName, _grace: Duration) -> Result<(), RuntimeError> {
        let fault = self.answer("stopping").await?;
        let mut engine = self.engine.lock();
        let Engine {
            containers,
            stopped,
            ..
        } = &mut *engine;
        if let Some(container) = containers.get_mut(name.as_str())
            && container.state == ContainerState::Running
        {
            stopped.push(name.to_string());
            container.state = ContainerState::Exited {
                code: 0,
                out_of_memory: false,
            };
        }
        answered(fault, "stopping")
    }

    async fn remove(&self, name: &ContainerName) -> Result<(), RuntimeError> {
        let fault = self.answer("removing").await?;
        self.engine.lock().containers.remove(name.as_str());
        answered(fault, "removing")
    }

    async fn remove_volume(&self, name: &VolumeName) -> Result<(), RuntimeError> {
        let fault = self.answer("removing").await?;
        self.engine.lock().volumes.remove(name.as_str());
        answered(fault, "removing")
    }

    async fn list_ours(&self) -> Result<Vec<ListedContainer>, RuntimeError> {
        self.answer("listing").await?;
        let engine = self.engine.lock();
        let found = engine
            .containers
            .iter()
            .map(|(name, container)| ListedContainer {
                name: ContainerName::from_engine(name),
                image: Some(container.image.clone()),
                is_running: container.state == ContainerState::Running,
            });
        Ok(found.collect())
    }

    async fn engine_info(&self) -> Result<EngineInfo, RuntimeError> {
        self.answer("asking the engine who it is").await?;
        let id = self.engine.lock().id.clone();
        Ok(EngineInfo {
            id: id.unwrap_or_else(|| "engine".to_owned()),
            memory: Some(MEMORY),
        })
    }

    async fn is_reachable(&self) -> bool {
        self.answer("pinging").await.is_ok()
    }
}

/// Fails if the answer of a request that took effect gets lost.
fn answered(fault: Option<EngineFault>, operation: &'static str) -> Result<(), RuntimeError> {
    match fault {
        Some(EngineFault::LosesAnswers) => Err(failure(operation)),
        Some(EngineFault::Failing | EngineFault::NoImage | EngineFault::Hangs) | None => Ok(()),
    }
}

fn failure(operation: &'static str) -> RuntimeError {
    RuntimeError::Refused {
        operation,
        status: 500,
        message: "failure".to_owned(),
    }
}
