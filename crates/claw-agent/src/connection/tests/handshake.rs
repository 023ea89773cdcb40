use std::{error::Error, time::Duration};

use claw_domain::Endpoint;
use serde_json::{Value, json};
use tokio::{join, net::TcpListener};
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::{
        handshake::server::{ErrorResponse, Request, Response},
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};

use super::super::handshake::accepted;
use super::scripted::{FakeOpenClaw, credentials, hello, pipe};
use crate::{
    AgentConnection, ConnectError, FrameBudget, RetryClass, captures,
    frame::{self, Incoming, decode},
    pause_before,
};

#[tokio::test]
async fn the_client_presents_itself_as_a_signed_backend_and_learns_the_boot_id() {
    let (client, mut openclaw) = pipe();

    let (connection, connect) = join!(client.connect(), async {
        let connect = openclaw.challenge().await;
        openclaw.answer(&connect, hello()).await;
        connect
    });

    assert_eq!(connection.unwrap().handle().boot_id(), "boot-1");
    insta::assert_json_snapshot!(connect, @r#"
    {
      "id": "connect",
      "method": "connect",
      "params": {
        "auth": {
          "token": "FAKE-GATEWAY-TOKEN"
        },
        "client": {
          "id": "gateway-client",
          "mode": "backend",
          "platform": "linux",
          "version": "0.1.0"
        },
        "device": {
          "id": "fe812c12f3ab4ce6ac5db69ac352f906cb1b11ef43fb33e252ef7ff552263889",
          "nonce": "n-1",
          "publicKey": "6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw",
          "signature": "S26gVT1QJDYhI0bA511WTrAe5kroMJJZxnJ1hnZxdIe0nHtUpgFsd6KM7fTeK4MWEZW6hKf1Y4rXf-joXAAKDA",
          "signedAt": 1795327141510
        },
        "maxProtocol": 4,
        "minProtocol": 4,
        "role": "operator",
        "scopes": [
          "operator.read",
          "operator.write",
          "operator.admin"
        ]
      },
      "type": "req"
    }
    "#);
}

#[test]
fn a_recorded_hello_contains_the_boot_id_and_the_limits() {
    let server = accepted(recorded_answer("handshake-ok")).unwrap();

    assert_eq!(server.boot_id.len(), 36);
    assert_eq!(server.max_payload_bytes, 26_214_400);
    assert_eq!(server.silence_limit(), Duration::from_secs(70));
}

#[test]
fn a_recorded_hello_without_a_device_grants_no_scopes() {
    let answer = recorded_answer("handshake-no-device-scopes-cleared");

    assert!(matches!(
        accepted(answer),
        Err(ConnectError::ScopesMissing { .. })
    ));
}

#[test]
fn every_recorded_refusal_of_a_handshake_has_its_retry_class() {
    let mut table: Vec<String> = Vec::new();
    for name in captures::names() {
        if !name.starts_with("handshake") && name != "startup-unavailable" {
            continue;
        }
        for frame in captures::inbound(&name) {
            let Some(Incoming::Response(response)) = decode(&frame, None) else {
                continue;
            };
            if let (true, Err(refusal)) = (response.id == "1", response.outcome) {
                let error = ConnectError::from_refusal(refusal);
                table.push(format!("{error}: {:?}", error.retry()));
            }
        }
    }
    table.sort();
    table.dedup();

    insta::assert_snapshot!(table.join("\n"));
}

#[tokio::test]
async fn a_starting_openclaw_is_retried_after_the_pause_it_advised() {
    let error = refused(json!({"code": "UNAVAILABLE", "message": "gateway starting",
        "retryable": true, "retryAfterMs": 500, "details": {"reason": "startup-sidecars"}}))
    .await;

    assert_eq!(error.retry(), RetryClass::After(Duration::from_millis(500)));
}

#[tokio::test]
async fn a_wrong_token_is_never_retried() {
    let error = refused(json!({"code": "INVALID_REQUEST", "message": "unauthorized",
        "details": {"code": "AUTH_TOKEN_MISMATCH"}}))
    .await;

    assert!(matches!(error, ConnectError::BadToken));
    assert_eq!(pause_before(error.retry(), 1, 0.5), None);
}

#[tokio::test]
async fn a_connection_without_the_scopes_we_need_is_an_error() {
    let mut hello = hello();
    hello["auth"]["scopes"] = json!(["operator.read"]);

    let error = answered(hello).await;

    assert_eq!(
        error.to_string(),
        "OpenClaw did not grant operator.write, operator.admin"
    );
}

#[tokio::test]
async fn another_protocol_version_is_an_error() {
    let mut hello = hello();
    hello["protocol"] = json!(5);

    assert!(matches!(answered(hello).await, ConnectError::Protocol(_)));
}

#[tokio::test]
async fn a_close_with_try_again_later_means_that_openclaw_is_starting() {
    let error = closed(1013).await;

    assert!(matches!(
        error,
        ConnectError::Unavailable { retry_after: None }
    ));
}

#[tokio::test]
async fn any_other_close_reports_its_code() {
    let error = closed(1008).await;

    assert_eq!(error.retry(), RetryClass::Backoff);
    assert_eq!(
        error.source().unwrap().to_string(),
        "closed by OpenClaw with code 1008"
    );
}

#[tokio::test(start_paused = true)]
async fn a_handshake_without_a_challenge_times_out_after_fifteen_seconds() {
    let (client, _openclaw) = pipe();

    assert!(matches!(
        client.connect().await,
        Err(ConnectError::TimedOut)
    ));
}

#[tokio::test]
async fn an_address_without_a_listener_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint_of(&listener);
    drop(listener);

    let result = AgentConnection::connect(&endpoint, &credentials(), &FrameBudget::default()).await;

    assert!(matches!(result, Err(ConnectError::Unreachable(_))));
}

