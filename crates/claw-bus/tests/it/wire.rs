use claw_testkit::TestNats;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};

/// A proxy to the server that can block or cut its connections, as broken networks and paused processes do.
pub struct Wire {
    pub port: u16,
    state: watch::Sender<State>,
}

#[derive(Clone, Copy, Default, PartialEq)]
struct State {
    is_blocked: bool,
    /// The number of times that all connections were cut.
    cuts: u32,
}

impl Wire {
    pub async fn to(nats: &TestNats) -> Self {
        let server = port_of(nats);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = watch::Sender::default();
        let watched = state.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(join(client, server, watched.clone()));
            }
        });
        Self { port, state }
    }

    /// Stops forwarding, and keeps the connections open.
    pub fn block(&self) {
        self.state.send_modify(|state| state.is_blocked = true);
    }

    /// Forwards again, beginning with the data that was held back.
    pub fn unblock(&self) {
        self.state.send_modify(|state| state.is_blocked = false);
    }

    /// Closes all connections. New connections work.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }
}

pub fn port_of(nats: &TestNats) -> u16 {
    let url = nats.url("admin");
    url.rsplit_once(':').unwrap().1.parse().unwrap()
}

async fn join(client: TcpStream, server: u16, mut state: watch::Receiver<State>) {
    let cuts = state.borrow().cuts;
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, state.clone()) => {}
        () = pump(from_server, to_client, state.clone()) => {}
        _ = state.wait_for(|state| state.cuts != cuts) => {}
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if state.wait_for(|state| !state.is_blocked).await.is_err() {
            return;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
