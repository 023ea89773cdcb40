//! A simulator of OpenClaw: any number of sandboxes in one process, each at its own path. It speaks
//! protocol 4 as recorded from version 2026.9.6, with its difficulties: overlapping sends, limited memory
//! of idempotency keys, restarts that answer under new run ids. Transcripts survive simulated restarts, as
//! volumes do.

mod abort;
mod boot;
mod chat;
mod config;
mod connect;
mod connection;
mod control;
mod cron;
mod devices;
mod dispatch;
mod events;
mod failure;
mod flood;
mod frame;
mod handshake;
mod hello;
mod history;
mod jobs;
mod known_runs;
mod listener;
mod params;
mod proactive;
mod process;
mod row;
mod rpc;
mod sandbox;
mod script;
mod session;
mod signature;
#[cfg(test)]
mod tests;
mod turn;
mod view;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;

pub use config::{Behaviour, EventDetail, Pairing, QueueMode, SimOpenClawConfig};
pub use flood::Flood;
pub use jobs::PlannedJob;
pub use proactive::{Heartbeat, HeartbeatOutcome};
pub use process::{Access, Launch, Process};
pub use view::{Ending, OpenClawStats, Restart, TranscriptRow};

use sandbox::Shared;
use session::Session;

/// Number of groups of sandboxes that tick at different moments of one interval.
const TICK_PHASES: u32 = 50;

/// Shortest time between the ticks of two groups.
const MILLISECOND: Duration = Duration::from_millis(1);

/// A running simulator. Dropping it cuts every connection.
#[derive(Debug)]
pub struct SimOpenClaw {
    shared: Arc<Shared>,
    addr: SocketAddr,
}

