use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use secrecy::ExposeSecret;
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use super::{CloseReason, Credentials, Flood, HANDSHAKE_TIMEOUT, metered::Metered};
use crate::{
    AgentEvent, ConnectError,
    device::SignedFields,
    frame::{Auth, Client, Connect, Device, Incoming, LONGEST_ID_BYTES, Response, decode, encode},
};

/// The protocol of OpenClaw 2026.9.6.
const PROTOCOL: u32 = 4;
/// OpenClaw accepts only values from closed sets as client id and mode; these fit a backend.
const CLIENT_ID: &str = "gateway-client";
const CLIENT_MODE: &str = "backend";
/// The version that `connect` names.
const CLIENT_VERSION: &str = env!("CARGO_PKG_VERSION");
/// A device stays approved only under the platform it was approved with.
const PLATFORM: &str = "linux";
const ROLE: &str = "operator";
/// The admin scope is needed for cron jobs and for a note that goes to the model with a message
/// (`systemProvenanceReceipt`).
const SCOPES: [&str; 3] = ["operator.read", "operator.write", "operator.admin"];
const CONNECT_REQUEST: &str = "connect";
/// The close code of an OpenClaw that is still starting.
const CLOSE_TRY_AGAIN: u16 = 1013;

/// The longest frame of a handshake. `hello-ok` is 4 to 16 KB long.
const LONGEST_FRAME_BYTES: usize = 128 * 1024;
/// The longest frame OpenClaw accepts, even if `hello-ok` claims a higher limit.
const PAYLOAD_LIMIT_BYTES: usize = 26_214_400;
const SHORTEST_TICK: Duration = Duration::from_secs(1);
const LONGEST_TICK: Duration = Duration::from_mins(2);
/// Added to two ticks before a silent connection counts as lost.
const SILENCE_MARGIN: Duration = Duration::from_secs(10);

/// The facts about OpenClaw in `hello-ok`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServerInfo {
    /// Identifies the OpenClaw process: every restart changes it.
    pub(super) boot_id: String,
    /// The longest frame it accepts.
    pub(super) max_payload_bytes: usize,
    /// The interval of its `tick` events.
    pub(super) tick: Duration,
}

impl ServerInfo {
    /// How long the connection may be without any frame before it counts as lost.
    pub(super) fn silence_limit(&self) -> Duration {
        self.tick * 2 + SILENCE_MARGIN
    }
}

#[derive(Deserialize)]
struct Hello {
    protocol: u32,
    server: HelloServer,
    auth: HelloAuth,
    policy: HelloPolicy,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HelloServer {
    boot_id: String,
}

#[derive(Deserialize)]
struct HelloAuth {
    scopes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HelloPolicy {
    max_payload: usize,
    tick_interval_ms: u64,
}

/// Waits for the challenge, sends a signed `connect`, and reads `hello-ok`, all within
/// [`HANDSHAKE_TIMEOUT`].
pub(super) async fn perform<S>(
    socket: &mut WebSocketStream<Metered<S>>,
    credentials: &Credentials,
) -> Result<ServerInfo, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    timeout(HANDSHAKE_TIMEOUT, async {
        let (nonce, at_ms) = challenge(socket).await?;
        let request = connect_request(credentials, &nonce, at_ms);
        socket
            .send(Message::text(request))
            .await
            .map_err(|error| ConnectError::Closed(CloseReason::of_error(error)))?;
        accepted(answer(socket).await?)
    })
    .await
    .unwrap_or(Err(ConnectError::TimedOut))
}

async fn challenge<S>(
    socket: &mut WebSocketStream<Metered<S>>,
) -> Result<(String, u64), ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        if let Incoming::Event(AgentEvent::Challenge { nonce, at_ms }) = frame(socket).await? {
            return Ok((nonce, at_ms));
        }
    }
}

async fn answer<S>(socket: &mut WebSocketStream<Metered<S>>) -> Result<Response, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        if let Incoming::Response(response) = frame(socket).await?
            && response.id == CONNECT_REQUEST
        {
            return Ok(response);
        }
    }
}

async fn frame<S>(socket: &mut WebSocketStream<Metered<S>>) -> Result<Incoming, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                let permit = socket.get_mut().finish_message();
                if text.len() > LONGEST_FRAME_BYTES {
                    return Err(closed(CloseReason::Flooded(Flood::LongMessage)));
                }
                if let Some(incoming) = decode(&text, permit) {
                    return Ok(incoming);
                }
            }
            Some(Ok(Message::Binary(_))) => {
                socket.get_mut().finish_message();
            }
            Some(Ok(Message::Close(frame))) => return Err(closed(CloseReason::of_frame(frame))),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Err(error)) => return Err(closed(CloseReason::of_error(error))),
            None => return Err(closed(CloseReason::of_frame(None))),
        }
    }
}

fn closed(reason: CloseReason) -> ConnectError {
    let tries_again =
        matches!(reason, CloseReason::ByOpenClaw { code, .. } if code == CLOSE_TRY_AGAIN);
    if tries_again {
        ConnectError::Unavailable { retry_after: None }
    } else {
        ConnectError::Closed(reason)
    }
}

fn connect_request(credentials: &Credentials, nonce: &str, signed_at_ms: u64) -> String {
    let signature = credentials.device.sign(&SignedFields {
        client_id: CLIENT_ID,
        client_mode: CLIENT_MODE,
        role: ROLE,
        scopes: &SCOPES,
        signed_at_ms,
        token: &credentials.token,
        nonce,
        platform: PLATFORM,
    });
    let connect = Connect {
        min_protocol: PROTOCOL,
        max_protocol: PROTOCOL,
        client: Client {
            id: CLIENT_ID,
            version: CLIENT_VERSION,
            platform: PLATFORM,
            mode: CLIENT_MODE,
        },
        role: ROLE,
        scopes: &SCOPES,
        auth: Auth {
            token: credentials.token.expose_secret(),
        },
        device: Device {
            id: credentials.device.id(),
            public_key: credentials.device.public_key_base64url(),
            signature,
            signed_at: signed_at_ms,
            nonce,
        },
    };
    encode(CONNECT_REQUEST, "connect", &connect)
}

/// Reads the answer to `connect`.
pub(super) fn accepted(response: Response) -> Result<ServerInfo, ConnectError> {
    let payload = response.outcome.map_err(ConnectError::from_refusal)?;
    let hello: Hello = payload
        .read()
        .map_err(|error| ConnectError::Protocol(error.to_string()))?;
    if hello.protocol != PROTOCOL {
        return Err(ConnectError::Protocol(format!(
            "protocol {}",
            hello.protocol
        )));
    }
    check_scopes(&hello.auth.scopes)?;
    if hello.server.boot_id.len() > LONGEST_ID_BYTES {
        return Err(ConnectError::Protocol(
            "a boot id that is too long".to_owned(),
        ));
    }
    Ok(ServerInfo {
        boot_id: hello.server.boot_id,
        max_payload_bytes: hello.policy.max_payload.min(PAYLOAD_LIMIT_BYTES),
        tick: Duration::from_millis(hello.policy.tick_interval_ms)
            .clamp(SHORTEST_TICK, LONGEST_TICK),
    })
}

/// OpenClaw also accepts a device that it has not checked, but grants it no scopes.
fn check_scopes(granted: &[String]) -> Result<(), ConnectError> {
    let missing: Vec<&str> = SCOPES
        .into_iter()
        .filter(|scope| !granted.iter().any(|granted| granted == scope))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(ConnectError::ScopesMissing {
            missing: missing.join(", "),
        })
    }
}
