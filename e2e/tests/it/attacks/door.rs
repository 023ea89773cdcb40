//! Strangers who send requests to the public address.

use claw_metrics::REQUEST_BODY_BYTES;
use claw_runtime::{HttpTimeouts, http};
use claw_testkit::eventually;
use claw_twilio::signature as twilio;
use claw_whatsapp::signature as meta;
use e2e::{
    harness::{Service, World},
    strangers::{FALSE_META_SIGNATURE, FALSE_TWILIO_SIGNATURE, HalfOpenPosts},
    webhooks::WebhookSender,
};
use futures_util::{StreamExt, stream};
use reqwest::{Method, StatusCode};

use crate::crowd::Crowd;

/// Posts that strangers hold open.
const HALF_OPEN: u16 = 500;

/// Most of what strangers may hold, in bytes.
const STRANGERS_BYTES: f64 = 6.0 * 1024.0 * 1024.0;

/// The memory for bodies of strangers, and of the webhooks that arrive at the same time, in bytes.
const BODIES_LIMIT_BYTES: f64 = 9.0 * 1024.0 * 1024.0;

/// Webhooks that Meta sends meanwhile, and how many at once.
const WEBHOOKS: u32 = 300;
const AT_ONCE: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn strangers_with_half_open_posts_keep_no_webhook_out() {
    let world = Crowd::world().await;
    let _posts = HalfOpenPosts::open(&world.public_url(), HALF_OPEN)
        .await
        .unwrap();
    eventually("strangers hold most of their memory", async || {
        metric(&world, REQUEST_BODY_BYTES.name()).await >= STRANGERS_BYTES
    })
    .await;

    assert_none_is_refused(&world).await;

    assert!(metric(&world, REQUEST_BODY_BYTES.name()).await <= BODIES_LIMIT_BYTES);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_whose_posts_are_refused_do_not_make_ingress_look_broken() {
    let world = Crowd::world().await;
    let strangers = stream::iter(0..400_u32).map(|number| {
        // Kept by Caddy until it is complete, or handed on as it arrives.
        let bytes = if number % 2 == 0 { 90_000 } else { 900_000 };
        stranger_posts(&world, "/whatsapp/webhook", vec![b' '; bytes])
    });
    let strangers = strangers.buffer_unordered(64).collect::<Vec<_>>();

    let (answers, ()) = tokio::join!(strangers, assert_none_is_refused(&world));

    let is_refusal = |status: &StatusCode| {
        [StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS].contains(status)
    };
    assert!(answers.iter().all(is_refusal), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_fill_the_log_with_refusals() {
    let world = Crowd::world().await;

    for _ in 0..100 {
        for path in ["/whatsapp/webhook", "/voice/webhook/voice"] {
            let status = stranger_posts(&world, path, b"{}".to_vec()).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{path}");
        }
        assert_eq!(stranger_upgrades(&world).await, StatusCode::FORBIDDEN);
    }

    let log = world.log_of(Service::Ingress);
    let lines = log
        .lines()
        .filter(|line| line.contains("refused a request"));
    assert_eq!(lines.count(), 2, "{log}");
}

/// Meta sends webhooks, and gets a 200 for each.
async fn assert_none_is_refused(world: &World) {
    let sender = WebhookSender::to(world.webhook_url());
    let posts = stream::iter(0..WEBHOOKS).map(|number| sender.post(number));
    let statuses: Vec<_> = posts.buffer_unordered(AT_ONCE).collect().await;
    for status in statuses {
        assert_eq!(status.unwrap(), StatusCode::OK);
    }
}

async fn stranger_posts(world: &World, path: &str, body: Vec<u8>) -> StatusCode {
    let request = stranger(world, Method::POST, path).body(body);
    request.send().await.unwrap().status()
}

async fn stranger_upgrades(world: &World) -> StatusCode {
    let request = stranger(world, Method::GET, "/voice/relay")
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==");
    request.send().await.unwrap().status()
}

fn stranger(world: &World, method: Method, path: &str) -> reqwest::RequestBuilder {
    http::client(HttpTimeouts::default())
        .request(method, format!("{}{path}", world.public_url()))
        .header(meta::HEADER, FALSE_META_SIGNATURE)
        .header(twilio::HEADER, FALSE_TWILIO_SIGNATURE)
}

async fn metric(world: &World, name: &str) -> f64 {
    world
        .metric_of(Service::Ingress, name)
        .await
        .unwrap_or_default()
}
