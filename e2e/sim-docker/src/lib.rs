//! A simulator of a Docker engine whose containers run simulated assistants: the part of the Engine API 1.41 that
//! creates, starts, stops, kills, removes and lists containers and volumes, with the status codes and messages of
//! Docker 20.10. A running container costs a listener; a volume keeps what its assistant knows, and costs about
//! 2 kB. The engine fails on request, and records what a real one would not: how many containers ran at once, and
//! whether two of them shared a volume.

mod api;
mod config;
mod container;
mod control;
mod describe;
mod engine;
mod error;
mod faults;
mod filters;
mod image;
mod listening;
mod server;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;

use anyhow::Context;
use sim_kit::server::HttpServer;
use sim_openclaw::SimOpenClaw;

pub use config::{EngineAddress, SimDockerConfig};
pub use faults::EngineFaults;
pub use image::Starts;
pub use view::{ContainerStatus, ContainerView, EngineStats, SharedVolume};

use control::Simulated;
use engine::Engine;
use server::EngineServer;

/// A running simulated engine. Dropping it ends every container.
#[derive(Debug)]
pub struct SimDocker {
    simulated: Arc<Simulated>,
    control: HttpServer,
}

impl SimDocker {
    /// Starts listening. The engine has no containers and no volumes.
    pub async fn start(config: SimDockerConfig) -> anyhow::Result<Self> {
        let openclaw = SimOpenClaw::start(config.openclaw.clone()).await?;
        let (listen, control) = (config.listen.clone(), config.control);
        let engine = Arc::new(Engine::new(config, Arc::new(openclaw)));
        let server = EngineServer::start(&listen, api::router(Arc::clone(&engine))).await?;
        let simulated = Arc::new(Simulated { engine, server });
        let control = HttpServer::start(control, control::router(Arc::clone(&simulated)))
            .await
            .with_context(|| format!("listening on {control}"))?;
        Ok(Self { simulated, control })
    }

    /// The value for `DOCKER_HOST`.
    pub fn docker_host(&self) -> String {
        self.simulated.server.address().to_string()
    }

    /// The value for `OPENCLAW_SANDBOX_IMAGE`: the first image on this host; empty if there is none.
    pub fn image(&self) -> String {
        self.simulated.engine.image()
    }

    /// The base URL of the control API.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control.addr())
    }

    /// The assistants in the containers. The name of an assistant is the name of its volume.
    pub fn openclaw(&self) -> Arc<SimOpenClaw> {
        Arc::clone(&self.simulated.engine.openclaw)
    }

    /// Sets the faults that `faults` names; the others stay as they are.
    pub fn set_faults(&self, faults: EngineFaults) {
        self.simulated.engine.faults.change(faults);
    }

    /// Ends all faults of the engine.
    pub fn clear_faults(&self) {
        self.simulated.engine.faults.clear();
    }

    /// Closes the engine's address: connections are refused. Containers keep running.
    pub async fn go_down(&self) {
        self.simulated.server.stop().await;
    }

    /// Opens the engine's address again.
    pub async fn come_up(&self) -> anyhow::Result<()> {
        self.simulated.come_up().await
    }

    /// Sets what later starts of containers on this volume come to, or of all whose volume has no setting of its
    /// own.
    pub fn set_starts(&self, volume: Option<&str>, starts: Starts) {
        self.simulated.engine.set_starts(volume, starts);
    }

    /// Replaces the images on this host.
    pub fn set_images(&self, images: &[&str]) {
        let images = images.iter().map(|&image| image.to_owned());
        self.simulated.engine.set_images(images.collect());
    }

    /// Replaces the engine's id, as a new installation of the engine does.
    pub fn set_id(&self, id: &str) {
        self.simulated.engine.set_id(id);
    }

    /// Ends the process of a running container with this exit code, as a crash does; `container` is the name of a
    /// container or of its volume. False if no such container runs.
    pub async fn crash(&self, container: &str, code: i64) -> bool {
        self.simulated.engine.crash(container, code).await
    }

    /// Ends the processes of all running containers, as a reboot of the host does.
    pub async fn crash_all(&self, code: i64) {
        self.simulated.engine.crash_all(code).await;
    }

    /// Lets the OpenClaw in a running container accept connections and say nothing; `container` is the name of a
    /// container or of its volume. False if no such container runs.
    pub fn hang(&self, container: &str) -> bool {
        self.simulated.engine.hang(container)
    }

    /// All containers, running or not, ordered by name.
    pub fn containers(&self) -> Vec<ContainerView> {
        self.simulated.engine.containers()
    }

    /// The names of all volumes, sorted.
    pub fn volumes(&self) -> Vec<String> {
        self.simulated.engine.volumes()
    }

    /// The published ports of the running containers, sorted.
    pub fn ports(&self) -> Vec<u16> {
        let containers = self.containers().into_iter();
        let running = containers.filter(|container| container.status == ContainerStatus::Running);
        let mut ports: Vec<u16> = running.filter_map(|container| container.port).collect();
        ports.sort_unstable();
        ports
    }

    /// Exact counts since the start or the last reset.
    pub fn stats(&self) -> EngineStats {
        self.simulated.engine.stats()
    }

    /// How many containers were started on this volume, also before the volume was removed.
    pub fn starts_of(&self, volume: &str) -> u64 {
        self.simulated.engine.starts_of(volume)
    }

    /// Ends and removes every container and volume, and forgets faults and counts.
    pub async fn reset(&self) {
        self.simulated.engine.reset().await;
    }

    /// Ends every container, cuts every connection and frees the ports.
    pub async fn stop(self) {
        self.simulated.engine.reset().await;
        self.simulated.server.stop().await;
        self.control.stop().await;
    }
}
