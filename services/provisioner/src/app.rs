use std::{future::ready, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use claw_bus::{Bus, BusConfig, Consumer, Ownership, Share};
use claw_docker::{Docker, Runtime};
use claw_openrouter::OpenRouter;
use claw_runtime::{Clock, Health, HttpTimeouts, Lifecycle, SystemClock, health, http};
use claw_store::{Keyring, Sandboxes, Store};

use crate::{
    AgentDoors, Config, Containers, HandleRequest, Place, Provisioner, Reconciler,
    config::PlaceConfig,
};

/// Connections to the database. Statements are short; starts wait for containers, not for these.
const DATABASE_CONNECTIONS: u32 = 8;

/// How long calls to the model provider and to gateways may take.
const TIMEOUTS: HttpTimeouts = HttpTimeouts {
    connect: Duration::from_secs(5),
    total: Duration::from_secs(20),
};

/// The service, wired and not yet running.
pub struct App {
    bus: Bus,
    store: Store,
    runtime: Option<Arc<dyn Runtime>>,
    provisioner: Arc<Provisioner>,
    reconciler: Reconciler,
    health: SocketAddr,
    grace: Duration,
}

impl App {
    /// Connects to the bus and the database, and puts the parts together. An engine that is away is
    /// waited for later.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let bus = Bus::connect(&BusConfig {
            url: config.nats_url,
            service: "provisioner",
        })
        .await?;
        let store = Store::connect(&config.database_url, DATABASE_CONNECTIONS)
            .await
            .context("connecting to the database")?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let keyring = Arc::new(config.keyring);
        let (place, runtime) = place(
            config.place,
            store.sandboxes(),
            Arc::clone(&keyring),
            Arc::clone(&clock),
        );
        let provisioner = Arc::new(Provisioner::new(
            config.settings,
            place,
            store.sandboxes(),
            keyring,
            bus.publisher(),
            clock,
        ));
        let reconciler = Reconciler::new(Arc::clone(&provisioner), config.rhythm);
        let (health, grace) = (config.health, config.grace);
        Ok(Self {
            bus,
            store,
            runtime,
            provisioner,
            reconciler,
            health,
            grace,
        })
    }

    /// Runs until `stop` resolves; what was begun is left as it is, for the next process to go on with.
    /// Beside another process that does the work, this one stands by.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let mut lifecycle = Lifecycle::new(self.grace);
        let listener = health::listen(self.health).await?;
        let ownership = Ownership::new(&self.bus, Share::Whole, self.grace);
        let health = health_of(
            self.bus.clone(),
            self.store,
            self.runtime,
            ownership.clone(),
        );
        lifecycle.spawn("health", |stop| health.serve(listener, stop));
        let handler = HandleRequest::new(self.provisioner);
        let requests = Consumer::new(self.bus.clone(), "provisioner-requests", handler);
        let (of_requests, of_reconciler) = (ownership.clone(), ownership.clone());
        lifecycle.spawn("requests", |stop| async move {
            requests.run(&of_requests, stop).await;
        });
        lifecycle.spawn("reconciler", |stop| async move {
            self.reconciler.run_while_ours(&of_reconciler, stop).await;
        });
        lifecycle.spawn("ownership", |stop| ownership.run(stop));
        let result = lifecycle.run_until(stop).await;
        self.bus.flush().await;
        result
    }
}

fn place(
    config: PlaceConfig,
    sandboxes: Sandboxes,
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
) -> (Place, Option<Arc<dyn Runtime>>) {
    match config {
        PlaceConfig::Containers {
            settings,
            docker,
            management_key,
            openrouter_url,
        } => {
            let http = http::client(TIMEOUTS);
            let runtime: Arc<dyn Runtime> = Arc::new(Docker::new(*docker));
            let containers = Containers {
                settings: *settings,
                runtime: Arc::clone(&runtime),
                keys: Arc::new(OpenRouter::new(
                    http.clone(),
                    &openrouter_url,
                    management_key,
                )),
                doors: Arc::new(AgentDoors::new(http)),
                sandboxes,
                keyring,
                clock,
            };
            (Place::Containers(Box::new(containers)), Some(runtime))
        }
        PlaceConfig::Elsewhere {
            addresses,
            gateway_token,
        } => (
            Place::Elsewhere {
                addresses,
                gateway_token,
            },
            None,
        ),
    }
}

fn health_of(
    bus: Bus,
    store: Store,
    runtime: Option<Arc<dyn Runtime>>,
    ownership: Ownership,
) -> Health {
    let health = Health::new()
        .check("ownership", move || ready(ownership.has_joined()))
        .check("bus", move || {
            let bus = bus.clone();
            async move { bus.is_ready().await }
        })
        .check("database", move || {
            let store = store.clone();
            async move { store.is_reachable().await }
        });
    match runtime {
        Some(runtime) => health.check("engine", move || {
            let runtime = Arc::clone(&runtime);
            async move { runtime.is_reachable().await }
        }),
        None => health,
    }
}
