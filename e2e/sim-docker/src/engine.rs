//! The containers and volumes of the engine, and what its requests do to them.

use std::{
    collections::{BTreeMap, HashMap},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde_json::Value;
use sim_kit::clock;
use sim_openclaw::{Launch, SimOpenClaw};
use tokio::time::Instant;
use tracing::warn;

use super::{
    ContainerStatus, ContainerView, EngineStats, SharedVolume, SimDockerConfig, Starts,
    container::{Container, ContainerState, Running, labels},
    describe,
    error::ApiError,
    faults::Faults,
    filters::Filters,
    image, listening,
};

/// The exit code of the image when its environment cannot be used: `EX_CONFIG` of sysexits.h.
const EXIT_CONFIG: i64 = 78;

/// Seconds between SIGTERM and SIGKILL if neither the request nor the container says.
const GRACE_SECONDS: i64 = 10;

pub(crate) struct Engine {
    pub(crate) openclaw: Arc<SimOpenClaw>,
    pub(crate) faults: Faults,
    state: Mutex<State>,
}

pub(crate) struct State {
    pub(crate) id: String,
    pub(crate) containers: BTreeMap<String, Container>,
    pub(crate) volumes: BTreeMap<String, Volume>,
    images: Vec<String>,
    starts: Starts,
    starts_on: HashMap<String, Starts>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    stats: EngineStats,
    starts_on: HashMap<String, u64>,
}

pub(crate) struct Volume {
    pub(crate) labels: HashMap<String, String>,
    pub(crate) created: DateTime<Utc>,
}

/// The outcome of a request that changes the state of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changed {
    Done,
    /// It has that state already.
    Not,
}

impl Engine {
    pub(crate) fn new(config: SimDockerConfig, openclaw: Arc<SimOpenClaw>) -> Self {
        Self {
            openclaw,
            faults: Faults::default(),
            state: Mutex::new(State {
                id: config.id,
                images: config.images,
                starts: config.starts,
                starts_on: HashMap::new(),
                containers: BTreeMap::new(),
                volumes: BTreeMap::new(),
                counts: Counts::default(),
            }),
        }
    }

    /// Creates a container, and its volume if that does not exist. Returns the id.
    pub(crate) fn create(&self, name: Option<&str>, body: Value) -> Result<String, ApiError> {
        let name = name.map_or_else(
            || format!("container-{}", uuid::Uuid::new_v4().simple()),
            |name| name.trim_start_matches('/').to_owned(),
        );
        let container = Container::create(name, body)?;
        let mut state = self.state.lock();
        if !state.images.contains(&container.image) {
            return Err(ApiError::not_found(format!(
                "No such image: {}",
                container.image
            )));
        }
        if let Some(other) = state
            .containers
            .values()
            .find(|of| of.name == container.name)
        {
            return Err(ApiError::conflict(format!(
                "Conflict. The container name \"/{}\" is already in use by container \"{}\". You have \
                 to remove (or rename) that container to be able to reuse that name.",
                other.name, other.id
            )));
        }
        if container.volume != container.id {
            state.ensure_volume(&container.volume, HashMap::new);
        }
        state.counts.stats.created += 1;
        let id = container.id.clone();
        state.containers.insert(id.clone(), container);
        Ok(id)
    }

    pub(crate) fn inspect(&self, reference: &str) -> Result<Value, ApiError> {
        let state = self.state.lock();
        Ok(describe::container(state.find(reference)?))
    }

    pub(crate) fn list(&self, all: bool, filters: &Filters) -> Vec<Value> {
        let state = self.state.lock();
        let listed = state.containers.values().filter(|container| {
            let status = container.status();
            let is_shown = all || filters.contain("status") || status == ContainerStatus::Running;
            is_shown
                && filters.match_labels(&container.labels)
                && filters.match_any("status", |wanted| wanted == status.name())
                && filters.match_any("name", |wanted| container.name.contains(wanted))
                && filters.match_any("id", |wanted| container.id.starts_with(wanted))
                && filters.match_any("volume", |wanted| container.volume == wanted)
        });
        listed.map(describe::summary).collect()
    }

