//! Whether a process is alive, whether it is ready, and what it counted: `/healthz`, `/readyz`,
//! `/metrics`. For the inside only: a front proxy does not pass these on.

use std::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use futures_util::future::join_all;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{Env, EnvError, metrics};

/// Longest one check may take: whoever asks gives up soon after.
const CHECK_LIMIT: Duration = Duration::from_secs(2);

type Check = Box<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// What must be so for a process to be of use: named checks, asked on every `/readyz`.
#[derive(Default)]
pub struct Health {
    checks: Vec<(&'static str, Check)>,
}

impl Health {
    /// A process that is ready as long as it is not stopping.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a condition; `name` appears in the answer while it does not hold. No answer within 2 s
    /// counts as no.
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

    /// The three routes. Not ready once `stop` is cancelled, so that a balancer looks elsewhere while
    /// the last requests are answered.
    pub fn routes(self, stop: CancellationToken) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "alive\n" }))
            .route("/readyz", get(readiness))
            .route("/metrics", get(counted))
            .with_state(Arc::new(Readiness {
                checks: self.checks,
                limit: CHECK_LIMIT,
                stop,
            }))
    }

    /// Serves the three routes, and nothing else, until `stop` is cancelled.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
        let routes = self.routes(stop.clone());
        serve(listener, routes, stop).await
    }
}

/// The address from `LISTEN_HOST` (an IP address, 127.0.0.1 by default) and the port named `port`.
pub fn address(env: &Env, port: &str, default_port: u16) -> Result<SocketAddr, EnvError> {
    let host = env.or("LISTEN_HOST", IpAddr::V4(Ipv4Addr::LOCALHOST));
    let port = env.or(port, default_port);
    Ok(SocketAddr::new(host?, port?))
}

/// Takes the address; says which one when it cannot.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("listening on {address}"))?;
    info!("listening on {}", listener.local_addr().unwrap_or(address));
    Ok(listener)
}

/// Serves `routes` until `stop` is cancelled: then no new connections, and the requests under way are
/// answered.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    axum::serve(listener, routes)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
        .context("serving HTTP")
}

struct Readiness {
    checks: Vec<(&'static str, Check)>,
    /// Longest one check may take.
    limit: Duration,
    stop: CancellationToken,
}

impl Readiness {
    /// Why the process is of no use now; empty when it is.
    async fn failing(&self) -> Vec<&'static str> {
        let asked = self.checks.iter().map(async |(name, check)| {
            let holds = timeout(self.limit, check()).await.unwrap_or(false);
            (!holds).then_some(*name)
        });
        let stopping = self.stop.is_cancelled().then_some("stopping");
        stopping
            .into_iter()
            .chain(join_all(asked).await.into_iter().flatten())
            .collect()
    }
}

async fn readiness(State(readiness): State<Arc<Readiness>>) -> Response {
    let failing = readiness.failing().await;
    let status = if failing.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        [(CONTENT_TYPE, "application/json")],
        readiness_json(&failing),
    )
        .into_response()
}

/// Names are ours and plain, so they need no escaping.
fn readiness_json(failing: &[&str]) -> String {
    let mut json = format!("{{\"ready\":{},\"failing\":[", failing.is_empty());
    for (index, name) in failing.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(json, "{comma}\"{name}\"");
    }
    json.push_str("]}\n");
    json
}

async fn counted() -> Response {
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

    #[test]
    fn the_answer_is_json_that_names_what_fails() {
        assert_eq!(readiness_json(&[]), "{\"ready\":true,\"failing\":[]}\n");
        assert_eq!(
            readiness_json(&["bus", "database"]),
            "{\"ready\":false,\"failing\":[\"bus\",\"database\"]}\n"
        );
    }

    #[tokio::test]
    async fn only_failing_checks_are_named_and_silence_is_failure() {
        let health = Health::new()
            .check("bus", || ready(true))
            .check("database", || ready(false))
            .check("disk", pending);

        assert_eq!(readiness_of(health).failing().await, ["database", "disk"]);
    }

    #[tokio::test]
    async fn a_stopping_process_is_alive_but_not_ready() {
        let readiness = readiness_of(Health::new().check("bus", || ready(true)));
        assert!(readiness.failing().await.is_empty());

        readiness.stop.cancel();

        assert_eq!(readiness.failing().await, ["stopping"]);
    }

    #[tokio::test]
    async fn the_routes_answer_until_the_process_stops() {
        let stop = CancellationToken::new();
        let listener = listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let health = Health::new().check("bus", || ready(false));
        let server = tokio::spawn(health.serve(listener, stop.clone()));
        let client = crate::http::client(crate::HttpTimeouts::default());
        let status = async |path: &str| {
            client
                .get(format!("{base}{path}"))
                .send()
                .await
                .unwrap()
                .status()
                .as_u16()
        };

        assert_eq!(status("/healthz").await, 200);
        assert_eq!(status("/readyz").await, 503);
        assert_eq!(status("/metrics").await, 200);

        stop.cancel();
        server.await.unwrap().unwrap();
    }

    #[test]
    fn an_address_is_host_and_port_and_local_by_default() {
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
