//! The repository's Caddyfile in the real Caddy, in front of stub replicas of ingress.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(
    clippy::unwrap_used,
    reason = "a panic fails the test; clippy allows it only inside the test function itself"
)]

mod harness;

use std::process::Stdio;

use claw_testkit::eventually;
use harness::{Behaviour, Proxy, WEBHOOKS};
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Values that only a secret of a request holds.
const SECRETS: [&str; 4] = ["TOKEN", "STATE", "SIGNATURE", "4915112345678"];

/// A body larger than Twilio's, and larger than one read of a socket.
const BODY_BYTES: usize = 200_000;

#[tokio::test]
async fn a_webhook_whose_replica_dies_is_answered_by_another() {
    assert_another_answers_if_one(Behaviour::Dies).await;
}

#[tokio::test]
async fn a_webhook_that_a_replica_cannot_take_is_answered_by_another() {
    assert_another_answers_if_one(Behaviour::IsUnavailable).await;
}

#[tokio::test]
async fn a_webhook_that_no_replica_can_take_is_answered_with_503() {
    let proxy = Proxy::start().await;
    proxy.all_replicas(Behaviour::IsUnavailable);

    let answer = proxy.post(WEBHOOKS[0], "message").await;

    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(proxy.replicas.iter().all(|replica| replica.requests() > 0));
}

#[tokio::test]
async fn a_body_that_is_too_large_or_incomplete_reaches_no_replica() {
    let proxy = Proxy::start().await;
    let too_large = vec![b'x'; 3 * 1024 * 1024 + 1];
    let cut_short = "POST /whatsapp/webhook HTTP/1.1\r\nHost: api\r\nContent-Length: 9\r\n\r\nhalf";

    for path in WEBHOOKS {
        let answer = proxy.post(path, too_large.clone()).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    }
    let mut sender = proxy.connect().await;
    sender.write_all(cut_short.as_bytes()).await.unwrap();
    sender.shutdown().await.unwrap();
    let _rest = sender.read_to_end(&mut Vec::new()).await;

    eventually("Caddy logs the request that was cut short", || async {
        proxy.log().contains("\"bytes_read\":4,")
    })
    .await;
    assert!(proxy.replicas.iter().all(|replica| replica.requests() == 0));
}

#[tokio::test]
async fn nothing_that_a_sender_says_about_itself_is_handed_on() {
    let proxy = Proxy::start().await;
    let forged = [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "Forwarded",
        "X-Real-IP",
        "X-Request-Id",
    ];
    let request = forged
        .iter()
        .fold(proxy.request(Method::POST, WEBHOOKS[0]), |request, name| {
            request.header(*name, "forged")
        });

    request.send().await.unwrap();

    let head = proxy.received();
    assert!(!head.contains("forged"), "{head}");
    assert!(head.contains("X-Forwarded-For: 127.0.0.1\r\n"), "{head}");
    let id = head.split("X-Request-Id: ").nth(1).unwrap();
    let id = format!("\"uuid\":\"{}\"", id.split('\r').next().unwrap());
    eventually("Caddy's log has the id of the request", || async {
        proxy.log().contains(&id)
    })
    .await;
}

#[tokio::test]
async fn no_log_contains_a_query_a_signature_a_token_or_a_port_of_a_sender() {
    let proxy = Proxy::start().await;
    let behaviours = [
        Behaviour::Answers,
        Behaviour::AnswersInPart,
        Behaviour::Dies,
    ];

    for behaviour in behaviours {
        proxy.all_replicas(behaviour);
        let path = "/whatsapp/webhook?hub.verify_token=TOKEN&state=STATE";
        let request = proxy.request(Method::POST, path);
        let request = request
            .header("X-Hub-Signature-256", "SIGNATURE")
            .header("X-Twilio-Signature", "SIGNATURE")
            .header("Authorization", "TOKEN")
            .header("X-Anything", "4915112345678");
        let _answer = request.send().await;
    }
    let console = proxy.request(Method::GET, "/?session=TOKEN");
    let console = console.header("Host", "console.localhost").send().await;

    assert_eq!(console.unwrap().status(), StatusCode::BAD_GATEWAY);
    let log = proxy.log();
    for kind in [
        "handled request",
        "connection refused",
        "incomplete response",
    ] {
        assert!(log.contains(kind), "{kind} is not in {log}");
    }
    for secret in SECRETS
        .into_iter()
        .chain(["remote_port", "127.0.0.1\",\"proto"])
    {
        assert!(!log.contains(secret), "{secret} is in {log}");
    }
}

#[tokio::test]
async fn a_websocket_stays_open_while_caddy_is_reloaded() {
    let proxy = Proxy::start().await;
    let mut socket = proxy.connect().await;
    let upgrade = "GET /voice/relay HTTP/1.1\r\nHost: api\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Key: AAAA\r\n\r\n";
    socket.write_all(upgrade.as_bytes()).await.unwrap();
    let head = harness::read_head(&mut socket).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");

    let mut reload = proxy.caddy("reload");
    let file = std::fs::File::open(harness::caddyfile()).unwrap();
    reload
        .args(["--config", "-", "--force"])
        .stdin(Stdio::from(file));
    let output = reload.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    // The old configuration is gone when its admin endpoint is.
    eventually("the old configuration has stopped", || async {
        proxy.log().contains("stopped previous server")
    })
    .await;

    socket.write_all(b"still here").await.unwrap();
    let mut echo = [0; 10];
    socket.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"still here");
}

#[tokio::test]
async fn all_paths_but_those_of_webhooks_and_calls_are_404() {
    let proxy = Proxy::start().await;

    for path in [
        "/",
        "/metrics",
        "/healthz",
        "/readyz",
        "/voice",
        "/whatsapp",
    ] {
        let answer = proxy.request(Method::GET, path).send().await.unwrap();

        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{path}");
    }
    assert!(proxy.replicas.iter().all(|replica| replica.requests() == 0));
}

#[tokio::test]
async fn every_answer_forbids_guessing_its_type_and_names_no_server() {
    let proxy = Proxy::start().await;
    let served = proxy.post(WEBHOOKS[0], "message").await;
    let unknown = proxy.post("/unknown", "").await;
    let refused = proxy.post(WEBHOOKS[0], vec![0; 5 * 1024 * 1024]).await;
    proxy.all_replicas(Behaviour::Dies);
    let failed = proxy.post(WEBHOOKS[0], "message").await;

    for answer in [served, unknown, refused, failed] {
        let headers = answer.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff", "{answer:?}");
        assert!(!headers.contains_key("server"), "{answer:?}");
    }
}

#[tokio::test]
async fn the_health_site_answers_while_caddy_runs() {
    let proxy = Proxy::start().await;

    let request = proxy.request(Method::GET, "/");
    let answer = request.header("Host", "health.localhost").send().await;

    assert_eq!(answer.unwrap().status(), StatusCode::OK);
}

/// Sends webhooks until one of them has reached a replica of this behaviour; another must have answered each.
async fn assert_another_answers_if_one(behaviour: Behaviour) {
    for path in WEBHOOKS {
        let proxy = Proxy::start().await;
        let [failing, working] = &proxy.replicas;
        failing.behave(behaviour);
        let mut sent = 0;

        while failing.requests() == 0 {
            let answer = proxy.post(path, vec![b'x'; BODY_BYTES]).await;
            assert_eq!(answer.status(), StatusCode::OK, "{path}: {}", proxy.log());
            sent += 1;
        }

        assert_eq!(working.requests(), sent);
        assert_eq!(working.complete_bodies(), sent);
    }
}
