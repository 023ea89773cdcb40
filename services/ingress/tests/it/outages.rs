use std::sync::Arc;

use claw_testkit::eventually;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
};

use crate::harness::{Door, bus, look_into, one_text, signed};

/// Enough that some are under way whenever the bus dies.
const MESSAGES: u64 = 200;

#[tokio::test]
async fn without_the_bus_meta_is_asked_to_come_back_and_then_nothing_is_missing() {
    let mut nats = bus().await;
    let door = Door::open(&nats).await;
    assert_eq!(door.post(one_text("wamid.before")).await, 200);

    nats.kill().await.unwrap();
    let body = one_text("wamid.during");
    let signature = signed(&body);
    let answer = door.post_signed(body.clone(), &signature).await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));

    nats.start_again().await.unwrap();
    eventually("the repetition is taken", async || {
        door.post(body.clone()).await == 200
    })
    .await;
    assert_eq!(look_into(&nats).await.count("INBOUND").await, 2);
}

#[tokio::test]
async fn every_message_sent_through_a_crash_of_the_bus_is_stored_once() {
    let mut nats = bus().await;
    let door = Arc::new(Door::open(&nats).await);
    let (sent, mut progress) = watch::channel(0);
    let meta = tokio::spawn({
        let door = Arc::clone(&door);
        async move {
            for number in 1..=MESSAGES {
                // As Meta does: again until there is a 200.
                while door.post(one_text(&format!("wamid.{number}"))).await != 200 {}
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

    assert_eq!(look_into(&nats).await.count("INBOUND").await, MESSAGES);
}

#[tokio::test]
async fn readiness_follows_the_bus_and_life_does_not() {
    let mut nats = bus().await;
    let door = Door::open(&nats).await;
    assert_eq!(door.get("/readyz").await.0, 200);

    nats.kill().await.unwrap();

    let (status, body) = door.get("/readyz").await;
    assert_eq!((status, body.contains("\"bus\"")), (503, true), "{body}");
    assert_eq!(door.get("/healthz").await.0, 200);
    nats.start_again().await.unwrap();
    eventually("it is ready again", async || {
        door.get("/readyz").await.0 == 200
    })
    .await;
}

#[tokio::test]
async fn a_request_under_way_is_answered_after_the_door_has_closed() {
    let nats = bus().await;
    let mut door = Door::open(&nats).await;
    let body = one_text("wamid.A");
    let mut meta = announce(&door, &body).await;

    door.tell_to_stop();
    let address = door.address;
    eventually("nobody new is let in", async || {
        TcpStream::connect(address).await.is_err()
    })
    .await;
    meta.write_all(&body).await.unwrap();

    let mut answer = String::new();
    meta.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    door.ended().await.unwrap();
    assert_eq!(look_into(&nats).await.count("INBOUND").await, 1);
}

/// Sends a request's head and returns once ingress waits for its body.
async fn announce(door: &Door, body: &[u8]) -> TcpStream {
    let mut meta = TcpStream::connect(door.address).await.unwrap();
    let head = format!(
        "POST /whatsapp/webhook HTTP/1.1\r\nHost: ingress\r\nExpect: 100-continue\r\n\
         X-Hub-Signature-256: {}\r\nContent-Length: {}\r\n\r\n",
        signed(body),
        body.len(),
    );
    meta.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    meta.read_exact(&mut go_on).await.unwrap();
    assert!(go_on.starts_with(b"HTTP/1.1 100"), "{go_on:?}");
    meta
}