#[tokio::test]
#[expect(
    clippy::result_large_err,
    reason = "the error type of tungstenite's callback"
)]
async fn the_client_sends_no_origin_header() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = endpoint_of(&listener);

    let greeted = async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut origin = None;
        let socket = accept_hdr_async(stream, |request: &Request, response: Response| {
            origin = request.headers().get("origin").cloned();
            Ok::<_, ErrorResponse>(response)
        })
        .await
        .unwrap();
        let mut openclaw = FakeOpenClaw { socket };
        openclaw.welcome().await;
        (origin, openclaw)
    };
    let (credentials, budget) = (credentials(), FrameBudget::default());
    let (connection, (origin, _openclaw)) = join!(
        AgentConnection::connect(&endpoint, &credentials, &budget),
        greeted
    );

    assert_eq!(connection.unwrap().handle().boot_id(), "boot-1");
    assert_eq!(origin, None);
}

fn recorded_answer(capture: &str) -> frame::Response {
    captures::answers(capture, "connect").remove(0)
}

async fn refused(error: Value) -> ConnectError {
    fails(async |openclaw| {
        let connect = openclaw.challenge().await;
        openclaw.refuse(&connect, error).await;
    })
    .await
}

async fn answered(hello: Value) -> ConnectError {
    fails(async |openclaw| {
        let connect = openclaw.challenge().await;
        openclaw.answer(&connect, hello).await;
    })
    .await
}

async fn closed(code: u16) -> ConnectError {
    fails(async |openclaw| {
        openclaw.challenge().await;
        let frame = CloseFrame {
            code: CloseCode::from(code),
            reason: "because".into(),
        };
        openclaw.socket.close(Some(frame)).await.unwrap();
    })
    .await
}

async fn fails(script: impl AsyncFnOnce(&mut FakeOpenClaw)) -> ConnectError {
    let (client, mut openclaw) = pipe();
    let (result, ()) = join!(client.connect(), script(&mut openclaw));
    result.unwrap_err()
}

fn endpoint_of(listener: &TcpListener) -> Endpoint {
    Endpoint::new(format!("ws://{}", listener.local_addr().unwrap()))
}
