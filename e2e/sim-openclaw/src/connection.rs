use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sim_kit::clock;
use tokio::{net::TcpStream, sync::mpsc, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, accept_async_with_config,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    flood,
    frame::{Outgoing, Refusal, Request, numbered, response},
    handshake,
    hello::MAX_PAYLOAD_BYTES,
    rpc::{self, Client},
    sandbox::{OpenConnection, Sandbox},
};

/// Most frames that wait for a slow client before it is disconnected (close 1008).
const FRAMES_WAITING: usize = 8192;

/// Most frames written before a flush.
const FRAMES_AT_ONCE: usize = 64;

/// Largest frame accepted before the handshake is complete.
const HANDSHAKE_FRAME_BYTES: usize = 64 << 10;

/// Time limit for the client's answer to a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest reason in a close frame (RFC 6455: 125 bytes less the code).
const CLOSE_REASON_BYTES: usize = 123;

type Socket = WebSocketStream<TcpStream>;

/// Serves one WebSocket until the client closes it or the OpenClaw process ends.
pub(crate) async fn serve(sandbox: Arc<Sandbox>, tcp: TcpStream) {
    let (cut, hung, boot) = {
        let boot = &sandbox.state().boot;
        (boot.cut.clone(), boot.hung.clone(), boot.number)
    };
    let mut running = pin!(run(&sandbox, boot, tcp));
    // A cut drops the socket without a close frame, as SIGKILL does. A process that hangs keeps it open.
    tokio::select! {
        biased;
        () = cut.cancelled() => {}
        () = hung.cancelled() => cut.cancelled().await,
        () = &mut running => {}
    }
}

async fn run(sandbox: &Arc<Sandbox>, boot: u64, tcp: TcpStream) {
    let config = WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        .write_buffer_size(4 << 10)
        .max_frame_size(Some(MAX_PAYLOAD_BYTES))
        .max_message_size(Some(MAX_PAYLOAD_BYTES));
    let Ok(mut socket) = accept_async_with_config(tcp, Some(config)).await else {
        return;
    };
    let Some(scopes) = perform_handshake(sandbox, boot, &mut socket).await else {
        return;
    };
    let (registered, out) = register(sandbox);
    let id = registered.id;
    exchange_frames(sandbox, &mut socket, registered, scopes, out).await;
    let mut state = sandbox.state();
    state
        .connections
        .open
        .retain(|connection| connection.id != id);
}

/// Performs the handshake and returns the granted scopes; `None` if the connection is over.
async fn perform_handshake(
    sandbox: &Sandbox,
    boot: u64,
    socket: &mut Socket,
) -> Option<Vec<String>> {
    let nonce = Uuid::new_v4().to_string();
    let challenge = json!({
        "type": "event",
        "event": "connect.challenge",
        "payload": {
            "nonce": nonce,
            "ts": clock::now_ms(),
            "capabilities": ["model-catalog-snapshot"],
        },
    });
    send(socket, challenge.to_string()).await?;
    let Ok(first) = timeout(sandbox.shared.config.handshake, first_frame(socket)).await else {
        close(socket, 1000, "").await;
        return None;
    };
    let (id, params) = match read_connect(&first?) {
        Ok(connect) => connect,
        Err(FirstFrameError::TooLarge) => {
            close(socket, 1009, "").await;
            return None;
        }
        Err(FirstFrameError::NotConnect(id)) => {
            let message = "invalid handshake: first request must be connect";
            send(socket, response(&id, &Err(Refusal::invalid(message)))).await?;
            close(socket, 1008, message).await;
            return None;
        }
    };
    // The process that began this handshake has ended.
    if sandbox.state().boot.number != boot {
        return None;
    }
    let connection_id = Uuid::new_v4().to_string();
    match handshake::decide(sandbox, &params, &nonce, &connection_id) {
        Ok(admitted) => {
            send(socket, response(&id, &Ok(admitted.hello))).await?;
            Some(admitted.scopes)
        }
        Err(rejected) => {
            count_refusal(sandbox, &rejected.refusal);
            let reason = close_reason(&rejected);
            let refused: Result<Value, Refusal> = Err(rejected.refusal);
            send(socket, response(&id, &refused)).await?;
            close(socket, rejected.close, &reason).await;
            None
        }
    }
}

enum FirstFrameError {
    TooLarge,
    NotConnect(String),
}

async fn first_frame(socket: &mut Socket) -> Option<String> {
    loop {
        match socket.next().await? {
            Ok(Message::Text(text)) => return Some(text.as_str().to_owned()),
            Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
            Ok(Message::Close(_)) | Err(_) => return None,
        }
    }
}

