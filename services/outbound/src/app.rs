use std::{future::ready, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use claw_bus::{Bus, BusConfig, Consumer, Ownership, Share};
use claw_calls::LiveCalls;
use claw_runtime::{Health, HttpTimeouts, Lifecycle, SystemClock, health, http};
use claw_store::Store;
use claw_suspensions::SuspensionView;
use claw_whatsapp::send::{CloudApi, WhatsApp};
use tokio::{net::TcpListener, time::Instant};

use crate::{
    Config, Timeouts,
    deliver_reply::DeliverReply,
    rate_limiter::RateLimiter,
    record_report::RecordReport,
    send_piece::{PieceSender, Reports},
    show_typing::ShowTyping,
};

/// The names of our consumers of replies and reports.
const REPLIES: &str = "outbound-replies";
const REPORTS: &str = "outbound-reports";

/// Most database connections. Statements take a few milliseconds, and no connection is held during a send.
const DATABASE_CONNECTIONS: u32 = 16;

/// In total half of [`Timeouts::outcome`], so that a send that timed out leaves time for its report.
const WHATSAPP_TIMEOUTS: HttpTimeouts = HttpTimeouts {
    connect: Duration::from_secs(5),
    total: Duration::from_secs(15),
};

/// The service, built but not yet running.
pub struct App {
    lifecycle: Lifecycle,
    listener: TcpListener,
    health: Health,
    /// Shared by replies and reports, because a report wakes the lane of its reply.
    ownership: Ownership,
    deliver_reply: Consumer<DeliverReply>,
    record_report: Consumer<RecordReport>,
    show_typing: ShowTyping,
    suspensions: SuspensionView,
    bus: Bus,
}

impl App {
    /// Connects to the bus, the database and WhatsApp.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let client = http::client(WHATSAPP_TIMEOUTS);
        let whatsapp = Arc::new(CloudApi::new(client, config.whatsapp.clone()));
        Self::build_with(config, whatsapp, Timeouts::default()).await
    }

    /// Builds the service with the given WhatsApp and timeouts.
    pub async fn build_with(
        config: Config,
        whatsapp: Arc<dyn WhatsApp>,
        timeouts: Timeouts,
    ) -> anyhow::Result<Self> {
        let bus = Bus::connect(&BusConfig {
            url: config.nats_url,
            service: "outbound",
        })
        .await?;
        let store = Store::connect(&config.database_url, DATABASE_CONNECTIONS)
            .await
            .context(
                "connecting to Postgres (is DATABASE_URL correct, and is the server running?)",
            )?;
        let listener = health::listen(config.health).await?;
        let rate_limiter = Arc::new(RateLimiter::new(config.messages_per_second, Instant::now()));
        let reports = Reports::default();
        let suspensions = SuspensionView::read(&store)
            .await
            .context("reading who is suspended")?;
        let sender = PieceSender::new(
            bus.clone(),
            store.deliveries(),
            Arc::clone(&whatsapp),
            Arc::clone(&rate_limiter),
            reports.clone(),
            Arc::new(SystemClock),
            timeouts,
            suspensions.clone(),
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
                rate_limiter,
            },
            health: health_of(bus.clone(), store, ownership.clone()),
            ownership,
            suspensions,
            bus,
        })
    }

    /// The address of health and metrics.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        self.listener
            .local_addr()
            .context("reading the address of the health server")
    }

    /// Runs until `stop` resolves, then lets sends in flight finish.
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
        let (suspensions, bus) = (self.suspensions, self.bus);
        lifecycle.spawn("suspensions", |stop| suspensions.keep_current(bus, stop));
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
