//! Relay sockets that are not from Twilio or have a wrong ticket.

use claw_twilio::{
    form::Form,
    signature::{self, sign},
};
use e2e::harness::{BASE_URL, Options, TWILIO_AUTH_TOKEN, VoiceMode, World};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sim_twilio::Call;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http::HeaderValue},
};

use super::{ADA, converse, say, write};
use crate::crowd::Crowd;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

#[tokio::test(flavor = "multi_thread")]
async fn only_twilio_can_open_a_socket_and_a_ticket_is_valid_for_one_session_of_one_call() {
    let world = World::start(Options {
        voice: VoiceMode::Relay,
        ..Crowd::options_of_gateways(1)
    })
    .await
    .unwrap();
    write(&world, ADA, "hi", "echo: hi").await;
    let call = converse(&world, ADA).await;
    let used = ticket_of(&call);

    for signature in [None, Some("x".to_owned())] {
        let refused = open(&world, signature).await.unwrap_err();
        let Error::Http(answer) = refused else {
            panic!("{refused}");
        };
        assert_eq!(answer.status(), 403);
    }
    let no_call = format!("CA{:032x}", 1);
    for (sid, ticket) in [
        (call.sid(), json!({ "ticket": used })),
        (no_call.as_str(), json!({ "ticket": used })),
        (call.sid(), json!({ "ticket": "0".repeat(32) })),
        (call.sid(), json!({})),
    ] {
        assert!(is_turned_away(&world, sid, ticket).await);
    }
    say(&call, "still me", "echo: still me").await;
    let stats = world.openclaw.as_ref().unwrap().stats();
    assert_eq!(stats.sends, 2);
}

/// Sends `parameters` and an utterance; returns whether ingress closes the socket without a text message.
async fn is_turned_away(world: &World, sid: &str, parameters: Value) -> bool {
    let url = format!("{}/voice/relay", BASE_URL.replacen("http", "ws", 1));
    let signature = sign(&TWILIO_AUTH_TOKEN.into(), &url, &Form::parse(b""));
    let mut socket = open(world, Some(signature)).await.unwrap();
    let setup = json!({
        "type": "setup", "sessionId": "VXother", "callSid": sid, "customParameters": parameters,
    });
    let prompt = json!({ "type": "prompt", "voicePrompt": "it is me", "last": true });
    for message in [setup, prompt] {
        // The socket may already be closed.
        socket.send(Message::text(message.to_string())).await.ok();
    }
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() {
            return false;
        }
    }
    true
}

async fn open(world: &World, signature: Option<String>) -> Result<Socket, Error> {
    let url = format!(
        "{}/voice/relay",
        world.public_url().replacen("http", "ws", 1)
    );
    let mut request = url.into_client_request()?;
    if let Some(signature) = signature {
        let signature = HeaderValue::try_from(signature).unwrap();
        request.headers_mut().insert(signature::HEADER, signature);
    }
    connect_async(request).await.map(|(socket, _)| socket)
}

fn ticket_of(call: &Call) -> String {
    let view = call.view();
    let ticket = &view.relays[0].sent[0]["customParameters"]["ticket"];
    ticket.as_str().unwrap().to_owned()
}
