//! A container engine in memory, for tests: it keeps state, so a test asks what exists now.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use claw_domain::SandboxId;

use crate::{
    ContainerId, ContainerName, ContainerState, Found, Runtime, RuntimeError, Spec, VolumeName,
};

/// An engine that makes, starts and removes as Docker does, and fails as told.
#[derive(Debug, Default)]
pub struct FakeRuntime {
    engine: Mutex<Engine>,
}

#[derive(Debug, Default)]
struct Engine {
    containers: BTreeMap<String, Container>,
    volumes: BTreeSet<String>,
    taken_ports: BTreeSet<u16>,
    made: usize,
    fault: Option<Fault>,
    exits_with: Option<i64>,
}

#[derive(Debug, Clone)]
struct Container {
    sandbox: Option<SandboxId>,
    port: u16,
    state: ContainerState,
}

/// What is wrong with the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It answers every call with status 500.
    Trouble,
    /// It makes and starts containers, but its answers to that are lost.
    LosesAnswers,
    /// It has no image.
    NoImage,
}

impl FakeRuntime {
    /// The containers that exist.
    pub fn containers(&self) -> Vec<String> {
        self.engine().containers.keys().cloned().collect()
    }

    /// The volumes that exist.
    pub fn volumes(&self) -> Vec<String> {
        self.engine().volumes.iter().cloned().collect()
    }

    /// How many containers were ever made.
    pub fn made(&self) -> usize {
        self.engine().made
    }

    /// The port the container is published on.
    pub fn port_of(&self, name: &ContainerName) -> Option<u16> {
        self.engine()
            .containers
            .get(name.as_str())
            .map(|container| container.port)
    }

    /// From here on the engine has this fault, or none.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.engine().fault = fault;
    }

    /// Every container that is started from here on exits at once with this code; `None`: it runs.
    pub fn let_containers_exit(&self, code: Option<i64>) {
        self.engine().exits_with = code;
    }

    /// Something else listens on this port.
    pub fn take_port(&self, port: u16) {
        self.engine().taken_ports.insert(port);
    }

    /// The container's process ends, as after a crash of the engine.
    pub fn kill(&self, name: &ContainerName) {
        if let Some(container) = self.engine().containers.get_mut(name.as_str()) {
            container.state = ContainerState::Exited {
                code: 137,
                out_of_memory: false,
            };
        }
    }

    /// A container that was made for this sandbox and that nobody remembers.
    pub fn add(&self, name: &ContainerName, sandbox: Option<SandboxId>) {
        let state = ContainerState::Running;
        let container = Container {
            sandbox,
            port: 0,
            state,
        };
        self.engine().containers.insert(name.to_string(), container);
    }

    fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Engine {
    fn check(&self, operation: &'static str) -> Result<(), RuntimeError> {
        match self.fault {
            Some(Fault::Trouble) => Err(trouble(operation)),
            Some(Fault::LosesAnswers | Fault::NoImage) | None => Ok(()),
        }
    }

    fn start(&mut self, spec: &Spec) -> Result<(), RuntimeError> {
        let port_is_taken = self.taken_ports.contains(&spec.port);
        let exits_with = self.exits_with;
        let Some(container) = self.containers.get_mut(spec.name.as_str()) else {
            return Ok(());
        };
        if port_is_taken {
            return Err(RuntimeError::PortTaken { port: spec.port });
        }
        container.state = match exits_with {
            Some(code) => ContainerState::Exited {
                code,
                out_of_memory: false,
            },
            None => ContainerState::Running,
        };
        Ok(())
    }
}

#[async_trait]
impl Runtime for FakeRuntime {
    async fn ensure(&self, spec: &Spec) -> Result<ContainerId, RuntimeError> {
        let mut engine = self.engine();
        engine.check("ensuring")?;
        if engine.fault == Some(Fault::NoImage) {
            return Err(RuntimeError::ImageMissing {
                image: spec.image.clone(),
            });
        }
        let name = spec.name.as_str();
        let others = |key: &String, other: &mut Container| {
            key == name || other.sandbox != Some(spec.sandbox)
        };
        engine.containers.retain(others);
        let is_as_asked = |existing: &Container| {
            existing.port == spec.port || existing.state == ContainerState::Running
        };
        if !engine.containers.get(name).is_some_and(is_as_asked) {
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
        engine.start(spec)?;
        if engine.fault == Some(Fault::LosesAnswers) {
            return Err(trouble("ensuring"));
        }
        Ok(ContainerId::new(format!("id-of-{name}")))
    }

    async fn state(&self, name: &ContainerName) -> Result<ContainerState, RuntimeError> {
        let engine = self.engine();
        engine.check("looking")?;
        let container = engine.containers.get(name.as_str());
        Ok(container.map_or(ContainerState::Absent, |container| container.state))
    }

    async fn remove(&self, name: &ContainerName) -> Result<(), RuntimeError> {
        let mut engine = self.engine();
        engine.check("removing")?;
        engine.containers.remove(name.as_str());
        Ok(())
    }

    async fn remove_volume(&self, name: &VolumeName) -> Result<(), RuntimeError> {
        let mut engine = self.engine();
        engine.check("removing")?;
        engine.volumes.remove(name.as_str());
        Ok(())
    }

    async fn list_ours(&self) -> Result<Vec<Found>, RuntimeError> {
        let engine = self.engine();
        engine.check("listing")?;
        let found = engine.containers.iter().map(|(name, container)| Found {
            name: ContainerName::from_engine(name),
            sandbox: container.sandbox,
            is_running: container.state == ContainerState::Running,
        });
        Ok(found.collect())
    }

    async fn is_reachable(&self) -> bool {
        self.engine().check("asking").is_ok()
    }
}

fn trouble(operation: &'static str) -> RuntimeError {
    RuntimeError::Refused {
        operation,
        status: 500,
        message: "trouble".to_owned(),
    }
}
