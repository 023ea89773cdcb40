//! The client every call to someone else's HTTP API goes through.

use std::{sync::Once, time::Duration};

use reqwest::{Client, redirect::Policy};

/// Idle connections kept per host: enough for a burst, small enough to cost nothing.
const IDLE_CONNECTIONS_PER_HOST: usize = 8;

/// How long an idle connection is kept. Shorter than the servers we know keep theirs, so that a
/// request seldom meets a connection that is just being closed.
const IDLE_FOR: Duration = Duration::from_secs(50);

/// How long a call may take; a call without a limit is a leak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpTimeouts {
    /// Until the connection stands, TLS included.
    pub connect: Duration,
    /// From the first byte sent to the last byte read.
    pub total: Duration,
}

impl Default for HttpTimeouts {
    /// 5 s to connect, 30 s in all.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            total: Duration::from_secs(30),
        }
    }
}

/// A client with these limits. It follows no redirects: an API that answers with one is an API we
/// were not told about, and a token must not follow it there. Certificates are checked against the
/// system's roots.
///
/// # Panics
/// When the system has no root certificates: without them no outside API can be reached, and a
/// process that finds out at its start is the better one.
pub fn client(timeouts: HttpTimeouts) -> Client {
    install_tls();
    Client::builder()
        .connect_timeout(timeouts.connect)
        .timeout(timeouts.total)
        .redirect(Policy::none())
        .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST)
        .pool_idle_timeout(IDLE_FOR)
        .build()
        .expect("the system's root certificates can be read (is ca-certificates installed?)")
}

/// Makes ring the process's TLS implementation, once.
pub fn install_tls() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        // Fails only where something else chose an implementation first, which then serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

#[cfg(test)]
mod tests {
    use axum::{Router, response::Redirect, routing::get};
    use tokio::net::TcpListener;
    use tokio_util::task::AbortOnDropHandle;

    use super::*;

    #[tokio::test]
    async fn a_redirect_is_handed_back_and_not_followed() {
        let router = Router::new().route("/", get(|| async { Redirect::to("/elsewhere") }));
        let (url, _server) = serve(router).await;

        let answer = client(HttpTimeouts::default())
            .get(url)
            .send()
            .await
            .unwrap();

        assert_eq!(answer.status(), 303);
    }

    #[tokio::test]
    async fn an_answer_that_never_comes_is_given_up() {
        let router = Router::new().route("/", get(std::future::pending::<()>));
        let (url, _server) = serve(router).await;
        let short = HttpTimeouts {
            total: Duration::from_millis(50),
            ..HttpTimeouts::default()
        };

        let error = client(short).get(url).send().await.unwrap_err();

        assert!(error.is_timeout(), "{error:?}");
    }

    async fn serve(router: Router) -> (String, AbortOnDropHandle<()>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (url, AbortOnDropHandle::new(server))
    }
}
