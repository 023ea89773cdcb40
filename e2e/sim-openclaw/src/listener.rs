use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::Router;
use sim_kit::server;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use super::{
    connection,
    sandbox::{Phase, Sandbox, Shared},
};

/// Most bytes of a request's head that are read to distinguish a WebSocket from plain HTTP.
const HEAD_BYTES: usize = 4096;

/// Time limit for a client to send the head of its request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Pause between two attempts to read a head that has arrived only in part.
const PEEK_INTERVAL: Duration = Duration::from_millis(5);

/// Most plain HTTP connections that wait for the router.
pub(crate) const HTTP_BACKLOG: usize = 128;

/// Accepts connections; passes every WebSocket to its sandbox and all other requests to `router`.
pub(crate) async fn accept_connections(
    shared: Arc<Shared>,
    port: TcpListener,
    addr: SocketAddr,
    router: Router,
) {
    let (http, connections) = mpsc::channel(HTTP_BACKLOG);
    let stop = shared.stop.clone();
    let serving = server::serve_connections(connections, addr, router, stop.clone());
    shared.tasks.spawn(serving);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            accepted = port.accept() => {
                // A failed accept affects one client, which will try again.
                let Ok((tcp, from)) = accepted else { continue };
                let (shared, http) = (Arc::clone(&shared), http.clone());
                let stop = stop.clone();
                shared.tasks.clone().spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = route(shared, tcp, from, http) => {}
                    }
                });
            }
        }
    }
}

async fn route(
    shared: Arc<Shared>,
    tcp: TcpStream,
    from: SocketAddr,
    http: mpsc::Sender<(TcpStream, SocketAddr)>,
) {
    tcp.set_nodelay(true).ok();
    match wait_for_head(&tcp).await {
        Some(Head::Http) => {
            http.send((tcp, from)).await.ok();
        }
        Some(Head::WebSocket { path }) => serve_socket(shared.sandbox(&path), tcp).await,
        None => {}
    }
}

/// Serves a WebSocket, unless no process runs.
pub(crate) async fn serve_socket(sandbox: Arc<Sandbox>, tcp: TcpStream) {
    let is_down = sandbox.state().boot.phase == Phase::Down;
    if !is_down {
        connection::serve(sandbox, tcp).await;
    }
}

/// The kind of a request.
pub(crate) enum Head {
    Http,
    WebSocket { path: String },
}

/// The kind of the request that a client sends; `None` if it sends none in time.
pub(crate) async fn wait_for_head(tcp: &TcpStream) -> Option<Head> {
    timeout(HEAD_TIMEOUT, peek_head(tcp)).await.ok().flatten()
}

/// Reads the head of the request without consuming it; `None` if the client closed the connection.
async fn peek_head(tcp: &TcpStream) -> Option<Head> {
    let mut buffer = vec![0; HEAD_BYTES];
    loop {
        let seen = tcp.peek(&mut buffer).await.ok()?;
        if seen == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&buffer[..seen]);
        if text.contains("\r\n\r\n") || seen == HEAD_BYTES {
            return Some(read_head(&text));
        }
        tokio::time::sleep(PEEK_INTERVAL).await;
    }
}

fn read_head(head: &str) -> Head {
    let is_upgrade = head.lines().any(|line| {
        line.split_once(':').is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("upgrade") && value.trim().eq_ignore_ascii_case("websocket")
        })
    });
    if !is_upgrade {
        return Head::Http;
    }
    let path = head.split_whitespace().nth(1).unwrap_or("/");
    Head::WebSocket {
        path: sandbox_of_path(path),
    }
}

/// The name of the sandbox at a path: the part after `/s/`, or else the path without its outer slashes. At
/// the root path the name is empty.
pub(crate) fn sandbox_of_path(path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = path.strip_prefix("/s/").unwrap_or(path);
    path.trim_matches('/').to_owned()
}
