//! `/healthz` (liveness), `/readyz` (readiness) and `/metrics`, for the internal network only: the front proxy
//! does not pass them on.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::future::join_all;
use serde::Serialize;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{Env, EnvError, metrics};

/// Longest a check may take. The callers of `/readyz` time out soon after.
const CHECK_LIMIT: Duration = Duration::from_secs(2);

type Check = Box<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// The readiness of a process: named checks, which run on every request of `/readyz`.
#[derive(Default)]
pub struct Health {
    checks: Vec<(&'static str, Check)>,
}

impl Health {
    /// Creates a readiness without checks: the process is ready until it stops.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a check. `name` is in the answer while `check` returns `false` or takes longer than 2 s.
    #[must_use]
    pub fn check<C, Fut>(mut self, name: &'static str, check: C) -> Self
    where
        C: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = bool> + Send + 'static,
    {
        self.checks
            .push((name, Box::new(move || Box::pin(check()))));
        self
    }

    /// The three routes. The process is not ready once `stop` is cancelled, so that a load balancer sends new
    /// requests elsewhere.
    pub fn routes(self, stop: CancellationToken) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "alive\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(prometheus_text))
            .with_state(Arc::new(Readiness {
                checks: self.checks,
                limit: CHECK_LIMIT,
                stop,
            }))
    }

    /// Serves only the three routes until `stop` is cancelled.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
        let routes = self.routes(stop.clone());
        serve(listener, routes, stop).await
    }
}

/// Reads the address to listen on from `LISTEN_HOST` (an IP address, 127.0.0.1 by default) and from the variable
/// named by `port`.
pub fn address(env: &Env, port: &str, default_port: u16) -> Result<SocketAddr, EnvError> {
    let host = env.or("LISTEN_HOST", IpAddr::V4(Ipv4Addr::LOCALHOST));
    let port = env.or(port, default_port);
    Ok(SocketAddr::new(host?, port?))
}

/// Listens on the address, and logs it. The error names the address.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address}"))?;
    info!("listening on {}", listener.local_addr().unwrap_or(address));
    Ok(listener)
}

/// Serves `routes` until `stop` is cancelled. Then it accepts no new connections, and returns once the requests
/// in progress are answered. Requests have the address of their connection as `ConnectInfo<SocketAddr>`.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let routes = routes.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, routes)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
        .context("serving HTTP")
}

struct Readiness {
    checks: Vec<(&'static str, Check)>,
    /// Longest a check may take.
    limit: Duration,
    stop: CancellationToken,
}

impl Readiness {
    /// The names of the failing checks; empty if the process is ready.
    async fn failing(&self) -> Vec<&'static str> {
        let checks = self.checks.iter().map(async |(name, check)| {
            let holds = timeout(self.limit, check()).await.unwrap_or(false);
            (!holds).then_some(*name)
        });
        let stopping = self.stop.is_cancelled().then_some("stopping");
        stopping
            .into_iter()
            .chain(join_all(checks).await.into_iter().flatten())
            .collect()
    }
}

#[derive(Serialize)]
struct ReadinessReport {
    ready: bool,
    failing: Vec<&'static str>,
}

async fn readyz(State(readiness): State<Arc<Readiness>>) -> Response {
    let failing = readiness.failing().await;
    let ready = failing.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(ReadinessReport { ready, failing })).into_response()
}

async fn prometheus_text() -> Response {
    (
        [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
        metrics::render(),
    )
        .into_response()
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn failing_checks_are_named_and_a_check_without_an_answer_fails() {
        let health = Health::new()
            .check("nats", || ready(true))
            .check("postgres", || ready(false))
            .check("engine", pending);

        assert_eq!(readiness_of(health).failing().await, ["postgres", "engine"]);
    }

    #[tokio::test]
    async fn a_stopping_process_is_not_ready() {
        let readiness = readiness_of(Health::new().check("nats", || ready(true)));
        assert!(readiness.failing().await.is_empty());

        readiness.stop.cancel();

        assert_eq!(readiness.failing().await, ["stopping"]);
    }

    #[tokio::test]
    async fn the_routes_are_served_until_the_process_stops() {
        let stop = CancellationToken::new();
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let health = Health::new().check("nats", || ready(false));
        let server = tokio::spawn(health.serve(listener, stop.clone()));
        let client = crate::http::client(crate::HttpTimeouts::default());
        let get = async |path: &str| {
            let response = client.get(format!("{base}{path}")).send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        };

        assert_eq!(get("/healthz").await, (200, "alive\n".to_owned()));
        let report = r#"{"ready":false,"failing":["nats"]}"#;
        assert_eq!(get("/readyz").await, (503, report.to_owned()));
        assert_eq!(get("/metrics").await.0, 200);

        stop.cancel();
        server.await.unwrap().unwrap();
    }

    #[test]
    fn the_address_is_local_unless_a_host_is_set() {
        let open = Env::from_pairs([("LISTEN_HOST", "0.0.0.0"), ("PORT", "80")]);

        assert_eq!(
            address(&open, "PORT", 3001).unwrap().to_string(),
            "0.0.0.0:80"
        );
        assert_eq!(
            address(&Env::from_pairs([("X", "")]), "PORT", 3001)
                .unwrap()
                .to_string(),
            "127.0.0.1:3001"
        );
    }

    fn readiness_of(health: Health) -> Readiness {
        Readiness {
            checks: health.checks,
            limit: Duration::from_millis(20),
            stop: CancellationToken::new(),
        }
    }
}
