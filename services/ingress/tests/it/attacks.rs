//! What strangers who send requests to ingress fail to do.

use ingress::Config;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::harness::{Ingress, body, nats_server, one_text, signed, streams_of, text};

/// The form of Meta's signature, but nobody made it with our secret.
const FALSE_SIGNATURE: &str =
    "sha256=00000000000000000000000000000000000000000000000000000000deadbeef";

/// The most unverified requests of one peer, and of all peers.
const PEER_REQUESTS: usize = 32;
const ALL_REQUESTS: usize = 256;

/// The largest body that ingress accepts.
const LARGEST_BYTES: usize = 3 * 1024 * 1024;

#[tokio::test]
async fn posts_that_announce_large_bodies_keep_nobody_out() {
    let nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;
    let mut strangers = Strangers::default();
    for number in 0..500 {
        let from = format!("198.51.{}.{}", number / 250, number % 250);
        let post = half_open(&ingress, &from, FALSE_SIGNATURE, LARGEST_BYTES, b"{").await;
        strangers.push(post);
    }

    for _ in ALL_REQUESTS..500 {
        assert_eq!(strangers.next_answer().await, 429);
    }
    for number in 0..50 {
        assert_eq!(
            ingress.post(one_text(&format!("wamid.{number}"))).await,
            200
        );
    }
    let mut novel = text("wamid.large");
    novel["text"]["body"] = json!("x".repeat(900_000));
    assert_eq!(
        ingress.post(body(&[json!({"messages": [novel]})])).await,
        200
    );
    assert_eq!(streams_of(&nats).await.count("INBOUND").await, 51);
}

#[tokio::test]
async fn one_stranger_holds_no_more_than_its_share_and_meta_none_of_its_loss() {
    let nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;
    let mut strangers = Strangers::default();
    for _ in 0..=PEER_REQUESTS {
        let post = half_open(&ingress, "198.51.100.7", FALSE_SIGNATURE, 10, b"{").await;
        strangers.push(post);
    }

    assert_eq!(strangers.next_answer().await, 429);
    assert_eq!(ingress.post(one_text("wamid.A")).await, 200);
    let mut other = half_open(&ingress, "198.51.100.8", FALSE_SIGNATURE, 1, b"{").await;
    assert_eq!(status(&mut other).await, 403);
}

#[tokio::test]
async fn a_peer_that_has_proven_itself_has_no_share_that_others_could_use_up() {
    let nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;
    let body = one_text("wamid.A");
    let mut proof = half_open(&ingress, "198.51.100.7", &signed(&body), body.len(), &body).await;
    assert_eq!(status(&mut proof).await, 200);

    let body = one_text("wamid.B");
    let mut slow = Vec::new();
    for _ in 0..=PEER_REQUESTS {
        slow.push(half_open(&ingress, "198.51.100.7", &signed(&body), body.len(), b"").await);
    }
    for connection in &mut slow {
        connection.write_all(&body).await.unwrap();
        assert_eq!(status(connection).await, 200);
    }
}

#[tokio::test]
async fn a_stranger_cannot_pass_for_many_peers() {
    let nats = nats_server().await;
    let ingress = Ingress::start_with(Config {
        trusted_proxies: "203.0.113.1".parse().unwrap(),
        ..Ingress::config(&nats)
    })
    .await;
    let mut strangers = Strangers::default();
    for number in 0..=PEER_REQUESTS {
        let from = format!("198.51.100.{number}");
        strangers.push(half_open(&ingress, &from, FALSE_SIGNATURE, 10, b"{").await);
    }

    assert_eq!(strangers.next_answer().await, 429);
}

#[tokio::test]
async fn a_header_that_is_no_signature_gets_no_place() {
    let nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;
    let mut strangers = Strangers::default();
    for _ in 0..=PEER_REQUESTS {
        let post = half_open(&ingress, "198.51.100.7", "sha256=0", LARGEST_BYTES, b"{").await;
        strangers.push(post);
    }

    // Nothing more of the bodies has to arrive.
    for _ in 0..=PEER_REQUESTS {
        assert_eq!(strangers.next_answer().await, 403);
    }
}

/// Connections on which a stranger waits for an answer.
#[derive(Default)]
struct Strangers(JoinSet<(u16, TcpStream)>);

impl Strangers {
    fn push(&mut self, mut post: TcpStream) {
        self.0.spawn(async move { (status(&mut post).await, post) });
    }

    /// The status of the next answer to any of them.
    async fn next_answer(&mut self) -> u16 {
        self.0.join_next().await.unwrap().unwrap().0
    }
}

/// Sends the head of a post that Caddy names as coming from this address, and a part of the body.
async fn half_open(
    ingress: &Ingress,
    from: &str,
    signature: &str,
    announced: usize,
    part: &[u8],
) -> TcpStream {
    let mut stream = TcpStream::connect(ingress.address).await.unwrap();
    let head = format!(
        "POST /whatsapp/webhook HTTP/1.1\r\nHost: ingress\r\nX-Forwarded-For: {from}\r\n\
         X-Hub-Signature-256: {signature}\r\nContent-Length: {announced}\r\n\r\n"
    );
    stream
        .write_all(&[head.as_bytes(), part].concat())
        .await
        .unwrap();
    stream
}

/// The status of the answer, when it arrives.
async fn status(stream: &mut TcpStream) -> u16 {
    let mut line = [0; "HTTP/1.1 200".len()];
    stream.read_exact(&mut line).await.unwrap();
    String::from_utf8_lossy(&line["HTTP/1.1 ".len()..])
        .parse()
        .unwrap()
}
