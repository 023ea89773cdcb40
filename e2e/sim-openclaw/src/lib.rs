//! `OpenClaw` gateways, simulated: any number in one process, each at its own path, speaking protocol
//! 4 as recorded from a real 2026.9.6 with its traps (overlapping sends, short memory, restarts that
//! answer under new run ids). Transcripts survive simulated restarts, as volumes do.

mod boot;
mod chat;
mod config;
mod connect;
mod connection;
mod control;
mod cron;
mod devices;
mod door;
mod ending;
mod events;
mod failure;
mod frame;
mod halt;
mod handshake;
mod hello;
mod history;
mod known;
mod next;
mod params;
mod proactive;
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
pub use proactive::{Heartbeat, HeartbeatOutcome};
pub use view::{Ending, OpenClawStats, Restart, TranscriptRow};

use sandbox::Shared;
use session::Session;

/// Timeline within one tick at which some of the gateways tick.
const TICK_PHASES: u32 = 50;

/// The shortest time between two such moments.
const MILLISECOND: Duration = Duration::from_millis(1);

/// Running simulated gateways. Dropping it cuts every connection.
#[derive(Debug)]
pub struct SimOpenClaw {
    shared: Arc<Shared>,
    addr: SocketAddr,
}

impl SimOpenClaw {
    /// Starts listening. Sandboxes come into being when something connects to their path.
    pub async fn start(config: SimOpenClawConfig) -> anyhow::Result<Self> {
        let listen = config.listen;
        let port = TcpListener::bind(listen)
            .await
            .with_context(|| format!("listening on {listen}"))?;
        let addr = port.local_addr().context("asking for the own address")?;
        let shared = Arc::new(Shared::new(config));
        let router = control::routes(Arc::clone(&shared));
        let tasks = shared.tasks.clone();
        tasks.spawn(door::keep(Arc::clone(&shared), port, addr, router));
        tasks.spawn(tick(Arc::clone(&shared)));
        Ok(Self { shared, addr })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What to set `SANDBOX_EXTERNAL_URL` to.
    pub fn url_template(&self) -> String {
        format!("ws://{}/s/{{sandbox}}", self.addr)
    }

    /// The address of one gateway.
    pub fn url(&self, sandbox: &str) -> String {
        format!("ws://{}/s/{sandbox}", self.addr)
    }

    /// What to set `SANDBOX_EXTERNAL_TOKEN` to.
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

    /// Exact counts of one sandbox; zeros for one nobody has connected to.
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

    /// All rows of a sandbox, in order.
    pub fn transcript(&self, sandbox: &str) -> Vec<TranscriptRow> {
        let found = self.shared.find(sandbox);
        found.map_or_else(Vec::new, |sandbox| sandbox.transcript())
    }

    /// Restarts one gateway, or every one there is.
    pub fn restart(&self, sandbox: Option<&str>, restart: &Restart) {
        for sandbox in control::chosen(&self.shared, sandbox) {
            boot::restart(&sandbox, restart);
        }
    }

    /// Drops the sockets of one gateway, or of all; the processes live on.
    pub fn cut_connections(&self, sandbox: Option<&str>) {
        control::cut_connections(&self.shared, sandbox);
    }

    /// Changes how one agent behaves, or all without a behaviour of their own.
    pub fn set_behaviour(&self, sandbox: Option<&str>, behaviour: Behaviour) {
        control::set_behaviour(&self.shared, sandbox, behaviour);
    }

    /// Approves a waiting device by request id or device id (with [`Pairing::ByHand`]).
    pub fn approve(&self, sandbox: &str, id: &str) -> bool {
        let sandbox = self.shared.sandbox(sandbox);
        sandbox.state().devices.approve_request(id)
    }

    /// Forgets the approvals of a sandbox, as a lost volume would.
    pub fn forget_devices(&self, sandbox: &str) {
        self.shared.sandbox(sandbox).state().devices.forget();
    }

    /// Polls one agent, as its heartbeat schedule would.
    pub fn heartbeat(&self, sandbox: &str, heartbeat: &Heartbeat) -> HeartbeatOutcome {
        proactive::heartbeat(&self.shared.sandbox(sandbox), heartbeat)
    }

    /// Polls every agent there is, all due at once; `what` is asked with each sandbox's name.
    pub fn heartbeat_all(
        &self,
        what: impl Fn(&str) -> Heartbeat,
    ) -> Vec<(String, HeartbeatOutcome)> {
        let polled = self.shared.all().into_iter().map(|sandbox| {
            let beat = proactive::heartbeat(&sandbox, &what(&sandbox.name));
            (sandbox.name.clone(), beat)
        });
        polled.collect()
    }

    /// Lets a reminder the agent once scheduled be due; false while its gateway is away.
    pub fn remind(&self, sandbox: &str, text: &str) -> bool {
        proactive::remind(&self.shared.sandbox(sandbox), text)
    }

    /// Names of the sandboxes in which a turn is under way.
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

/// Ticks each gateway in its own time, as processes do that were not started at the same moment.
async fn tick(shared: Arc<Shared>) {
    let pause = shared.config.tick.max(TICK_PHASES * MILLISECOND) / TICK_PHASES;
    let phases = TICK_PHASES as usize;
    let mut beats = tokio::time::interval(pause);
    beats.tick().await;
    for phase in (0..phases).cycle() {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = beats.tick() => {
                let due = shared.all().into_iter();
                for sandbox in due.filter(|sandbox| sandbox.number % phases == phase) {
                    sandbox.state().room.tick();
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
