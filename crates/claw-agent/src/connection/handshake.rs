use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use secrecy::ExposeSecret;
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use super::{CloseReason, ConnectOptions, Credentials};
use crate::{
    AgentEvent, ConnectError, Incoming, Response, SignedFields, decode,
    frame::{Auth, Client, Connect, Device, encode},
};

/// The protocol of gateway 2026.9.6.
const PROTOCOL: u32 = 4;
/// The gateway's closed sets have these for what we are.
const CLIENT_ID: &str = "gateway-client";
const CLIENT_MODE: &str = "backend";
/// Must never change for an approved device.
const PLATFORM: &str = "linux";
const ROLE: &str = "operator";
/// Admin is for notes that go to the model with a message (`systemProvenanceReceipt`) and for jobs.
const SCOPES: [&str; 3] = ["operator.read", "operator.write", "operator.admin"];
const CONNECT_REQUEST: &str = "connect";
/// What the gateway calls "starting" when it has nothing more to say.
const CLOSE_TRY_AGAIN: u16 = 1013;

/// The longest frame any gateway takes, whatever it claims.
const MOST_PAYLOAD_BYTES: usize = 26_214_400;
const SHORTEST_TICK: Duration = Duration::from_secs(1);
const LONGEST_TICK: Duration = Duration::from_mins(2);
/// Added to two ticks before a silent gateway is taken for dead.
const SILENCE_MARGIN: Duration = Duration::from_secs(10);

/// What the gateway told in `hello-ok`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Changes with every gateway process: another one means that it restarted.
    pub boot_id: String,
    /// The gateway's version.
    pub version: String,
    /// The longest frame it takes, bytes.
    pub max_payload_bytes: usize,
    /// How often it gives a sign of life.
    pub tick: Duration,
}

impl Limits {
    /// After how long without any frame the gateway is taken for dead.
    pub fn silence(&self) -> Duration {
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
    version: String,
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

/// Challenge, signed `connect`, `hello-ok`; all within the handshake's time.
pub(super) async fn perform<S>(
    socket: &mut WebSocketStream<S>,
    credentials: &Credentials,
    options: &ConnectOptions,
) -> Result<Limits, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    timeout(options.handshake_timeout, async {
        let (nonce, at_ms) = challenge(socket).await?;
        let request = connect_request(credentials, options, &nonce, at_ms);
        socket
            .send(Message::text(request))
            .await
            .map_err(|error| ConnectError::Closed(CloseReason::of_error(error)))?;
        accepted(answer(socket).await?)
    })
    .await
    .unwrap_or(Err(ConnectError::TimedOut))
}

async fn challenge<S>(socket: &mut WebSocketStream<S>) -> Result<(String, u64), ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        if let Incoming::Event(AgentEvent::Challenge { nonce, at_ms }) = frame(socket).await? {
            return Ok((nonce, at_ms));
        }
    }
}

async fn answer<S>(socket: &mut WebSocketStream<S>) -> Result<Response, ConnectError>
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

async fn frame<S>(socket: &mut WebSocketStream<S>) -> Result<Incoming, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                if let Some(incoming) = decode(&text) {
                    return Ok(incoming);
                }
            }
            Some(Ok(Message::Close(frame))) => return Err(closed(CloseReason::of_frame(frame))),
            Some(Ok(
                Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_),
            )) => {}
            Some(Err(error)) => return Err(closed(CloseReason::of_error(error))),
            None => return Err(closed(CloseReason::of_frame(None))),
        }
    }
}

fn closed(reason: CloseReason) -> ConnectError {
    let tries_again =
        matches!(reason, CloseReason::ByGateway { code, .. } if code == CLOSE_TRY_AGAIN);
    if tries_again {
        ConnectError::Unavailable { retry_after: None }
    } else {
        ConnectError::Closed(reason)
    }
}

fn connect_request(
    credentials: &Credentials,
    options: &ConnectOptions,
    nonce: &str,
    signed_at_ms: u64,
) -> String {
    let signature = credentials.device.sign(&SignedFields {
        client_id: CLIENT_ID,
        client_mode: CLIENT_MODE,
        role: ROLE,
        scopes: &SCOPES,
        signed_at_ms,
        token: &credentials.gateway_token,
        nonce,
        platform: PLATFORM,
    });
    let connect = Connect {
        min_protocol: PROTOCOL,
        max_protocol: PROTOCOL,
        client: Client {
            id: CLIENT_ID,
            version: &options.client_version,
            platform: PLATFORM,
            mode: CLIENT_MODE,
        },
        role: ROLE,
        scopes: &SCOPES,
        auth: Auth {
            token: credentials.gateway_token.expose_secret(),
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

/// What an answer to `connect` means.
pub(super) fn accepted(response: Response) -> Result<Limits, ConnectError> {
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
    Ok(Limits {
        boot_id: hello.server.boot_id,
        version: hello.server.version,
        max_payload_bytes: hello.policy.max_payload.min(MOST_PAYLOAD_BYTES),
        tick: Duration::from_millis(hello.policy.tick_interval_ms)
            .clamp(SHORTEST_TICK, LONGEST_TICK),
    })
}

/// A device that was not looked at connects with no scopes at all.
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
