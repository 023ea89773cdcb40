//! An OpenClaw that sends the frames a test scripts, over an in-memory pipe: no ports, no real time.

use futures_util::{FutureExt, SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, duplex},
    join,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use crate::{
    AgentConnection, ConnectError, Credentials, DeviceKey, FrameBudget,
    connection::{metered::Metered, socket_config},
};

/// Capacity of the pipe; all frames of these tests but one fit.
const PIPE_BYTES: usize = 64 * 1024;

pub(super) struct FakeOpenClaw<S = DuplexStream> {
    pub(super) socket: WebSocketStream<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> FakeOpenClaw<S> {
    pub(super) async fn send(&mut self, frame: &Value) {
        let frame = Message::text(frame.to_string());
        self.socket.send(frame).await.unwrap();
    }

    pub(super) async fn event(&mut self, name: &str, payload: Value) {
        self.send(&json!({"type": "event", "event": name, "payload": payload}))
            .await;
    }

    pub(super) async fn answer(&mut self, request: &Value, payload: Value) {
        self.send(&json!({"type": "res", "id": request["id"], "ok": true, "payload": payload}))
            .await;
    }

    pub(super) async fn refuse(&mut self, request: &Value, error: Value) {
        self.send(&json!({"type": "res", "id": request["id"], "ok": false, "error": error}))
            .await;
    }

    pub(super) async fn request(&mut self) -> Value {
        let heard = self.heard().await;
        let Some(Message::Text(text)) = heard else {
            panic!("expected a request, got {heard:?}");
        };
        serde_json::from_str(&text).unwrap()
    }

    /// The next frame of any kind; `None` once the client has closed the pipe.
    pub(super) async fn heard(&mut self) -> Option<Message> {
        self.socket.next().await.and_then(Result::ok)
    }

    /// Sends the challenge and returns the `connect` request that answers it.
    pub(super) async fn challenge(&mut self) -> Value {
        self.event(
            "connect.challenge",
            json!({"nonce": "n-1", "ts": 1_795_327_141_510_u64, "capabilities": []}),
        )
        .await;
        self.request().await
    }

    pub(super) async fn welcome(&mut self) {
        let connect = self.challenge().await;
        self.answer(&connect, hello()).await;
    }
}

pub(super) fn hello() -> Value {
    json!({
        "type": "hello-ok", "protocol": 4,
        "server": {"version": "2026.9.6", "bootId": "boot-1", "connId": "c"},
        "auth": {"method": "token", "role": "operator",
            "scopes": ["operator.read", "operator.write", "operator.admin"]},
        "policy": {"maxPayload": 50_000, "maxBufferedBytes": 100_000, "tickIntervalMs": 30_000},
    })
}

/// Both ends of a pipe: the client, not yet connected, and the OpenClaw, ready for its script.
pub(super) fn pipe() -> (Client, FakeOpenClaw) {
    pipe_of(PIPE_BYTES)
}

pub(super) fn pipe_of(bytes: usize) -> (Client, FakeOpenClaw) {
    let (ours, theirs) = duplex(bytes);
    // Raw sockets on both ends: there is no HTTP upgrade to wait for.
    let socket = WebSocketStream::from_raw_socket(theirs, Role::Server, None)
        .now_or_never()
        .unwrap();
    (Client(ours), FakeOpenClaw { socket })
}

pub(super) struct Client(DuplexStream);

impl Client {
    pub(super) async fn connect(self) -> Result<AgentConnection, ConnectError> {
        self.connect_within(&FrameBudget::default()).await
    }

    pub(super) async fn connect_within(
        self,
        budget: &FrameBudget,
    ) -> Result<AgentConnection, ConnectError> {
        let stream = Metered::of_frames(self.0, budget);
        let socket =
            WebSocketStream::from_raw_socket(stream, Role::Client, Some(socket_config())).await;
        AgentConnection::open(socket, &credentials(), budget).await
    }
}

/// An open connection and the OpenClaw at its other end.
pub(super) async fn connected() -> (AgentConnection, FakeOpenClaw) {
    connected_over(PIPE_BYTES).await
}

pub(super) async fn connected_over(bytes: usize) -> (AgentConnection, FakeOpenClaw) {
    connected_within(bytes, &FrameBudget::default()).await
}

pub(super) async fn connected_within(
    bytes: usize,
    budget: &FrameBudget,
) -> (AgentConnection, FakeOpenClaw) {
    let (client, mut openclaw) = pipe_of(bytes);
    let (connection, ()) = join!(client.connect_within(budget), openclaw.welcome());
    (connection.unwrap(), openclaw)
}

pub(super) fn credentials() -> Credentials {
    Credentials {
        token: "FAKE-GATEWAY-TOKEN".into(),
        device: DeviceKey::from_seed(&[7; 32]),
    }
}
