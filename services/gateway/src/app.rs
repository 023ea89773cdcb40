use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use claw_bus::{Bus, Consumer, Ownership, Share};
use claw_calls::LiveCalls;
use claw_runtime::{Health, Lifecycle, SystemClock, health};
use claw_store::Store;
use claw_suspensions::SuspensionView;
use tokio::sync::Semaphore;

use crate::{
    Config,
    actors::UserActors,
    admission::AdmissionControl,
    agents::Agents,
    call_intake::CallIntake,
    context::{Context, STARTS_AT_ONCE},
    intake::Intake,
    lost_calls::LostCalls,
    suspensions::SuspensionWatcher,
    watches::{watch_interruptions, watch_sandboxes},
};

/// The names of our consumers of the stream `INBOUND`.
const MESSAGES: &str = "gateway-messages";
const CALLS: &str = "gateway-calls";

/// The service, assembled and not yet running.
pub struct App {
    context: Arc<Context>,
    health: SocketAddr,
    grace: Duration,
}

impl App {
    /// Connects to the bus and the database.
    pub async fn build(config: Config) -> Result<Self> {
        let bus = Bus::connect(&config.bus).await?;
        let store = Store::connect(&config.database_url, config.database_connections)
            .await
            .context("connecting to Postgres (is DATABASE_URL right, and the server up?)")?;
        let context = Context {
            publisher: bus.publisher(),
            live_calls: LiveCalls::open(&bus).await?,
            suspensions: SuspensionView::read(&store).await?,
            agents: Agents::new(store.clone(), config.keyring, bus.publisher()),
            pins: config.pins,
            bus,
            store,
            clock: Arc::new(SystemClock),
            policy: config.policy,
            starts: Arc::new(Semaphore::new(STARTS_AT_ONCE)),
        };
        Ok(Self {
            context: Arc::new(context),
            health: config.health,
            grace: config.grace,
        })
    }

    /// Runs until `stop`. Then no new turn begins; running turns end within the grace period, or another
    /// replica takes them over.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) -> Result<()> {
        let bus = self.context.bus.clone();
        let mut lifecycle = Lifecycle::new(self.grace);
        let ownership = Ownership::new(&bus, Share::Partitions, self.grace);
        let actors = UserActors::new(Arc::clone(&self.context));

        let (all, shared) = (actors.clone(), ownership.clone());
        lifecycle.spawn("actors", move |stop| all.run(shared, stop));
        let admission = AdmissionControl {
            context: Arc::clone(&self.context),
        };
        let intake = Intake {
            context: Arc::clone(&self.context),
            admission: admission.clone(),
            actors: actors.clone(),
        };
        let consumer = Consumer::new(bus.clone(), MESSAGES, intake);
        let shared = ownership.clone();
        lifecycle.spawn("messages", move |stop| async move {
            consumer.run(&shared, stop).await;
        });
        let call_intake = CallIntake {
            context: Arc::clone(&self.context),
            admission,
            actors: actors.clone(),
        };
        let consumer = Consumer::new(bus.clone(), CALLS, call_intake);
        let shared = ownership.clone();
        lifecycle.spawn("calls", move |stop| async move {
            consumer.run(&shared, stop).await;
        });
        let lost_calls = LostCalls {
            context: Arc::clone(&self.context),
        };
        lifecycle.spawn("lost-calls", |stop| lost_calls.run(stop));
        let (view, of_view) = (self.context.suspensions.clone(), bus.clone());
        lifecycle.spawn("suspensions", |stop| view.keep_current(of_view, stop));
        let suspensions = SuspensionWatcher {
            context: Arc::clone(&self.context),
            actors: actors.clone(),
        };
        lifecycle.spawn("suspended-users", |stop| suspensions.run(stop));
        watch_sandboxes(&mut lifecycle, &bus, &actors);
        watch_interruptions(&mut lifecycle, &bus, &actors);

        let health = self.health_of(&ownership);
        let listener = health::listen(self.health).await?;
        lifecycle.spawn("health", |stop| health.serve(listener, stop));
        lifecycle.spawn("ownership", |stop| ownership.run(stop));
        lifecycle.run_until(stop).await
    }

    fn health_of(&self, ownership: &Ownership) -> Health {
        let (bus, store) = (self.context.bus.clone(), self.context.store.clone());
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
