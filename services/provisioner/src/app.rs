use std::{future::ready, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use claw_bus::{Bus, BusConfig, Consumer, Ownership, Share};
use claw_docker::{Docker, Runtime};
use claw_runtime::{Clock, Health, HttpTimeouts, Lifecycle, SystemClock, health, http};
use claw_store::{Keyring, Sandboxes, Store};
use claw_suspensions::SuspensionView;

use crate::{
    AgentProbe, Backend, Config, Containers, HandleIdle, HandleOrder, HandleRequest, Learned,
    Provisioner, Reconciler, config::BackendConfig,
};

/// Database connections. Statements are short: starts wait for containers, not for connections.
const DATABASE_CONNECTIONS: u32 = 8;

/// The time limits of calls to the model provider and to sandboxes.
const HTTP_TIMEOUTS: HttpTimeouts = HttpTimeouts {
    connect: Duration::from_secs(5),
    total: Duration::from_secs(20),
};

/// The service, built but not yet running.
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
    /// Connects to the bus and the database, and puts the parts together. The container engine may be
    /// unreachable.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let bus = Bus::connect(&BusConfig {
            url: config.nats_url,
            service: "provisioner",
        })
        .await?;
        let store = Store::connect(&config.database_url, DATABASE_CONNECTIONS)
            .await
            .context("connecting to the database")?;
        let suspensions = SuspensionView::read(&store)
            .await
            .context("reading who is suspended")?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let keyring = Arc::new(config.keyring);
        let (backend, runtime) = backend(
            config.backend,
            store.sandboxes(),
            Arc::clone(&keyring),
            Arc::clone(&clock),
        );
        let provisioner = Arc::new(Provisioner::new(
            config.settings,
            backend,
            store.sandboxes(),
            keyring,
            bus.publisher(),
            suspensions,
            clock,
        ));
        let reconciler = Reconciler::new(Arc::clone(&provisioner), config.intervals);
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

    /// Runs until `stop` resolves, and leaves unfinished starts to the next process. While another process owns
    /// the work, this one is on standby.
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
        let (view, bus) = (self.provisioner.suspensions.clone(), self.bus.clone());
        lifecycle.spawn("suspensions", |stop| view.keep_current(bus, stop));
        let handler = HandleRequest::new(Arc::clone(&self.provisioner));
        let requests = Consumer::new(self.bus.clone(), "provisioner-requests", handler);
        let handler = HandleIdle::new(Arc::clone(&self.provisioner));
        let sleep = Consumer::new(self.bus.clone(), "provisioner-sleep", handler);
        let handler = HandleOrder::new(self.provisioner);
        let orders = Consumer::new(self.bus.clone(), "provisioner-orders", handler);
        let owned = ownership.clone();
        lifecycle.spawn("requests", |stop| async move {
            requests.run(&owned, stop).await;
        });
        let owned = ownership.clone();
        lifecycle.spawn("sleep", |stop| async move {
            sleep.run(&owned, stop).await;
        });
        let owned = ownership.clone();
        lifecycle.spawn("orders", |stop| async move {
            orders.run(&owned, stop).await;
        });
        let of_reconciler = ownership.clone();
        lifecycle.spawn("reconciler", |stop| async move {
            self.reconciler.run_while_owned(&of_reconciler, stop).await;
        });
        lifecycle.spawn("ownership", |stop| ownership.run(stop));
        let result = lifecycle.run_until(stop).await;
        self.bus.flush().await;
        result
    }
}

fn backend(
    config: BackendConfig,
    sandboxes: Sandboxes,
    keyring: Arc<Keyring>,
    clock: Arc<dyn Clock>,
) -> (Backend, Option<Arc<dyn Runtime>>) {
    match config {
        BackendConfig::Containers {
            settings,
            docker,
            model_keys,
        } => {
            let http = http::client(HTTP_TIMEOUTS);
            let runtime: Arc<dyn Runtime> = Arc::new(Docker::new(*docker));
            let containers = Containers {
                settings: *settings,
                runtime: Arc::clone(&runtime),
                keys: model_keys.connect(http.clone()),
                probe: Arc::new(AgentProbe::new(http)),
                sandboxes,
                keyring,
                clock,
                learned: Learned::default(),
            };
            (Backend::Containers(Box::new(containers)), Some(runtime))
        }
        BackendConfig::External {
            addresses,
            gateway_token,
        } => (
            Backend::External {
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
        .check("nats", move || {
            let bus = bus.clone();
            async move { bus.is_ready().await }
        })
        .check("postgres", move || {
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
