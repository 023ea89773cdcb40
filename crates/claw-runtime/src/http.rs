//! The HTTP client for every call to an outside API.

use std::{sync::Once, time::Duration};

use reqwest::{Client, redirect::Policy};

/// Idle connections kept per host: enough for a burst of calls, and few enough to cost nothing.
const IDLE_CONNECTIONS_PER_HOST: usize = 8;

/// How long an idle connection is kept. The servers we call keep idle connections for longer, so a request is
/// seldom sent on a connection that is being closed.
const IDLE_FOR: Duration = Duration::from_secs(50);

/// How long a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpTimeouts {
    /// The limit for establishing a connection, TLS included.
    pub connect: Duration,
    /// The limit from the first byte sent to the last byte read.
    pub total: Duration,
}

impl Default for HttpTimeouts {
    /// 5 s to connect, 30 s in total.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            total: Duration::from_secs(30),
        }
    }
}

/// Creates a client with these limits. The client follows no redirects: none of the APIs we call documents
/// one, and a redirect must not carry a token to another host. Certificates are checked against the
/// system's roots.
///
/// # Panics
/// If the system has no root certificates. No outside API can be reached without them, and a process should
/// notice that when it starts.
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

/// Makes ring the process's TLS implementation. Further calls do nothing.
pub fn install_tls() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        // Fails only if another implementation was installed first, which serves as well.
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
    async fn a_redirect_is_returned_and_not_followed() {
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
    async fn a_call_without_an_answer_fails_after_its_timeout() {
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
