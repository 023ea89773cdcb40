use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{ErrorResponse, Request, Response},
    },
};

use super::LIMIT;

/// An application that a relay can connect to, driven by the test.
pub(super) struct Application(TcpListener);

impl Application {
    pub(super) async fn listen() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    /// Listens on the address of an earlier application.
    pub(super) async fn listen_again(at: SocketAddr) -> Self {
        Self(TcpListener::bind(at).await.unwrap())
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(super) fn url(&self) -> String {
        format!("ws://{}/relay/7?a=b", self.addr())
    }

    /// Accepts the next connection and reads its setup frame.
    pub(super) async fn accept(&self) -> Session {
        let (tcp, _) = timeout(LIMIT, self.0.accept()).await.unwrap().unwrap();
        let mut signature = String::new();
        #[expect(clippy::result_large_err, reason = "the library's own type")]
        let look = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
            let header = request.headers().get("x-twilio-signature");
            header.unwrap().to_str().unwrap().clone_into(&mut signature);
            Ok(response)
        };
        let socket = accept_hdr_async(tcp, look).await.unwrap();
        let mut session = Session {
            socket,
            signature,
            setup: Value::Null,
        };
        session.setup = session.next().await;
        session
    }
}

pub(super) struct Session {
    socket: WebSocketStream<TcpStream>,
    pub(super) signature: String,
    pub(super) setup: Value,
}

impl Session {
    pub(super) async fn next(&mut self) -> Value {
        let frame = timeout(LIMIT, self.socket.next()).await;
        let Ok(Some(Ok(Message::Text(text)))) = frame else {
            panic!("not a text frame: {frame:?}");
        };
        serde_json::from_str(&text).unwrap()
    }

    pub(super) async fn send(&mut self, frame: Value) {
        self.send_raw(&frame.to_string()).await;
    }

    pub(super) async fn send_raw(&mut self, frame: &str) {
        self.socket.send(Message::text(frame)).await.unwrap();
    }

    pub(super) async fn token(&mut self, text: &str, last: bool) {
        self.send(json!({ "type": "text", "token": text, "last": last }))
            .await;
    }

    /// Waits until the relay has closed the socket.
    pub(super) async fn closed(mut self) {
        let closing = async { while let Some(Ok(_)) = self.socket.next().await {} };
        timeout(LIMIT, closing).await.unwrap();
    }
}