impl SimOpenClaw {
    /// Starts listening. A sandbox is created when a client connects to its path.
    pub async fn start(config: SimOpenClawConfig) -> anyhow::Result<Self> {
        let listen = config.listen;
        let port = TcpListener::bind(listen)
            .await
            .with_context(|| format!("listening on {listen}"))?;
        let addr = port
            .local_addr()
            .context("reading the listener's address")?;
        let shared = Arc::new(Shared::new(config));
        let router = control::routes(Arc::clone(&shared));
        let tasks = shared.tasks.clone();
        tasks.spawn(listener::accept_connections(
            Arc::clone(&shared),
            port,
            addr,
            router,
        ));
        tasks.spawn(tick(Arc::clone(&shared)));
        Ok(Self { shared, addr })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The value for `SANDBOX_EXTERNAL_URL`.
    pub fn url_template(&self) -> String {
        format!("ws://{}/s/{{sandbox}}", self.addr)
    }

    /// The WebSocket URL of one sandbox.
    pub fn url(&self, sandbox: &str) -> String {
        format!("ws://{}/s/{sandbox}", self.addr)
    }

    /// The value for `SANDBOX_EXTERNAL_TOKEN`.
    pub fn token(&self) -> String {
        let token = self.shared.config.token.as_ref();
        token
            .map_or("any-token", |token| token.expose_secret())
            .to_owned()
    }

    /// Exact counts over all sandboxes.
    pub fn stats(&self) -> OpenClawStats {
        control::sum(&self.shared)
    }

    /// Exact counts of one sandbox; zeros if it does not exist.
    pub fn stats_of(&self, sandbox: &str) -> OpenClawStats {
        let found = self.shared.find(sandbox);
        found.map_or_else(OpenClawStats::default, |sandbox| sandbox.stats())
    }

    /// Names of all sandboxes, sorted.
    pub fn sandboxes(&self) -> Vec<String> {
        let all = self.shared.all();
        let mut names: Vec<String> = all.iter().map(|sandbox| sandbox.name.clone()).collect();
        names.sort();
        names
    }

    /// All rows of a sandbox, ordered by session key and then by position.
    pub fn transcript(&self, sandbox: &str) -> Vec<TranscriptRow> {
        let found = self.shared.find(sandbox);
        found.map_or_else(Vec::new, |sandbox| sandbox.transcript())
    }

    /// Starts the OpenClaw process of one sandbox in a container of its own. It listens on `listener`, at the root
    /// path. A process that the sandbox has already is killed.
    pub fn launch(&self, sandbox: &str, listener: TcpListener, launch: Launch) -> Process {
        process::launch(&self.shared, sandbox, listener, launch)
    }

    /// Forgets a sandbox, its transcript included, as the removal of its volume does.
    pub fn forget(&self, sandbox: &str) {
        self.shared.forget(sandbox);
    }

    /// Restarts OpenClaw in one sandbox, or in all.
    pub fn restart(&self, sandbox: Option<&str>, restart: &Restart) {
        for sandbox in control::selected(&self.shared, sandbox) {
            boot::restart(&sandbox, restart);
        }
    }

    /// Ends OpenClaw in one sandbox as SIGTERM does while no run is active, and starts it no more.
    pub fn stop_one(&self, sandbox: &str) {
        boot::stop(&self.shared.sandbox(sandbox));
    }

    /// Starts OpenClaw in one sandbox, if it was stopped.
    pub fn start_one(&self, sandbox: &str) {
        boot::start(&self.shared.sandbox(sandbox));
    }

    /// Drops the sockets of one sandbox, or of all; the processes keep running.
    pub fn cut_connections(&self, sandbox: Option<&str>) {
        control::cut_connections(&self.shared, sandbox);
    }

    /// Sets how the agent of one sandbox behaves, or all agents that have no behaviour of their own.
    pub fn set_behaviour(&self, sandbox: Option<&str>, behaviour: Behaviour) {
        control::set_behaviour(&self.shared, sandbox, behaviour);
    }

    /// Approves a device by the id of its pairing request or its own (with [`Pairing::ByHand`]); false if no
    /// request is pending.
    pub fn approve(&self, sandbox: &str, id: &str) -> bool {
        let sandbox = self.shared.sandbox(sandbox);
        sandbox.state().devices.approve_request(id)
    }

    /// Revokes all approvals of a sandbox, as the loss of its volume does.
    pub fn forget_devices(&self, sandbox: &str) {
        self.shared.sandbox(sandbox).state().devices.forget();
    }

    /// Runs a heartbeat in one sandbox as if it were due.
    pub fn heartbeat(&self, sandbox: &str, heartbeat: &Heartbeat) -> HeartbeatOutcome {
        proactive::heartbeat(&self.shared.sandbox(sandbox), heartbeat)
    }

    /// Runs a heartbeat in every sandbox; `heartbeat_for` gets the sandbox's name and decides its answer.
    pub fn heartbeat_all(
        &self,
        heartbeat_for: impl Fn(&str) -> Heartbeat,
    ) -> Vec<(String, HeartbeatOutcome)> {
        let polled = self.shared.all().into_iter().map(|sandbox| {
            let outcome = proactive::heartbeat(&sandbox, &heartbeat_for(&sandbox.name));
            (sandbox.name.clone(), outcome)
        });
        polled.collect()
    }

    /// Runs a reminder in one sandbox as if it were due; false if OpenClaw is not ready.
    pub fn remind(&self, sandbox: &str, text: &str) -> bool {
        proactive::remind(&self.shared.sandbox(sandbox), text)
    }

    /// Plans a job in one sandbox, which OpenClaw runs when it is due; returns its id.
    pub fn plan(&self, sandbox: &str, job: PlannedJob) -> String {
        jobs::plan(&self.shared.sandbox(sandbox), job)
    }

    /// Makes one sandbox flood every client until it is called with `None`.
    pub fn flood(&self, sandbox: &str, flood: Option<Flood>) {
        flood::set(&self.shared.sandbox(sandbox), flood);
    }

    /// Names of the sandboxes in which a run is active.
    pub fn busy(&self) -> Vec<String> {
        let all = self.shared.all().into_iter();
        all.filter(|sandbox| sandbox.state().sessions.values().any(Session::is_busy))
            .map(|sandbox| sandbox.name.clone())
            .collect()
    }

    /// Forgets every sandbox, its transcript included, and cuts its connections.
    pub fn reset(&self) {
        self.shared.forget_all();
    }

    /// Cuts every connection and frees the port.
    pub async fn stop(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl Drop for SimOpenClaw {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

/// Sends `tick` events. The sandboxes tick at different moments, like processes that started at different
/// times.
async fn tick(shared: Arc<Shared>) {
    let pause = shared.config.tick.max(TICK_PHASES * MILLISECOND) / TICK_PHASES;
    let phases = TICK_PHASES as usize;
    let mut interval = tokio::time::interval(pause);
    interval.tick().await;
    for phase in (0..phases).cycle() {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = interval.tick() => {
                let due = shared.all().into_iter();
                for sandbox in due.filter(|sandbox| sandbox.number % phases == phase) {
                    sandbox.state().connections.tick();
                }
            }
        }
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared(…)")
    }
}
