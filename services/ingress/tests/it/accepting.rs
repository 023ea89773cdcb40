use claw_domain::{Address, PhoneNumber};
use claw_testkit::user_of;
use serde_json::{Value, json};

use crate::harness::{Ingress, body, body_to, nats_server, one_text, streams_of, text};

/// The most updates that Meta puts into one webhook.
const BATCH: usize = 1_000;

#[tokio::test]
async fn a_message_is_on_disk_under_its_user_when_meta_gets_its_200() {
    let nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;

    assert_eq!(ingress.post(one_text("wamid.A")).await, 200);

    let phone = PhoneNumber::try_from("+15550000001").unwrap();
    let user = user_of(&Address::Phone(phone));
    let subjects = streams_of(&nats).await.subjects("INBOUND").await;
    assert_eq!(subjects.len(), 1);
    assert!(
        subjects[0].ends_with(&format!(".message.{user}")),
        "{subjects:?}"
    );
}

#[tokio::test]
async fn five_concurrent_copies_of_a_webhook_are_stored_once() {
    let nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;
    let post = || ingress.post(one_text("wamid.A"));

    let statuses = tokio::join!(post(), post(), post(), post(), post());

    assert_eq!(statuses, (200, 200, 200, 200, 200));
    assert_eq!(streams_of(&nats).await.count("INBOUND").await, 1);
}

#[tokio::test]
async fn the_largest_batch_is_stored_completely_and_once() {
    let nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;
    let texts: Vec<Value> = (0..BATCH)
        .map(|number| text(&format!("wamid.{number}")))
        .collect();
    let batch = body(&[json!({"messages": texts})]);

    assert_eq!(ingress.post(batch.clone()).await, 200);
    assert_eq!(ingress.post(batch).await, 200, "the repetition is accepted");

    assert_eq!(streams_of(&nats).await.count("INBOUND").await, BATCH as u64);
}

#[tokio::test]
async fn a_batch_that_overlaps_an_earlier_one_stores_only_the_new_messages() {
    let nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;
    let of = |names: &[&str]| {
        let texts: Vec<Value> = names.iter().map(|name| text(name)).collect();
        body(&[json!({"messages": texts})])
    };

    assert_eq!(ingress.post(of(&["wamid.A", "wamid.B"])).await, 200);
    assert_eq!(
        ingress.post(of(&["wamid.B", "wamid.C", "wamid.C"])).await,
        200
    );

    assert_eq!(streams_of(&nats).await.count("INBOUND").await, 3);
}

#[tokio::test]
async fn a_message_to_another_number_is_acknowledged_and_not_stored() {
    let nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;
    let body = body_to("2000", &[json!({"messages": [text("wamid.A")]})]);

    assert_eq!(ingress.post(body).await, 200);

    let mut streams = streams_of(&nats).await;
    assert_eq!(
        (streams.count("INBOUND").await, streams.count("DEAD").await),
        (0, 0)
    );
}

#[tokio::test]
async fn a_delivery_report_without_a_recipient_is_stored() {
    let nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;
    let failed = json!({"id": "wamid.A", "status": "failed", "errors": [{"code": 131_026}]});

    assert_eq!(
        ingress.post(body(&[json!({"statuses": [failed]})])).await,
        200
    );

    assert_eq!(streams_of(&nats).await.count("STATUS").await, 1);
}

#[tokio::test]
async fn messages_without_a_sender_become_dead_letters_once_and_the_others_are_stored() {
    let nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;
    let without_sender = |wamid: &str| json!({"id": wamid, "type": "text", "text": {"body": "hi"}});
    let mixed = body(&[
        json!({"messages": [without_sender("wamid.A"), text("wamid.B"), without_sender("wamid.C")]}),
    ]);

    assert_eq!(ingress.post(mixed.clone()).await, 200);
    assert_eq!(ingress.post(mixed).await, 200);

    let mut streams = streams_of(&nats).await;
    assert_eq!(
        (streams.count("INBOUND").await, streams.count("DEAD").await),
        (1, 2)
    );
}

#[tokio::test]
async fn a_signed_body_that_is_not_a_notification_becomes_a_dead_letter() {
    let nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;

    for body in ["{\"object\":", "[]"] {
        assert_eq!(ingress.post(body).await, 200);
        assert_eq!(ingress.post(body).await, 200, "the repetition is accepted");
    }

    let mut streams = streams_of(&nats).await;
    assert_eq!(
        (streams.count("INBOUND").await, streams.count("DEAD").await),
        (0, 2)
    );
}

#[tokio::test]
async fn a_message_too_large_for_the_bus_becomes_dead_letters_in_parts() {
    let nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;
    let mut novel = text("wamid.A");
    novel["type"] = json!("novel");
    novel["novel"] = json!("x".repeat(2_500_000));

    let status = ingress
        .post(body(&[json!({"messages": [novel, text("wamid.B")]})]))
        .await;

    let mut streams = streams_of(&nats).await;
    assert_eq!(status, 200);
    assert_eq!(
        (streams.count("INBOUND").await, streams.count("DEAD").await),
        (1, 3)
    );
}

#[tokio::test]
async fn an_account_update_is_acknowledged_and_not_stored() {
    let nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;
    let change = json!({"field": "account_update", "value": {"event": "ACCOUNT_RESTRICTION"}});
    let update = json!({"object": "whatsapp_business_account", "entry": [{"changes": [change]}]});

    assert_eq!(ingress.post(update.to_string()).await, 200);

    assert_eq!(streams_of(&nats).await.count("INBOUND").await, 0);
}

#[tokio::test]
async fn the_webhook_can_be_subscribed_only_with_our_token() {
    let nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;
    let subscribe = async |query: &str| ingress.get(&format!("/whatsapp/webhook?{query}")).await;

    let right =
        subscribe("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=vibecoding").await;
    let wrong =
        subscribe("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=nope").await;
    let malformed = subscribe("hub.challenge=1158201444&hub.verify_token=vibecoding").await;

    assert_eq!(right, (200, "1158201444".to_owned()));
    assert_eq!(wrong, (403, String::new()));
    assert_eq!(malformed, (400, String::new()));
}