fn read_connect(text: &str) -> Result<(String, Value), FirstFrameError> {
    if text.len() > HANDSHAKE_FRAME_BYTES {
        return Err(FirstFrameError::TooLarge);
    }
    match serde_json::from_str::<Request>(text) {
        Ok(request) if request.method == "connect" => Ok((request.id, request.params)),
        Ok(request) => Err(FirstFrameError::NotConnect(request.id)),
        Err(_) => Err(FirstFrameError::NotConnect("invalid".to_owned())),
    }
}

fn count_refusal(sandbox: &Sandbox, refusal: &Refusal) {
    let code = refusal
        .details
        .as_ref()
        .and_then(|details| details["code"].as_str())
        .unwrap_or(refusal.code)
        .to_owned();
    *sandbox.state().stats.refused.entry(code).or_default() += 1;
}

/// The close reason that OpenClaw sends: the message and the id of a pairing request, truncated.
fn close_reason(rejected: &handshake::Rejected) -> String {
    let refusal = &rejected.refusal;
    let request = refusal
        .details
        .as_ref()
        .and_then(|details| details["requestId"].as_str());
    let mut reason = match request {
        Some(id) => format!("{} (requestId: {id})", refusal.message),
        None if rejected.close == 1013 => "gateway starting".to_owned(),
        None => refusal.message.clone(),
    };
    while reason.len() > CLOSE_REASON_BYTES {
        reason.pop();
    }
    reason
}

/// A connection that receives broadcasts.
struct Registered {
    id: u64,
    out: mpsc::Sender<Outgoing>,
    too_slow: CancellationToken,
}

fn register(sandbox: &Sandbox) -> (Registered, mpsc::Receiver<Outgoing>) {
    static NEXT_ID: AtomicU64 = AtomicU64::new(0);
    let (out, waiting) = mpsc::channel(FRAMES_WAITING);
    let registered = Registered {
        id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
        out: out.clone(),
        too_slow: CancellationToken::new(),
    };
    sandbox.state().connections.open.push(OpenConnection {
        id: registered.id,
        out,
        too_slow: registered.too_slow.clone(),
        is_subscribed: false,
    });
    (registered, waiting)
}

async fn exchange_frames(
    sandbox: &Arc<Sandbox>,
    socket: &mut Socket,
    registered: Registered,
    scopes: Vec<String>,
    mut out: mpsc::Receiver<Outgoing>,
) {
    let client = Client {
        id: registered.id,
        scopes,
        out: registered.out,
    };
    let mut waiting = Vec::with_capacity(FRAMES_AT_ONCE);
    let mut seq = 0;
    loop {
        tokio::select! {
            () = registered.too_slow.cancelled() => {
                close(socket, 1008, "slow consumer").await;
                return;
            }
            received = socket.next() => match received {
                Some(Ok(Message::Text(text))) => rpc::handle_frame(sandbox, &client, text.as_str()),
                Some(Ok(Message::Close(_))) | None => return,
                Some(Ok(_)) => {}
                Some(Err(Error::Capacity(_))) => {
                    close(socket, 1009, "").await;
                    return;
                }
                Some(Err(_)) => return,
            },
            frame = flood::next_frame(sandbox) => {
                if socket.send(Message::Text(frame)).await.is_err() {
                    return;
                }
            }
            count = out.recv_many(&mut waiting, FRAMES_AT_ONCE) => {
                if count == 0 || !write(socket, &mut waiting, &mut seq).await {
                    return;
                }
            }
        }
    }
}

/// Writes all waiting frames; false when the connection is over.
async fn write(socket: &mut Socket, waiting: &mut Vec<Outgoing>, seq: &mut u64) -> bool {
    for out in waiting.drain(..) {
        let text = match out {
            Outgoing::Event(event) => {
                *seq += 1;
                numbered(&event, *seq)
            }
            Outgoing::Response(text) => text,
            Outgoing::Close(code, reason) => {
                close(socket, code, reason).await;
                return false;
            }
        };
        if socket.feed(Message::text(text)).await.is_err() {
            return false;
        }
    }
    socket.flush().await.is_ok()
}

async fn send(socket: &mut Socket, text: String) -> Option<()> {
    socket.send(Message::text(text)).await.ok()
}

/// Sends a close frame and waits for the client's.
async fn close(socket: &mut Socket, code: u16, reason: &str) {
    let frame = CloseFrame {
        code: CloseCode::from(code),
        reason: reason.into(),
    };
    let closing_handshake = async {
        if socket.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    // The socket of a client that does not answer is dropped.
    timeout(CLOSE_TIMEOUT, closing_handshake).await.ok();
}
