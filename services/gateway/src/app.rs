use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use claw_bus::{Bus, Consumer, Ownership, Share};
use claw_calls::LiveCalls;
use claw_events::{SandboxFailed, SandboxQueued, SandboxReady};
use claw_runtime::{Health, Lifecycle, SystemClock, health};
use claw_store::Store;
use tokio::sync::Semaphore;

use crate::{
    Config,
    agents::Agents,
    desk::{Desk, STARTS_AT_ONCE},
    intake::Intake,
    lost_calls::LostCalls,
    news::{hear_interrupts, watch},
    people::People,
    take_call::TakeCall,
};

/// The names under which our places in `INBOUND` are kept.
const MESSAGES: &str = "gateway-messages";
const CALLS: &str = "gateway-calls";

/// The service, wired and not yet running.
pub struct App {
    desk: Arc<Desk>,
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
        let desk = Desk {
            publisher: bus.publisher(),
            live_calls: LiveCalls::open(&bus).await?,
            agents: Agents::new(store.clone(), config.keyring, bus.publisher()),
            bus,
            store,
            clock: Arc::new(SystemClock),
            manners: config.manners,
            starts: Arc::new(Semaphore::new(STARTS_AT_ONCE)),
        };
        Ok(Self {
            desk: Arc::new(desk),
            health: config.health,
            grace: config.grace,
        })
    }

    /// Runs until `stop`; then begins no new turn, and lets running ones end within the grace or hands
    /// them to another replica.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) -> Result<()> {
        let bus = self.desk.bus.clone();
        let mut lifecycle = Lifecycle::new(self.grace);
        let ownership = Ownership::new(&bus, Share::Partitions, self.grace);
        let people = People::new(Arc::clone(&self.desk));

        let (all, shared) = (people.clone(), ownership.clone());
        lifecycle.spawn("people", move |stop| all.run(shared, stop));
        let intake = Intake {
            desk: Arc::clone(&self.desk),
            people: people.clone(),
        };
        let consumer = Consumer::new(bus.clone(), MESSAGES, intake);
        let shared = ownership.clone();
        lifecycle.spawn("messages", move |stop| async move {
            consumer.run(&shared, stop).await;
        });
        let take_call = TakeCall {
            desk: Arc::clone(&self.desk),
            people: people.clone(),
        };
        let consumer = Consumer::new(bus.clone(), CALLS, take_call);
        let shared = ownership.clone();
        lifecycle.spawn("calls", move |stop| async move {
            consumer.run(&shared, stop).await;
        });
        let lost_calls = LostCalls {
            desk: Arc::clone(&self.desk),
        };
        lifecycle.spawn("lost-calls", |stop| lost_calls.run(stop));
        watch::<SandboxReady>(&mut lifecycle, "sandbox-ready", &bus, &people);
        watch::<SandboxFailed>(&mut lifecycle, "sandbox-failed", &bus, &people);
        watch::<SandboxQueued>(&mut lifecycle, "sandbox-queued", &bus, &people);

        hear_interrupts(&mut lifecycle, &bus, &people);

        let health = self.health_of(&ownership);
        let listener = health::listen(self.health).await?;
        lifecycle.spawn("health", |stop| health.serve(listener, stop));
        lifecycle.spawn("ownership", |stop| ownership.run(stop));
        lifecycle.run_until(stop).await
    }

    fn health_of(&self, ownership: &Ownership) -> Health {
        let (bus, store) = (self.desk.bus.clone(), self.desk.store.clone());
        let ownership = ownership.clone();
        Health::new()
            .check("nats", move || {
                let bus = bus.clone();
                async move { bus.is_ready().await }
            })
            .check("postgres", move || {
                let store = store.clone();
                async move { store.is_reachable().await }
            })
            .check("ownership", move || {
                let ownership = ownership.clone();
                async move { ownership.has_joined() }
            })
    }
}
