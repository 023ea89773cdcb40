//! A gateway that says what a test tells it to, over an in-memory pipe: no ports, no real time.

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
    AgentConnection, ConnectError, ConnectOptions, Credentials, DeviceKey,
    connection::socket_config,
};

/// How much the pipe holds; more than any frame of these tests but one.
const PIPE_BYTES: usize = 64 * 1024;

pub(super) struct Gateway<S = DuplexStream> {
    pub(super) socket: WebSocketStream<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Gateway<S> {
    pub(super) async fn say(&mut self, frame: &Value) {
        let frame = Message::text(frame.to_string());
        self.socket.send(frame).await.unwrap();
    }

    pub(super) async fn event(&mut self, name: &str, payload: Value) {
        self.say(&json!({"type": "event", "event": name, "payload": payload}))
            .await;
    }

    pub(super) async fn answer(&mut self, request: &Value, payload: Value) {
        self.say(&json!({"type": "res", "id": request["id"], "ok": true, "payload": payload}))
            .await;
    }

    pub(super) async fn refuse(&mut self, request: &Value, error: Value) {
        self.say(&json!({"type": "res", "id": request["id"], "ok": false, "error": error}))
            .await;
    }

    /// The next request.
    pub(super) async fn request(&mut self) -> Value {
        let heard = self.heard().await;
        let Some(Message::Text(text)) = heard else {
            panic!("no request but {heard:?}");
        };
        serde_json::from_str(&text).unwrap()
    }

    /// The next frame of any kind; `None` when the other side is gone.
    pub(super) async fn heard(&mut self) -> Option<Message> {
        self.socket.next().await.and_then(Result::ok)
    }

    /// Challenge, and the `connect` that answers it.
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

/// Both ends of a pipe: ours not yet connected, theirs ready to be told what to say.
pub(super) fn pipe() -> (OurEnd, Gateway) {
    pipe_of(PIPE_BYTES)
}

pub(super) fn pipe_of(bytes: usize) -> (OurEnd, Gateway) {
    let (ours, theirs) = duplex(bytes);
    // Raw sockets on both ends: there is no HTTP upgrade to wait for.
    let socket = WebSocketStream::from_raw_socket(theirs, Role::Server, None)
        .now_or_never()
        .unwrap();
    (OurEnd(ours), Gateway { socket })
}

pub(super) struct OurEnd(DuplexStream);

impl OurEnd {
    pub(super) async fn connect(self) -> Result<AgentConnection, ConnectError> {
        let socket =
            WebSocketStream::from_raw_socket(self.0, Role::Client, Some(socket_config())).await;
        AgentConnection::open(socket, &credentials(), &ConnectOptions::default()).await
    }
}

/// A connection that is open, and the gateway at its other end.
pub(super) async fn connected() -> (AgentConnection, Gateway) {
    connected_over(PIPE_BYTES).await
}

pub(super) async fn connected_over(bytes: usize) -> (AgentConnection, Gateway) {
    let (us, mut gateway) = pipe_of(bytes);
    let (connection, ()) = join!(us.connect(), gateway.welcome());
    (connection.unwrap(), gateway)
}

pub(super) fn credentials() -> Credentials {
    Credentials {
        gateway_token: "FAKE-GATEWAY-TOKEN".into(),
        device: DeviceKey::from_seed(&[7; 32]),
    }
}
