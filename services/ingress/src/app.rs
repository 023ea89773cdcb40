use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use axum::Router;
use claw_bus::{Bus, BusConfig};
use claw_runtime::{Health, Lifecycle, SystemClock, health};
use tokio::net::TcpListener;

use crate::{
    Config,
    publish::Door,
    voice::{self, Board},
    webhook::{self, Webhook},
};

/// The whole of ingress, ready to run.
pub struct App {
    listener: TcpListener,
    routes: Router,
    lifecycle: Lifecycle,
    /// What others lay ready for callers, if there is a phone.
    board: Option<Board>,
}

impl App {
    /// Connects to the bus and takes the address. Fails when either is refused, so that a wrong setting
    /// shows at the start.
    pub async fn build(config: Config) -> anyhow::Result<Self> {
        let bus = Bus::connect(&BusConfig {
            url: config.nats_url,
            service: "ingress",
        })
        .await?;
        let listener = health::listen(config.listen).await?;
        let lifecycle = Lifecycle::new(config.grace);
        let webhook = Webhook::new(
            config.app_secrets,
            config.verification_token,
            config.phone_number_id,
            Door::new(bus.publisher()),
            Arc::new(SystemClock),
        );
        let mut routes = webhook::routes(webhook);
        let mut board = None;
        if let Some(voice) = config.voice {
            let opened = Board::open(&bus).await?;
            routes = routes.merge(voice::routes(voice, &bus, opened.clone()));
            board = Some(opened);
        }
        let ready = Health::new().check("bus", move || {
            let bus = bus.clone();
            async move { bus.is_ready().await }
        });
        let routes = routes.merge(ready.routes(lifecycle.stop_token()));
        Ok(Self {
            listener,
            routes,
            lifecycle,
            board,
        })
    }

    /// Where it is served.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        self.listener
            .local_addr()
            .context("reading our own address")
    }

    /// Serves until `stop` resolves, then answers what is under way and ends.
    pub async fn run_until_stopped(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let (listener, routes) = (self.listener, self.routes);
        self.lifecycle
            .spawn("http", |stop| health::serve(listener, routes, stop));
        if let Some(board) = self.board {
            self.lifecycle.spawn("board", |stop| async move {
                board.run(stop).await;
            });
        }
        self.lifecycle.run_until(stop).await
    }
}
