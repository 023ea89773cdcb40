use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::Router;
use claw_bus::{Bus, BusConfig};
use claw_runtime::{Health, Lifecycle, SystemClock, health};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{
    Config,
    publish::Door,
    voice::{self, Board, Lines, MOVE_GRACE},
    webhook::{self, Webhook},
};

/// The whole of ingress, ready to run.
pub struct App {
    listener: TcpListener,
    routes: Router,
    lifecycle: Lifecycle,
    /// If there is one.
    phone: Option<Phone>,
}

/// What goes on behind the phone's door.
struct Phone {
    board: Board,
    lines: Lines,
    call_grace: Duration,
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
        let webhook = Webhook::new(
            config.app_secrets,
            config.verification_token,
            config.phone_number_id,
            Door::new(bus.publisher()),
            Arc::new(SystemClock),
        );
        let mut routes = webhook::routes(webhook);
        let mut phone = None;
        let mut grace = config.grace;
        if let Some(voice) = config.voice {
            let board = Board::open(&bus).await?;
            let (lines, call_grace) = (Lines::new(), voice.call_grace);
            routes = routes.merge(voice::routes(voice, &bus, board.clone(), lines.clone()));
            grace += call_grace + MOVE_GRACE;
            phone = Some(Phone {
                board,
                lines,
                call_grace,
            });
        }
        let lifecycle = Lifecycle::new(grace);
        let ready = Health::new().check("bus", move || {
            let bus = bus.clone();
            async move { bus.is_ready().await }
        });
        let routes = routes.merge(ready.routes(lifecycle.stop_token()));
        Ok(Self {
            listener,
            routes,
            lifecycle,
            phone,
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
        match self.phone {
            None => self
                .lifecycle
                .spawn("http", |stop| health::serve(listener, routes, stop)),
            Some(phone) => self
                .lifecycle
                .spawn("http and phone", |stop| phone.serve(listener, routes, stop)),
        }
        self.lifecycle.run_until(stop).await
    }
}

impl Phone {
    /// Serves, and after `stop` goes on until the last caller is gone: the only replica there is must not
    /// close its door while somebody is on the line.
    async fn serve(
        self,
        listener: TcpListener,
        routes: Router,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let (hung_up, done) = (CancellationToken::new(), CancellationToken::new());
        let lines = async {
            self.lines.run(stop, self.call_grace).await;
            hung_up.cancel();
        };
        let door = async {
            let served = health::serve(listener, routes, hung_up.clone()).await;
            done.cancel();
            served
        };
        let board = self.board.run(done.clone());
        let ((), served, ()) = tokio::join!(lines, door, board);
        served
    }
}
