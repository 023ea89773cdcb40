use std::sync::Arc;

use claw_testkit::eventually;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

use crate::harness::{Ingress, nats_server, one_text, signed, streams_of};

/// Enough messages that some are in progress when the server is killed.
const MESSAGES: u64 = 200;

#[tokio::test]
async fn while_nats_is_down_meta_is_asked_to_retry_and_no_message_is_lost() {
    let mut nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;
    assert_eq!(ingress.post(one_text("wamid.before")).await, 200);

    nats.kill().await.unwrap();
    let body = one_text("wamid.during");
    let signature = signed(&body);
    let answer = ingress.post_signed(body.clone(), &signature).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));

    nats.start_again().await.unwrap();
    eventually("the repetition is accepted", async || {
        ingress.post(body.clone()).await == 200
    })
    .await;
    assert_eq!(streams_of(&nats).await.count("INBOUND").await, 2);
}

#[tokio::test]
async fn every_message_sent_during_a_crash_of_nats_is_stored_once() {
    let mut nats = nats_server().await;
    let ingress = Arc::new(Ingress::start(&nats).await);
    let (sent, mut progress) = watch::channel(0);
    let meta = tokio::spawn({
        let ingress = Arc::clone(&ingress);
        async move {
            for number in 1..=MESSAGES {
                // Meta repeats a webhook until it gets a 200.
                while ingress.post(one_text(&format!("wamid.{number}"))).await != 200 {}
                sent.send_replace(number);
            }
        }
    });

    progress
        .wait_for(|sent| *sent >= MESSAGES / 4)
        .await
        .unwrap();
    nats.kill().await.unwrap();
    nats.start_again().await.unwrap();
    meta.await.unwrap();

    assert_eq!(streams_of(&nats).await.count("INBOUND").await, MESSAGES);
}

#[tokio::test]
async fn without_nats_the_service_is_live_but_not_ready() {
    let mut nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;
    assert_eq!(ingress.get("/readyz").await.0, 200);

    nats.kill().await.unwrap();

    let (status, body) = ingress.get("/readyz").await;
    assert_eq!((status, body.contains("\"nats\"")), (503, true), "{body}");
    assert_eq!(ingress.get("/healthz").await.0, 200);
    nats.start_again().await.unwrap();
    eventually("it is ready again", async || {
        ingress.get("/readyz").await.0 == 200
    })
    .await;
}

#[tokio::test]
async fn a_stopping_service_answers_a_request_in_progress_and_accepts_no_others() {
    let nats = nats_server().await;
    let mut ingress = Ingress::start(&nats).await;
    let body = one_text("wamid.A");
    let mut meta = send_head(&ingress, &body).await;

    ingress.tell_to_stop();
    let address = ingress.address;
    eventually("connections are refused", async || {
        TcpStream::connect(address).await.is_err()
    })
    .await;
    meta.write_all(&body).await.unwrap();

    let mut answer = String::new();
    meta.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    ingress.ended().await.unwrap();
    assert_eq!(streams_of(&nats).await.count("INBOUND").await, 1);
}

/// Sends the head of a request, and returns when ingress waits for its body.
async fn send_head(ingress: &Ingress, body: &[u8]) -> TcpStream {
    let mut meta = TcpStream::connect(ingress.address).await.unwrap();
    let head = format!(
        "POST /whatsapp/webhook HTTP/1.1\r\nHost: ingress\r\nExpect: 100-continue\r\n\
         X-Hub-Signature-256: {}\r\nContent-Length: {}\r\n\r\n",
        signed(body),
        body.len(),
    );
    meta.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    meta.read_exact(&mut interim).await.unwrap();
    assert!(interim.starts_with(b"HTTP/1.1 100"), "{interim:?}");
    meta
}
