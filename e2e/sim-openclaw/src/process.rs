//! The OpenClaw process of one sandbox in a container of its own. It listens at the root path of an address of its
//! own; what is on the sandbox's volume outlives it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, extract::State as RouteState, http::Uri, response::Response};
use secrecy::SecretString;
use sim_kit::server;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Ending, Restart, boot, control,
    listener::{HTTP_BACKLOG, Head, serve_socket, wait_for_head},
    sandbox::{Phase, Sandbox, Shared, State},
};

/// The exit code after SIGTERM.
const STOPPED: i64 = 0;

/// The exit code after SIGKILL.
const KILLED: i64 = 137;

/// Who may connect to one sandbox, from its container's environment.
#[derive(Debug, Clone)]
pub struct Access {
    /// The token that `connect` must carry.
    pub token: SecretString,
    /// The only device that is approved at its first connect.
    pub device_id: String,
}

/// How an OpenClaw process starts.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Who may connect.
    pub access: Access,
    /// Milliseconds until the process answers; earlier connections are dropped.
    pub listen_ms: u64,
    /// Milliseconds from then until it is ready.
    pub ready_ms: u64,
    /// Whether it accepts connections and never answers.
    pub hangs: bool,
}

/// A running OpenClaw process. It runs until it is stopped or killed, even if this is dropped.
#[derive(Debug)]
pub struct Process {
    sandbox: Arc<Sandbox>,
    number: u64,
    /// Ends the listener and its plain HTTP connections.
    end: CancellationToken,
    /// The task that owns the listener.
    listening: TaskTracker,
}

pub(crate) fn launch(
    shared: &Arc<Shared>,
    sandbox: &str,
    listener: TcpListener,
    launch: Launch,
) -> Process {
    let sandbox = shared.volume(sandbox);
    let number = {
        let mut state = sandbox.state();
        boot::kill(&mut state);
        state.access = Some(launch.access);
        state.boot.container += 1;
        if launch.hangs {
            boot::hang(&mut state);
        }
        state.boot.container
    };
    let process = Process {
        end: shared.stop.child_token(),
        listening: TaskTracker::new(),
        sandbox: Arc::clone(&sandbox),
        number,
    };
    let accepting = accept_connections(Arc::clone(&sandbox), listener, process.end.clone());
    process.listening.spawn(accepting);
    process.listening.close();
    if !launch.hangs {
        let start = Restart {
            ending: Ending::Kill,
            down_ms: launch.listen_ms,
            starting_ms: launch.ready_ms,
        };
        boot::start_again(&sandbox, &start);
    }
    process
}

impl Process {
    /// Sends SIGTERM, and SIGKILL if the process still runs after `grace`. Returns the exit code once its port is
    /// free.
    pub async fn stop(&self, grace: Duration) -> i64 {
        let phase = self.change(|state| {
            if state.boot.phase == Phase::Up {
                state.boot.phase = Phase::Draining;
            }
            state.boot.phase
        });
        let until_idle = async {
            match phase {
                None | Some(Phase::Hung) => std::future::pending().await,
                Some(Phase::Down | Phase::Starting | Phase::Up | Phase::Draining) => {
                    boot::wait_until_idle(&self.sandbox).await;
                }
            }
        };
        let is_idle = tokio::select! {
            () = self.end.cancelled() => false,
            idle = timeout(grace, until_idle) => idle.is_ok(),
        };
        if is_idle && self.change(boot::shut_down).is_some() {
            self.close().await;
            return STOPPED;
        }
        self.kill().await
    }

    /// Sends SIGKILL. Returns the exit code once the port is free.
    pub async fn kill(&self) -> i64 {
        self.change(boot::kill);
        self.close().await;
        KILLED
    }

    /// Stops all progress of the process: it keeps its connections, accepts new ones, and answers nothing.
    pub fn hang(&self) {
        self.change(boot::hang);
    }

    /// Changes the sandbox's state, unless the process has ended or another one has taken its place.
    fn change<R>(&self, change: impl FnOnce(&mut State) -> R) -> Option<R> {
        let mut state = self.sandbox.state();
        let is_current = state.boot.container == self.number && !self.end.is_cancelled();
        is_current.then(|| change(&mut state))
    }

    async fn close(&self) {
        self.end.cancel();
        self.listening.wait().await;
    }
}

/// Serves one sandbox at every path of `listener`, until `end`.
async fn accept_connections(sandbox: Arc<Sandbox>, listener: TcpListener, end: CancellationToken) {
    let Ok(addr) = listener.local_addr() else {
        return;
    };
    let (http, connections) = mpsc::channel(HTTP_BACKLOG);
    let router = Router::new()
        .fallback(probe)
        .with_state(Arc::clone(&sandbox));
    let tasks = sandbox.shared.tasks.clone();
    tasks.spawn(server::serve_connections(
        connections,
        addr,
        router,
        end.clone(),
    ));
    loop {
        tokio::select! {
            () = end.cancelled() => return,
            accepted = listener.accept() => {
                // A failed accept affects one client, which will try again.
                let Ok((tcp, from)) = accepted else { continue };
                let (sandbox, http) = (Arc::clone(&sandbox), http.clone());
                let (end, stop) = (end.clone(), sandbox.shared.stop.clone());
                tasks.spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = route(sandbox, tcp, from, http, end) => {}
                    }
                });
            }
        }
    }
}

async fn route(
    sandbox: Arc<Sandbox>,
    tcp: TcpStream,
    from: SocketAddr,
    http: mpsc::Sender<(TcpStream, SocketAddr)>,
    end: CancellationToken,
) {
    let phase = sandbox.state().boot.phase;
    match phase {
        // The engine accepts for a container, and drops the connection if nothing listens inside.
        Phase::Down => return,
        Phase::Hung => return end.cancelled().await,
        Phase::Starting | Phase::Up | Phase::Draining => {}
    }
    tcp.set_nodelay(true).ok();
    let head = tokio::select! {
        () = end.cancelled() => return,
        head = wait_for_head(&tcp) => head,
    };
    match head {
        Some(Head::Http) => {
            http.send((tcp, from)).await.ok();
        }
        // The process ends its sockets itself, some of them with a close frame.
        Some(Head::WebSocket { .. }) => serve_socket(sandbox, tcp).await,
        None => {}
    }
}

async fn probe(RouteState(sandbox): RouteState<Arc<Sandbox>>, uri: Uri) -> Response {
    let phase = sandbox.state().boot.phase;
    control::probe_in(phase, uri.path().trim_matches('/')).await
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sandbox({})", self.name)
    }
}
