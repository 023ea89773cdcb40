use std::{
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
    frame::{Out, Refusal, Request, numbered, response},
    handshake,
    hello::MAX_PAYLOAD_BYTES,
    rpc::{self, Caller},
    sandbox::{Member, Sandbox},
};

/// Frames that may wait for a slow reader before it is thrown out (close 1008).
const FRAMES_WAITING: usize = 8192;

/// Frames written at once.
const FRAMES_AT_ONCE: usize = 64;

/// Largest frame taken before the handshake is done.
const HANDSHAKE_FRAME_BYTES: usize = 64 << 10;

/// Time the other side has to answer a close frame.
const GOODBYE_LIMIT: Duration = Duration::from_secs(5);

/// Longest reason a close frame can carry.
const CLOSE_REASON_BYTES: usize = 123;

type Socket = WebSocketStream<TcpStream>;

/// Serves one WebSocket until it or its gateway ends.
pub(crate) async fn serve(sandbox: Arc<Sandbox>, tcp: TcpStream) {
    let cut = sandbox.state().boot.cut.clone();
    // A cut drops the socket where it stands: no close frame, as after SIGKILL.
    tokio::select! {
        () = cut.cancelled() => {}
        () = converse(&sandbox, tcp) => {}
    }
}

async fn converse(sandbox: &Arc<Sandbox>, tcp: TcpStream) {
    let config = WebSocketConfig::default()
        .read_buffer_size(4 << 10)
        .write_buffer_size(4 << 10)
        .max_frame_size(Some(MAX_PAYLOAD_BYTES))
        .max_message_size(Some(MAX_PAYLOAD_BYTES));
    let Ok(mut socket) = accept_async_with_config(tcp, Some(config)).await else {
        return;
    };
    let Some(scopes) = shake_hands(sandbox, &mut socket).await else {
        return;
    };
    let (member, out) = enter(sandbox);
    let id = member.caller_id;
    talk(sandbox, &mut socket, member, scopes, out).await;
    let mut state = sandbox.state();
    state.room.members.retain(|member| member.id != id);
}

/// Does the handshake; returns the granted scopes.
async fn shake_hands(sandbox: &Sandbox, socket: &mut Socket) -> Option<Vec<String>> {
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
        Err(FirstFrame::TooLarge) => {
            close(socket, 1009, "").await;
            return None;
        }
        Err(FirstFrame::NotConnect(id)) => {
            let message = "invalid handshake: first request must be connect";
            send(socket, response(&id, &Err(Refusal::invalid(message)))).await?;
            close(socket, 1008, message).await;
            return None;
        }
    };
    let connection_id = Uuid::new_v4().to_string();
    match handshake::decide(sandbox, &params, &nonce, &connection_id) {
        Ok(admitted) => {
            send(socket, response(&id, &Ok(admitted.hello))).await?;
            Some(admitted.scopes)
        }
        Err(rejected) => {
            note_refusal(sandbox, &rejected.refusal);
            let reason = close_reason(&rejected);
            let refused: Result<Value, Refusal> = Err(rejected.refusal);
            send(socket, response(&id, &refused)).await?;
            close(socket, rejected.close, &reason).await;
            None
        }
    }
}

enum FirstFrame {
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

fn read_connect(text: &str) -> Result<(String, Value), FirstFrame> {
    if text.len() > HANDSHAKE_FRAME_BYTES {
        return Err(FirstFrame::TooLarge);
    }
    match serde_json::from_str::<Request>(text) {
        Ok(request) if request.method == "connect" => Ok((request.id, request.params)),
        Ok(request) => Err(FirstFrame::NotConnect(request.id)),
        Err(_) => Err(FirstFrame::NotConnect("invalid".to_owned())),
    }
}

fn note_refusal(sandbox: &Sandbox, refusal: &Refusal) {
    let code = refusal
        .details
        .as_ref()
        .and_then(|details| details["code"].as_str())
        .unwrap_or(refusal.code)
        .to_owned();
    *sandbox.state().stats.refused.entry(code).or_default() += 1;
}

/// The reason a real gateway closes with: the message, with the request id of a pairing, cut short.
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

/// One connection's side in the conversation.
struct Present {
    caller_id: u64,
    out: mpsc::Sender<Out>,
    too_slow: CancellationToken,
}

fn enter(sandbox: &Sandbox) -> (Present, mpsc::Receiver<Out>) {
    static NEXT_ID: AtomicU64 = AtomicU64::new(0);
    let (out, waiting) = mpsc::channel(FRAMES_WAITING);
    let present = Present {
        caller_id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
        out: out.clone(),
        too_slow: CancellationToken::new(),
    };
    sandbox.state().room.members.push(Member {
        id: present.caller_id,
        out,
        too_slow: present.too_slow.clone(),
        is_subscribed: false,
    });
    (present, waiting)
}

async fn talk(
    sandbox: &Arc<Sandbox>,
    socket: &mut Socket,
    present: Present,
    scopes: Vec<String>,
    mut out: mpsc::Receiver<Out>,
) {
    let caller = Caller {
        id: present.caller_id,
        scopes,
        out: present.out,
    };
    let mut waiting = Vec::with_capacity(FRAMES_AT_ONCE);
    let mut seq = 0;
    loop {
        tokio::select! {
            () = present.too_slow.cancelled() => {
                close(socket, 1008, "slow consumer").await;
                return;
            }
            heard = socket.next() => match heard {
                Some(Ok(Message::Text(text))) => rpc::hear(sandbox, &caller, text.as_str()),
                Some(Ok(Message::Close(_))) | None => return,
                Some(Ok(_)) => {}
                Some(Err(Error::Capacity(_))) => {
                    close(socket, 1009, "").await;
                    return;
                }
                Some(Err(_)) => return,
            },
            count = out.recv_many(&mut waiting, FRAMES_AT_ONCE) => {
                if count == 0 || !write(socket, &mut waiting, &mut seq).await {
                    return;
                }
            }
        }
    }
}

/// Writes what waits; false when the connection is over.
async fn write(socket: &mut Socket, waiting: &mut Vec<Out>, seq: &mut u64) -> bool {
    for out in waiting.drain(..) {
        let text = match out {
            Out::Event(event) => {
                *seq += 1;
                numbered(&event, *seq)
            }
            Out::Response(text) => text,
            Out::Close(code, reason) => {
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

/// Closes and waits until the other side has seen it.
async fn close(socket: &mut Socket, code: u16, reason: &str) {
    let frame = CloseFrame {
        code: CloseCode::from(code),
        reason: reason.into(),
    };
    let say_goodbye = async {
        if socket.close(Some(frame)).await.is_ok() {
            while let Some(Ok(_)) = socket.next().await {}
        }
    };
    // Whoever does not answer is left where they are.
    timeout(GOODBYE_LIMIT, say_goodbye).await.ok();
}
