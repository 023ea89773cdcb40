use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::Router;
use claw_bus::{Bus, BusConfig};
use claw_runtime::{Health, Lifecycle, SystemClock, health};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    Config,
    event_sink::EventSink,
    unverified::UnverifiedRequests,
    voice::{self, CallWatcher, HANDOVER_GRACE, RelaySessions},
    whatsapp::{self, WhatsAppWebhook},
};

/// The service, ready to run.
pub struct App {
    listener: TcpListener,
    routes: Router,
    lifecycle: Lifecycle,
    /// `None` if the phone is not configured.
    voice: Option<Voice>,
}

/// The parts of the phone that run beside the HTTP server.
struct Voice {
    watcher: CallWatcher,
    sessions: RelaySessions,
    call_grace: Duration,
}

impl App {
    /// Connects to the bus and listens on the configured address. Fails if either is impossible, or if user ids would
    /// be derived with another key than before, so that a wrong setting shows at startup.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let bus = Bus::connect(&BusConfig {
            url: config.nats_url,
            service: "ingress",
        })
        .await?;
        let check = config.keys.user_ids.check_value();
        bus.verify_user_id_key(&check).await?;
        let keys = config.keys;
        let listener = health::listen(config.listen).await?;
        let unverified = UnverifiedRequests::new(config.trusted_proxies);
        let webhook = WhatsAppWebhook::new(
            config.app_secrets,
            config.verification_token,
            config.phone_number_id,
            keys.clone(),
            EventSink::new(bus.publisher()),
            Arc::new(SystemClock),
            unverified.clone(),
        );
        let mut routes = whatsapp::routes(webhook);
        let mut voice = None;
        let mut grace = config.grace;
        if let Some(config) = config.voice {
            let parts = Voice {
                watcher: CallWatcher::open(&bus).await?,
                sessions: RelaySessions::new(),
                call_grace: config.call_grace,
            };
            let (watcher, sessions) = (parts.watcher.clone(), parts.sessions.clone());
            routes = routes.merge(voice::routes(
                config, keys, &bus, watcher, sessions, unverified,
            ));
            grace += parts.call_grace + HANDOVER_GRACE;
            voice = Some(parts);
        }
        let lifecycle = Lifecycle::new(grace);
        let ready = Health::new().check("nats", move || {
            let bus = bus.clone();
            async move { bus.is_ready().await }
        });
        let routes = routes.merge(ready.routes(lifecycle.stop_token()));
        Ok(Self {
            listener,
            routes,
            lifecycle,
            voice,
        })
    }

    /// The address it listens on.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        self.listener
            .local_addr()
            .context("reading the address we listen on")
    }

    /// Serves until `stop` resolves, then finishes the requests and calls that are under way.
    pub async fn run_until_stopped(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let (listener, routes) = (self.listener, self.routes);
        match self.voice {
            None => self
                .lifecycle
                .spawn("http", |stop| health::serve(listener, routes, stop)),
            Some(voice) => self
                .lifecycle
                .spawn("http and voice", |stop| voice.serve(listener, routes, stop)),
        }
        self.lifecycle.run_until(stop).await
    }
}

impl Voice {
    /// Serves, and after `stop` goes on serving until the last caller is gone: calls need their webhooks, and
    /// this may be the only replica.
    async fn serve(
        self,
        listener: TcpListener,
        routes: Router,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let (hung_up, served) = (CancellationToken::new(), CancellationToken::new());
        let sessions = async {
            self.sessions.run(stop, self.call_grace).await;
            hung_up.cancel();
        };
        let http = async {
            let result = health::serve(listener, routes, hung_up.clone()).await;
            served.cancel();
            result
        };
        let watcher = self.watcher.run(served.clone());
        let ((), result, ()) = tokio::join!(sessions, http, watcher);
        result
    }
}