    pub(crate) fn start(&self, reference: &str) -> Result<Changed, ApiError> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let id = state.find(reference)?.id.clone();
        if state.containers[&id].running().is_some() {
            return Ok(Changed::Not);
        }
        match self.launch(state, &id) {
            Ok(()) => Ok(Changed::Done),
            Err(error) => {
                state.counts.stats.ports_refused += 1;
                state.change(&id, |container| container.fail_to_start(&error.message));
                Err(error)
            }
        }
    }

    /// Starts the process of a container that does not run.
    fn launch(&self, state: &mut State, id: &str) -> Result<(), ApiError> {
        let container = &state.containers[id];
        let addr = container
            .published
            .unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
        let is_allocated = state.is_allocated(addr) || self.faults.is_phantom(addr.port());
        if is_allocated {
            return Err(listening::allocated(addr, &container.name, id));
        }
        let listener = listening::listen(addr, &container.name, id)?;
        let listens_on = listener.local_addr().unwrap_or(addr);
        let volume = container.volume.clone();
        let own = state.starts_on.get(&volume).copied();
        let access = image::access(&container.env);
        let run = state.count_start(id, &volume);
        let launch = match (own.unwrap_or(state.starts), access) {
            (
                Starts::Run {
                    listen_ms,
                    ready_ms,
                },
                Some(access),
            ) => Launch {
                access,
                listen_ms,
                ready_ms,
                hangs: false,
            },
            (Starts::Hang, Some(access)) => Launch {
                access,
                listen_ms: 0,
                ready_ms: 0,
                hangs: true,
            },
            (Starts::Exit { code }, _) => {
                state.change(id, |container| container.exit(code));
                return Ok(());
            }
            (Starts::Run { .. } | Starts::Hang, None) => {
                state.change(id, |container| container.exit(EXIT_CONFIG));
                return Ok(());
            }
        };
        let start_ms = launch.listen_ms.saturating_add(launch.ready_ms);
        let now = Instant::now();
        let running = Running {
            process: Arc::new(self.openclaw.launch(&volume, listener, launch)),
            run,
            listens_on,
            started: clock::now(),
            ready_at: now
                .checked_add(Duration::from_millis(start_ms))
                .unwrap_or(now),
        };
        state.change(id, |container| {
            container.state = ContainerState::Running(running);
        });
        state.count_running();
        Ok(())
    }

    /// Sends SIGTERM, after the grace period SIGKILL, and returns once the process has ended. `seconds` is the grace
    /// period; negative means without end.
    pub(crate) async fn stop(
        &self,
        reference: &str,
        seconds: Option<i64>,
    ) -> Result<Changed, ApiError> {
        let (id, running, own) = {
            let state = self.state.lock();
            let container = state.find(reference)?;
            let own = container.config["StopTimeout"].as_i64();
            (container.id.clone(), container.running().cloned(), own)
        };
        let Some(running) = running else {
            return Ok(Changed::Not);
        };
        let seconds = seconds.or(own).unwrap_or(GRACE_SECONDS);
        let grace = u64::try_from(seconds).map_or(Duration::MAX, Duration::from_secs);
        let code = running.process.stop(grace).await;
        self.record_exit(&id, running.run, code);
        Ok(Changed::Done)
    }

    /// Ends the process at once, with this exit code.
    pub(crate) async fn kill(&self, reference: &str, code: i64) -> Result<(), ApiError> {
        let (id, running) = {
            let state = self.state.lock();
            let container = state.find(reference)?;
            let running = container.running().cloned().ok_or_else(|| {
                ApiError::conflict(format!(
                    "Cannot kill container: {reference}: Container {} is not running",
                    container.id
                ))
            })?;
            (container.id.clone(), running)
        };
        running.process.kill().await;
        self.record_exit(&id, running.run, code);
        Ok(())
    }

    pub(crate) async fn remove(&self, reference: &str, force: bool) -> Result<(), ApiError> {
        let (id, running) = {
            let state = self.state.lock();
            let container = state.find(reference)?;
            (container.id.clone(), container.running().cloned())
        };
        match running {
            Some(_) if !force => {
                return Err(ApiError::conflict(format!(
                    "You cannot remove a running container {id}. Stop the container before attempting \
                     removal or force remove"
                )));
            }
            Some(running) => {
                running.process.kill().await;
            }
            None => {}
        }
        let removed = self.state.lock().containers.remove(&id);
        if let Some(removed) = removed.filter(|container| container.volume == container.id) {
            self.openclaw.forget(&removed.volume);
        }
        Ok(())
    }

    fn record_exit(&self, id: &str, run: u64, code: i64) {
        self.state.lock().change(id, |container| {
            if container
                .running()
                .is_some_and(|running| running.run == run)
            {
                container.exit(code);
            }
        });
    }

    /// Creates a volume, or returns the one of this name.
    pub(crate) fn create_volume(&self, body: &Value) -> Value {
        let name = body["Name"].as_str().filter(|name| !name.is_empty());
        let name = name.map_or_else(|| uuid::Uuid::new_v4().simple().to_string(), str::to_owned);
        let mut state = self.state.lock();
        let volume = state.ensure_volume(&name, || labels(&body["Labels"]));
        describe::volume(&name, volume)
    }

    pub(crate) fn inspect_volume(&self, name: &str) -> Result<Value, ApiError> {
        let state = self.state.lock();
        let volume = state.volumes.get(name);
        volume
            .map(|volume| describe::volume(name, volume))
            .ok_or_else(|| no_such_volume(name))
    }

    pub(crate) fn list_volumes(&self, filters: &Filters) -> Vec<Value> {
        let state = self.state.lock();
        let listed = state.volumes.iter().filter(|(name, volume)| {
            filters.match_labels(&volume.labels)
                && filters.match_any("name", |wanted| name.contains(wanted))
                && filters.match_any("dangling", |wanted| {
                    let is_dangling = state.users_of(name).next().is_none();
                    is_dangling == matches!(wanted, "true" | "1")
                })
        });
        listed
            .map(|(name, volume)| describe::volume(name, volume))
            .collect()
    }

    pub(crate) fn remove_volume(&self, name: &str, force: bool) -> Result<(), ApiError> {
        let mut state = self.state.lock();
        let users: Vec<&str> = state.users_of(name).map(|user| user.id.as_str()).collect();
        if !users.is_empty() {
            return Err(ApiError::conflict(format!(
                "remove {name}: volume is in use - [{}]",
                users.join(", ")
            )));
        }
        match state.volumes.remove(name) {
            Some(_) => {
                state.starts_on.remove(name);
                self.openclaw.forget(name);
                Ok(())
            }
            None if force => Ok(()),
            None => Err(no_such_volume(name)),
        }
    }

    pub(crate) fn info(&self) -> Value {
        describe::info(&self.state.lock())
    }

    pub(crate) fn set_starts(&self, volume: Option<&str>, starts: Starts) {
        let mut state = self.state.lock();
        match volume {
            Some(volume) => {
                state.starts_on.insert(volume.to_owned(), starts);
            }
            None => state.starts = starts,
        }
    }

    pub(crate) fn image(&self) -> String {
        self.state
            .lock()
            .images
            .first()
            .cloned()
            .unwrap_or_default()
    }

    pub(crate) fn set_images(&self, images: Vec<String>) {
        self.state.lock().images = images;
    }

    pub(crate) fn set_id(&self, id: &str) {
        id.clone_into(&mut self.state.lock().id);
    }

    pub(crate) async fn crash(&self, container: &str, code: i64) -> bool {
        let Some((id, _)) = self.find_running(container) else {
            return false;
        };
        self.kill(&id, code).await.is_ok()
    }

    pub(crate) async fn crash_all(&self, code: i64) {
        let ids: Vec<String> = self.state.lock().containers.keys().cloned().collect();
        for id in ids {
            // A container that does not run is left alone.
            self.kill(&id, code).await.ok();
        }
    }

    pub(crate) fn hang(&self, container: &str) -> bool {
        let found = self.find_running(container);
        found.is_some_and(|(_, running)| {
            running.process.hang();
            true
        })
    }

    /// The running container with this name, id or volume.
    fn find_running(&self, reference: &str) -> Option<(String, Running)> {
        let state = self.state.lock();
        let mut containers = state.containers.values();
        containers.find_map(|container| {
            let is_meant = container.is(reference) || container.volume == reference;
            let running = container.running().filter(|_| is_meant)?;
            Some((container.id.clone(), running.clone()))
        })
    }

    pub(crate) fn containers(&self) -> Vec<ContainerView> {
        let state = self.state.lock();
        let mut views: Vec<ContainerView> =
            state.containers.values().map(Container::view).collect();
        views.sort_by(|one, other| one.name.cmp(&other.name));
        views
    }

    pub(crate) fn volumes(&self) -> Vec<String> {
        self.state.lock().volumes.keys().cloned().collect()
    }

    pub(crate) fn stats(&self) -> EngineStats {
        let state = self.state.lock();
        EngineStats {
            volumes: count(state.volumes.len()),
            containers: count(state.containers.len()),
            running: count(state.running().count()),
            ..state.counts.stats.clone()
        }
    }

    pub(crate) fn count_refusal(&self) {
        self.state.lock().counts.stats.requests_refused += 1;
    }

    pub(crate) fn starts_of(&self, volume: &str) -> u64 {
        let state = self.state.lock();
        let starts = state.counts.starts_on.get(volume);
        starts.copied().unwrap_or_default()
    }

    pub(crate) async fn reset(&self) {
        self.crash_all(0).await;
        let mut state = self.state.lock();
        state.containers.clear();
        state.volumes.clear();
        state.starts_on.clear();
        state.counts = Counts::default();
        self.faults.clear();
        self.openclaw.reset();
    }
}

