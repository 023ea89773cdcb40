use std::{future::ready, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use claw_bus::{Bus, Consumer};
use claw_events::{Event, SandboxFailed, SandboxQueued, SandboxReady};
use claw_runtime::{Health, Lifecycle, SystemClock, health};
use claw_store::Store;
use futures_util::StreamExt;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{Agents, AnswerMessage, Config, nudges::Nudges};

/// The name under which our place in `INBOUND` is kept.
const PURPOSE: &str = "gateway-messages";

/// Pause before a lost watch is begun again.
const WATCH_PAUSE: Duration = Duration::from_secs(1);

/// The service, wired and not yet running.
pub struct App {
    bus: Bus,
    store: Store,
    handler: AnswerMessage,
    nudges: Nudges,
    health: SocketAddr,
    grace: Duration,
}

impl App {
    /// Connects to everything; fails with what is missing.
    pub async fn build(config: Config) -> Result<Self> {
        let bus = Bus::connect(&config.bus).await?;
        let store = Store::connect(&config.database_url, config.database_connections)
            .await
            .context("connecting to Postgres (is DATABASE_URL right, and the server up?)")?;
        let nudges = Nudges::default();
        let handler = AnswerMessage {
            store: store.clone(),
            publisher: bus.publisher(),
            agents: Agents::new(store.clone(), config.keyring),
            nudges: nudges.clone(),
            clock: Arc::new(SystemClock),
            turn_limit: config.turn_limit,
        };
        Ok(Self {
            bus,
            store,
            handler,
            nudges,
            health: config.health,
            grace: config.grace,
        })
    }

    /// Runs until `stop`; then begins no new turn and lets running ones end within the grace.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) -> Result<()> {
        let mut lifecycle = Lifecycle::new(self.grace);
        let consumer = Consumer::new(self.bus.clone(), PURPOSE, self.handler);
        lifecycle.spawn("messages", |stop| consumer.run(stop));
        watch::<SandboxReady>(&mut lifecycle, "sandbox-ready", &self.bus, &self.nudges);
        watch::<SandboxFailed>(&mut lifecycle, "sandbox-failed", &self.bus, &self.nudges);
        watch::<SandboxQueued>(&mut lifecycle, "sandbox-queued", &self.bus, &self.nudges);
        let health = health_of(self.bus, self.store);
        let listener = health::listen(self.health).await?;
        lifecycle.spawn("health", |stop| health.serve(listener, stop));
        lifecycle.run_until(stop).await
    }
}

fn health_of(bus: Bus, store: Store) -> Health {
    Health::new()
        .check("nats", move || {
            let bus = bus.clone();
            async move { bus.is_ready().await }
        })
        .check("postgres", move || {
            let store = store.clone();
            async move { store.is_reachable().await }
        })
}

/// Passes news about sandboxes on to those who wait for them.
fn watch<E: Event>(lifecycle: &mut Lifecycle, name: &'static str, bus: &Bus, nudges: &Nudges) {
    let (bus, nudges) = (bus.clone(), nudges.clone());
    lifecycle.spawn(name, move |stop: CancellationToken| async move {
        stop.run_until_cancelled(watch_for_ever::<E>(bus, nudges))
            .await;
    });
}

async fn watch_for_ever<E: Event>(bus: Bus, nudges: Nudges) {
    loop {
        match bus.watch::<E>().await {
            Ok(news) => {
                // What happened while nobody watched is in the database.
                nudges.nudge_all();
                news.for_each(|event| {
                    nudges.nudge(event.user());
                    ready(())
                })
                .await;
            }
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "news about sandboxes cannot be watched"
            ),
        }
        sleep(WATCH_PAUSE).await;
    }
}
