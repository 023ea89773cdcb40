//! A container engine in memory, for tests. It keeps state, so that a test can check which containers
//! exist.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use claw_domain::SandboxId;
use parking_lot::Mutex;

use crate::{
    ContainerId, ContainerName, ContainerSpec, ContainerState, ListedContainer, Runtime,
    RuntimeError, VolumeName,
};

/// An engine that creates, starts and removes containers as Docker does, and fails on request.
#[derive(Debug, Default)]
pub struct FakeRuntime {
    engine: Mutex<Engine>,
}

#[derive(Debug, Default)]
struct Engine {
    containers: BTreeMap<String, Container>,
    volumes: BTreeSet<String>,
    made: usize,
    taken_ports: BTreeSet<u16>,
    fault: Option<EngineFault>,
    exits_with: Option<i64>,
}

#[derive(Debug, Clone)]
struct Container {
    sandbox: Option<SandboxId>,
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
}

impl FakeRuntime {
    /// The names of the existing containers.
    pub fn containers(&self) -> Vec<String> {
        self.engine.lock().containers.keys().cloned().collect()
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
        self.engine.lock().fault = fault;
    }

    /// Makes every container started later exit at once with this code; `None` lets them run.
    pub fn let_containers_exit(&self, code: Option<i64>) {
        self.engine.lock().exits_with = code;
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
            port: 0,
            state,
        };
        self.engine
            .lock()
            .containers
            .insert(name.to_string(), container);
    }
}

impl Engine {
    fn check(&self, operation: &'static str) -> Result<(), RuntimeError> {
        match self.fault {
            Some(EngineFault::Failing) => Err(failure(operation)),
            Some(EngineFault::LosesAnswers | EngineFault::NoImage) | None => Ok(()),
        }
    }

    fn start(&mut self, spec: &ContainerSpec) {
        let Some(container) = self.containers.get_mut(spec.name.as_str()) else {
            return;
        };
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
        let mut engine = self.engine.lock();
        engine.check("ensuring")?;
        if engine.fault == Some(EngineFault::NoImage) {
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
        if engine.fault == Some(EngineFault::LosesAnswers) {
            return Err(failure("ensuring"));
        }
        Ok(ContainerId::new(format!("id-of-{name}")))
    }

    async fn state(&self, name: &ContainerName) -> Result<ContainerState, RuntimeError> {
        let engine = self.engine.lock();
        engine.check("inspecting")?;
        let container = engine.containers.get(name.as_str());
        Ok(container.map_or(ContainerState::Absent, |container| container.state))
    }

    async fn remove(&self, name: &ContainerName) -> Result<(), RuntimeError> {
        let mut engine = self.engine.lock();
        engine.check("removing")?;
        engine.containers.remove(name.as_str());
        Ok(())
    }

    async fn remove_volume(&self, name: &VolumeName) -> Result<(), RuntimeError> {
        let mut engine = self.engine.lock();
        engine.check("removing")?;
        engine.volumes.remove(name.as_str());
        Ok(())
    }

    async fn list_ours(&self) -> Result<Vec<ListedContainer>, RuntimeError> {
        let engine = self.engine.lock();
        engine.check("listing")?;
        let found = engine
            .containers
            .iter()
            .map(|(name, container)| ListedContainer {
                name: ContainerName::from_engine(name),
                is_running: container.state == ContainerState::Running,
            });
        Ok(found.collect())
    }

    async fn is_reachable(&self) -> bool {
        self.engine.lock().check("pinging").is_ok()
    }
}

fn failure(operation: &'static str) -> RuntimeError {
    RuntimeError::Refused {
        operation,
        status: 500,
        message: "failure".to_owned(),
    }
}