impl State {
    pub(crate) fn running(&self) -> impl Iterator<Item = (&Container, &Running)> {
        let containers = self.containers.values();
        containers.filter_map(|container| Some((container, container.running()?)))
    }

    fn find(&self, reference: &str) -> Result<&Container, ApiError> {
        let by_id = self.containers.get(reference);
        by_id
            .or_else(|| {
                self.containers
                    .values()
                    .find(|container| container.is(reference))
            })
            .ok_or_else(|| ApiError::no_such_container(reference))
    }

    fn change(&mut self, id: &str, change: impl FnOnce(&mut Container)) {
        if let Some(container) = self.containers.get_mut(id) {
            change(container);
        }
    }

    fn ensure_volume(
        &mut self,
        name: &str,
        labels: impl FnOnce() -> HashMap<String, String>,
    ) -> &Volume {
        let new = || Volume {
            labels: labels(),
            created: clock::now(),
        };
        self.volumes.entry(name.to_owned()).or_insert_with(new)
    }

    /// The containers with this volume, running or not.
    fn users_of(&self, volume: &str) -> impl Iterator<Item = &Container> {
        let containers = self.containers.values();
        containers.filter(move |container| container.volume == volume)
    }

    /// Whether a running container is published on this port.
    fn is_allocated(&self, addr: SocketAddr) -> bool {
        let overlaps = |other: SocketAddr| {
            other.port() == addr.port()
                && (other.ip() == addr.ip()
                    || other.ip().is_unspecified()
                    || addr.ip().is_unspecified())
        };
        addr.port() != 0
            && self
                .running()
                .any(|(_, running)| overlaps(running.listens_on))
    }

