use std::{collections::VecDeque, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer, SigningKey};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use super::SimOpenClaw;

/// Longest time a test waits for a frame.
const LIMIT: Duration = Duration::from_secs(20);

/// A client of one simulated OpenClaw.
pub(super) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    seen: VecDeque<Value>,
    pub(super) all: Vec<Value>,
    pub(super) hello: Value,
    requests: u64,
}

/// How a connection was closed: with a code and a reason, or without a close frame.
#[derive(Debug, PartialEq)]
pub(super) enum Closed {
    With(u16, String),
    Dropped,
}

impl Client {
    /// Connects and performs the handshake as our gateway does.
    pub(super) async fn of(sim: &SimOpenClaw, sandbox: &str) -> Self {
        let mut client = Self::challenged(sim, sandbox).await;
        let answer = client.connect(|_| {}).await;
        assert_eq!(answer["ok"], true, "{answer}");
        client
    }

    /// Sends `connect` with changed parameters; returns the whole response.
    pub(super) async fn connect(&mut self, change: impl FnOnce(&mut Value)) -> Value {
        let params = self.connect_params(change);
        let answer = self.call("connect", params).await;
        self.hello = answer["payload"].clone();
        answer
    }

    /// Connects and reads the challenge, but does not answer it.
    pub(super) async fn challenged(sim: &SimOpenClaw, sandbox: &str) -> Self {
        Self::challenged_at(&sim.url(sandbox)).await
    }

    /// [`Client::challenged`] at any address.
    pub(super) async fn challenged_at(url: &str) -> Self {
        let (socket, _) = connect_async(url).await.unwrap();
        let mut client = Self {
            socket,
            seen: VecDeque::new(),
            all: Vec::new(),
            hello: Value::Null,
            requests: 0,
        };
        let challenge = client.event("connect.challenge").await;
        client.hello = challenge["payload"].clone();
        client
    }

    /// The parameters of `connect`, changed by `change` and then signed.
    pub(super) fn connect_params(&self, change: impl FnOnce(&mut Value)) -> Value {
        let mut params = json!({
            "minProtocol": 4,
            "maxProtocol": 4,
            "client": { "id": "gateway-client", "version": "0.1.0", "platform": "linux", "mode": "backend" },
            "role": "operator",
            "scopes": ["operator.read", "operator.write", "operator.admin"],
            "auth": { "token": "gateway-token-of-the-simulator" },
            "device": { "nonce": self.hello["nonce"], "signedAt": self.hello["ts"] },
        });
        change(&mut params);
        sign(&mut params);
        params
    }

    /// Sends a request and returns the whole response.
    pub(super) async fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params).await;
        self.response(&id).await
    }

    pub(super) async fn ask(&mut self, method: &str, params: Value) -> String {
        self.requests += 1;
        let id = self.requests.to_string();
        let frame = json!({ "type": "req", "id": id, "method": method, "params": params });
        self.say(frame.to_string()).await;
        id
    }

    pub(super) async fn say(&mut self, text: String) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(super) async fn response(&mut self, id: &str) -> Value {
        self.frame(|frame| frame["type"] == "res" && frame["id"] == id)
            .await
    }

    pub(super) async fn event(&mut self, name: &str) -> Value {
        self.frame(|frame| frame["event"] == name).await
    }

    /// The next terminal `chat` event of a run.
    pub(super) async fn end_of(&mut self, run_id: &str) -> Value {
        let end = self
            .frame(|frame| is_terminal(frame) && frame["payload"]["runId"] == run_id)
            .await;
        end["payload"].clone()
    }

    /// The next terminal `chat` event of any run.
    pub(super) async fn next_end(&mut self) -> Value {
        self.frame(is_terminal).await["payload"].clone()
    }

    /// The first frame that fits and was not returned before. Earlier frames are kept for later calls.
    pub(super) async fn frame(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.seen.iter().position(&fits) {
            return self.seen.remove(at).unwrap();
        }
        loop {
            let heard = tokio::time::timeout(LIMIT, self.socket.next()).await;
            let heard = heard.unwrap_or_else(|_| panic!("no frame fits: {:?}", self.seen));
            let text = heard.unwrap().unwrap().into_text().unwrap();
            let frame: Value = serde_json::from_str(&text).unwrap();
            self.all.push(frame.clone());
            if fits(&frame) {
                return frame;
            }
            self.seen.push_back(frame);
        }
    }

    /// Reads frames until the connection is closed.
    pub(super) async fn closed(&mut self) -> Closed {
        loop {
            let heard = tokio::time::timeout(LIMIT, self.socket.next()).await;
            match heard.expect("the connection is closed in time") {
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Closed::With(frame.code.into(), frame.reason.as_str().to_owned());
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Closed::Dropped,
            }
        }
    }
}

fn is_terminal(frame: &Value) -> bool {
    let state = frame["payload"]["state"].as_str().unwrap_or_default();
    frame["event"] == "chat" && ["final", "aborted", "error"].contains(&state)
}

/// The id of the clients' device.
pub(super) fn device_id() -> String {
    hex::encode(Sha256::digest(key().verifying_key().to_bytes()))
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn sign(params: &mut Value) {
    let key = key();
    let public = key.verifying_key().to_bytes();
    if params["device"].is_null() {
        return;
    }
    let id = device_id();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let scopes = params["scopes"].as_array().unwrap();
    let scopes: Vec<String> = scopes.iter().map(text).collect();
    let payload = [
        "v3".to_owned(),
        id.clone(),
        text(&params["client"]["id"]),
        text(&params["client"]["mode"]),
        text(&params["role"]),
        scopes.join(","),
        params["device"]["signedAt"].to_string(),
        text(&params["auth"]["token"]),
        text(&params["device"]["nonce"]),
        text(&params["client"]["platform"]).to_lowercase(),
        String::new(),
    ]
    .join("|");
    let device = &mut params["device"];
    if device["id"].is_null() {
        device["id"] = json!(id);
    }
    device["publicKey"] = json!(URL_SAFE_NO_PAD.encode(public));
    if device["signature"].is_null() {
        let signature = key.sign(payload.as_bytes()).to_bytes();
        device["signature"] = json!(URL_SAFE_NO_PAD.encode(signature));
    }
}
