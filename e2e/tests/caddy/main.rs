//! The repository's Caddyfile in the real Caddy, in front of stub replicas of ingress.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod harness;

use std::process::Stdio;

use claw_testkit::eventually;
use harness::{Behaviour, META_SIGNATURE, Proxy, TWILIO_SIGNATURE, WEBHOOKS};
use reqwest::{Method, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Values that only a secret of a request holds.
const SECRETS: [&str; 5] = ["TOKEN", "STATE", "5ec2e7", "5ecRe7", "4915112345678"];

/// A body larger than Twilio's, and larger than one read of a socket.
const BODY_BYTES: usize = 90_000;

/// A body that is not kept until it is complete.
const LARGE_BODY_BYTES: usize = 900_000;

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
async fn a_body_that_is_cut_short_reaches_no_replica() {
    let proxy = Proxy::start().await;

    for path in WEBHOOKS {
        let mut sender = proxy.half_open(path, 9, b"half").await;
        sender.shutdown().await.unwrap();
        let _rest = sender.read_to_end(&mut Vec::new()).await;
    }

    eventually("Caddy logs the requests that were cut short", || async {
        proxy.log().matches("\"bytes_read\":4,").count() == WEBHOOKS.len()
    })
    .await;
    assert!(proxy.replicas.iter().all(|replica| replica.requests() == 0));
}

#[tokio::test]
async fn a_stranger_s_large_body_that_is_cut_short_or_too_large_makes_no_replica_look_broken() {
    let proxy = Proxy::start().await;

    for _ in 0..10 {
        let mut sender = proxy
            .half_open(WEBHOOKS[0], LARGE_BODY_BYTES, b"half")
            .await;
        sender.shutdown().await.unwrap();
        let _rest = sender.read_to_end(&mut Vec::new()).await;
        for path in WEBHOOKS {
            let too_large = vec![b'x'; 3 * 1024 * 1024 + 1];
            let answer = proxy.post(path, too_large).await;
            assert!(answer.status().is_client_error(), "{path}: {answer:?}");
        }
        let answer = proxy.post(WEBHOOKS[0], "message").await;
        assert_eq!(answer.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_large_body_is_handed_on_before_it_is_complete() {
    let proxy = Proxy::start().await;
    let (rest, part) = (vec![b'x'; LARGE_BODY_BYTES - 4], b"half");

    let mut sender = proxy.half_open(WEBHOOKS[0], LARGE_BODY_BYTES, part).await;
    eventually("a replica has the head", || async {
        proxy.replicas.iter().any(|replica| replica.requests() == 1)
    })
    .await;
    sender.write_all(&rest).await.unwrap();

    let head = harness::read_head(&mut sender).await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

#[tokio::test]
async fn without_a_signature_of_the_right_form_no_body_is_read() {
    let proxy = Proxy::start().await;

    for path in WEBHOOKS {
        for (name, value) in [
            ("X-Hub-Signature-256", ""),
            ("X-Hub-Signature-256", "sha256=0"),
            ("X-Hub-Signature-256", &META_SIGNATURE["sha256=".len()..]),
            ("X-Twilio-Signature", "SIGNATURE"),
            ("X-Twilio-Signature", &TWILIO_SIGNATURE[1..]),
        ] {
            let mut sender = proxy.connect().await;
            let head = format!(
                "POST {path} HTTP/1.1\r\nHost: api\r\n{name}: {value}\r\nContent-Length: 9\r\n\r\n"
            );
            sender.write_all(head.as_bytes()).await.unwrap();
            let head = harness::read_head(&mut sender).await.unwrap();
            assert!(head.starts_with("HTTP/1.1 403"), "{path} {name}: {head}");
        }
    }
    assert!(proxy.replicas.iter().all(|replica| replica.requests() == 0));
}

#[tokio::test]
async fn a_flood_of_refused_requests_writes_few_lines_and_every_answered_one_has_its_own() {
    let proxy = Proxy::start().await;
    let unsigned = async |path: &str| proxy.request(Method::POST, path).send().await.unwrap();

    for _ in 0..100 {
        assert_eq!(unsigned(WEBHOOKS[0]).await.status(), StatusCode::FORBIDDEN);
        assert_eq!(unsigned("/unknown").await.status(), StatusCode::NOT_FOUND);
    }
    proxy.all_replicas(Behaviour::Refuses);
    for _ in 0..100 {
        let answer = proxy.post(WEBHOOKS[0], "message").await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()["retry-after"], "5");
    }
    proxy.all_replicas(Behaviour::Answers);
    for _ in 0..100 {
        proxy.post(WEBHOOKS[0], "message").await;
    }

    eventually("Caddy logs every answer", || async {
        proxy.log().matches("\"status\":200,").count() == 100
    })
    .await;
    let lines = proxy.log().matches("handled request").count();
    assert!(lines <= 100 + 21, "{lines}");
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
        .fold(proxy.signed(WEBHOOKS[0]), |request, name| {
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
        for bytes in [BODY_BYTES, LARGE_BODY_BYTES] {
            let request = proxy.signed(path).body(vec![b'x'; bytes]);
            let request = request
                .header("Authorization", "TOKEN")
                .header("X-Anything", "4915112345678");
            let _answer = request.send().await;
        }
    }
    let refused = proxy.request(Method::POST, "/whatsapp/webhook?state=STATE");
    let refused = refused.header("X-Hub-Signature-256", "TOKEN").send().await;
    assert_eq!(refused.unwrap().status(), StatusCode::FORBIDDEN);
    let path = "/whatsapp/webhook?state=STATE";
    let mut sender = proxy.half_open(path, LARGE_BODY_BYTES, b"half").await;
    sender.shutdown().await.unwrap();
    let _rest = sender.read_to_end(&mut Vec::new()).await;
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
        Upgrade: websocket\r\nSec-WebSocket-Key: AAAA\r\nX-Twilio-Signature: ";
    let upgrade = format!("{upgrade}{TWILIO_SIGNATURE}\r\n\r\n");
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
async fn every_answer_forbids_what_a_browser_could_do_with_it_and_names_no_server() {
    let proxy = Proxy::start().await;
    let unsigned = proxy.request(Method::POST, WEBHOOKS[0]).send().await;
    let unsigned = unsigned.unwrap();
    let served = proxy.post(WEBHOOKS[0], "message").await;
    let unknown = proxy.post("/unknown", "").await;
    let refused = proxy.post(WEBHOOKS[0], vec![0; 5 * 1024 * 1024]).await;
    proxy.all_replicas(Behaviour::Dies);
    let failed = proxy.post(WEBHOOKS[0], "message").await;

    for answer in [served, unknown, refused, failed, unsigned] {
        let headers = answer.headers();
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
            ("strict-transport-security", "max-age=31536000"),
            ("cache-control", "no-store"),
            (
                "content-security-policy",
                "default-src 'none'; frame-ancestors 'none'",
            ),
        ] {
            assert_eq!(headers[name], value, "{answer:?}");
        }
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
