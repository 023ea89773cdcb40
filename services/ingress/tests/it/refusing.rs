use claw_domain::UserIdKey;
use ingress::App;

use crate::harness::{Ingress, nats_server, nats_server_without_key, one_text, signed, streams_of};

/// Largest body that ingress accepts.
const LIMIT_BYTES: usize = 3 * 1024 * 1024;

#[tokio::test]
async fn a_body_that_meta_did_not_sign_is_refused_and_not_stored() {
    let nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;
    let body = one_text("wamid.A");
    let good = signed(&body);
    let of_another_body = signed(b"{}");

    for signature in [&of_another_body, "", "sha256=", &good["sha256=".len()..]] {
        let response = ingress.post_signed(body.clone(), signature).await;
        assert_eq!(response.status(), 403, "{signature:?}");
    }
    assert_eq!(ingress.post_unsigned(body).await, 403);

    let mut streams = streams_of(&nats).await;
    assert_eq!(
        (streams.count("INBOUND").await, streams.count("DEAD").await),
        (0, 0)
    );
}

#[tokio::test]
async fn a_body_at_the_limit_is_accepted_and_one_byte_more_is_refused() {
    let nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;

    assert_eq!(ingress.post(padded("wamid.A", 3_000_000)).await, 200);
    assert_eq!(ingress.post(padded("wamid.B", LIMIT_BYTES)).await, 200);
    assert_eq!(ingress.post(padded("wamid.C", LIMIT_BYTES + 1)).await, 413);

    assert_eq!(streams_of(&nats).await.count("INBOUND").await, 2);
}

#[tokio::test]
async fn unknown_paths_and_incomplete_subscriptions_are_refused() {
    let nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;

    assert_eq!(ingress.get("/").await.0, 404);
    assert_eq!(ingress.get("/whatsapp/webhook").await.0, 400);
}

fn padded(wamid: &str, bytes: usize) -> Vec<u8> {
    let mut body = one_text(wamid);
    body.resize(bytes, b' ');
    body
}

#[tokio::test]
async fn ingress_does_not_start_with_another_key_of_user_ids_than_the_one_it_began_with() {
    let nats = nats_server().await;
    let mut config = Ingress::config(&nats);
    config.keys.user_ids = UserIdKey::parse(&"0".repeat(64)).unwrap();

    let error = App::build(config).await.err().unwrap().to_string();

    assert!(error.contains("every user would be a stranger"), "{error}");
    Ingress::start(&nats).await;
}

#[tokio::test]
async fn ingress_does_not_start_before_its_key_of_user_ids_is_recorded() {
    let nats = nats_server_without_key().await;

    let error = App::build(Ingress::config(&nats)).await.err().unwrap();

    assert!(error.to_string().contains("clawkaka bus ensure"), "{error}");
}