    /// Counts a start, and whether it shares its volume. Returns the number of the run.
    fn count_start(&mut self, id: &str, volume: &str) -> u64 {
        let sharing: Vec<SharedVolume> = self
            .running()
            .filter(|(other, _)| other.volume == volume)
            .map(|(other, _)| SharedVolume {
                volume: volume.to_owned(),
                running: other.name.clone(),
                started: self.containers[id].name.clone(),
            })
            .collect();
        for shared in &sharing {
            warn!(
                "{} was started on volume {volume}, which {} uses",
                shared.started, shared.running
            );
        }
        self.counts.stats.shared_volumes.extend(sharing);
        *self.counts.starts_on.entry(volume.to_owned()).or_default() += 1;
        self.counts.stats.starts += 1;
        self.counts.stats.starts
    }

    /// Counts how many containers run and start, after one was started.
    fn count_running(&mut self) {
        let now = Instant::now();
        let running = count(self.running().count());
        let is_starting = |(_, running): &(&Container, &Running)| running.ready_at > now;
        let starting = count(self.running().filter(is_starting).count());
        let stats = &mut self.counts.stats;
        stats.most_running = stats.most_running.max(running);
        stats.most_starting = stats.most_starting.max(starting);
    }
}

fn no_such_volume(name: &str) -> ApiError {
    ApiError::not_found(format!("get {name}: no such volume"))
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine(…)")
    }
}
