use std::{future::ready, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use claw_bus::{Bus, BusConfig, Consumer, Ownership, Share};
use claw_calls::LiveCalls;
use claw_runtime::{Health, HttpTimeouts, Lifecycle, SystemClock, health, http};
use claw_store::Store;
use claw_whatsapp::send::{CloudApi, WhatsApp};
use tokio::{net::TcpListener, time::Instant};

use crate::{
    Config, Patience, deliver_reply::DeliverReply, gate::Gate, record_report::RecordReport,
    reports::Reports, send_piece::PieceSender, show_typing::ShowTyping,
};

/// The names under which our places in `OUTBOUND` and `INBOUND` are kept.
const REPLIES: &str = "outbound-replies";
const REPORTS: &str = "outbound-reports";

/// Connections to the database: statements take a few milliseconds, and sends wait without one.
const DATABASE_CONNECTIONS: u32 = 16;

/// Half of the patience with an unknown outcome: after a send that timed out, time is left for the report.
const WHATSAPP_TIMEOUTS: HttpTimeouts = HttpTimeouts {
    connect: Duration::from_secs(5),
    total: Duration::from_secs(15),
};

/// The service, wired and not yet running.
pub struct App {
    lifecycle: Lifecycle,
    listener: TcpListener,
    health: Health,
    /// Of replies and reports alike: a report wakes the lane of the reply it is about.
    ownership: Ownership,
    deliver_reply: Consumer<DeliverReply>,
    record_report: Consumer<RecordReport>,
    show_typing: ShowTyping,
}

impl App {
    /// Connects to everything; fails with what is missing.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let client = http::client(WHATSAPP_TIMEOUTS);
        let whatsapp = Arc::new(CloudApi::new(client, config.whatsapp.clone()));
        Self::build_with(config, whatsapp, Patience::default()).await
    }

    /// The same with another WhatsApp, and another patience with it.
    pub async fn build_with(
        config: Config,
        whatsapp: Arc<dyn WhatsApp>,
        patience: Patience,
    ) -> anyhow::Result<Self> {
        let bus = Bus::connect(&BusConfig {
            url: config.nats_url,
            service: "outbound",
        })
        .await?;
        let store = Store::connect(&config.database_url, DATABASE_CONNECTIONS)
            .await
            .context("connecting to Postgres (is DATABASE_URL right, and the server up?)")?;
        let listener = health::listen(config.health).await?;
        let gate = Arc::new(Gate::new(config.messages_per_second, Instant::now()));
        let reports = Reports::default();
        let sender = PieceSender::new(
            store.deliveries(),
            Arc::clone(&whatsapp),
            Arc::clone(&gate),
            reports.clone(),
            Arc::new(SystemClock),
            patience,
        );
        let live_calls = LiveCalls::open(&bus).await?;
        let deliver_reply = DeliverReply::new(sender, bus.publisher(), live_calls, config.template);
        let record_report = RecordReport {
            deliveries: store.deliveries(),
            reports,
            publisher: bus.publisher(),
        };
        let ownership = Ownership::new(&bus, Share::Partitions, config.grace);
        Ok(Self {
            lifecycle: Lifecycle::new(config.grace),
            listener,
            deliver_reply: Consumer::new(bus.clone(), REPLIES, deliver_reply),
            record_report: Consumer::new(bus.clone(), REPORTS, record_report),
            show_typing: ShowTyping {
                bus: bus.clone(),
                whatsapp,
                gate,
            },
            health: health_of(bus, store, ownership.clone()),
            ownership,
        })
    }

    /// Where health and metrics are served.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        self.listener
            .local_addr()
            .context("reading our own address")
    }

    /// Runs until `stop` resolves, then lets sends under way end.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let mut lifecycle = self.lifecycle;
        let (replies, reports, typing) = (self.deliver_reply, self.record_report, self.show_typing);
        let (health, listener) = (self.health, self.listener);
        let (of_reports, of_replies) = (self.ownership.clone(), self.ownership.clone());
        lifecycle.spawn("ownership", |stop| self.ownership.run(stop));
        lifecycle.spawn("reports", |stop| async move {
            reports.run(&of_reports, stop).await;
        });
        lifecycle.spawn("replies", |stop| async move {
            replies.run(&of_replies, stop).await;
        });
        lifecycle.spawn("typing", |stop| async move {
            typing.run(stop.cancelled()).await;
        });
        lifecycle.spawn("health", |stop| health.serve(listener, stop));
        lifecycle.run_until(stop).await
    }
}

fn health_of(bus: Bus, store: Store, ownership: Ownership) -> Health {
    Health::new()
        .check("ownership", move || ready(ownership.has_joined()))
        .check("nats", move || {
            let bus = bus.clone();
            async move { bus.is_ready().await }
        })
        .check("postgres", move || {
            let store = store.clone();
            async move { store.is_reachable().await }
        })
}
