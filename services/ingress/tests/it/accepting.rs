use claw_domain::UserId;
use serde_json::{Value, json};

use crate::harness::{Door, body, body_to, bus, look_into, one_text, text};

/// Most updates Meta puts into one webhook.
const BATCH: usize = 1_000;

#[tokio::test]
async fn a_message_is_on_disk_under_its_person_when_meta_gets_its_200() {
    let nats = bus().await;
    let door = Door::open(&nats).await;

    assert_eq!(door.post(one_text("wamid.A")).await, 200);

    let user = UserId::derived_from("+15550000001");
    let subjects = look_into(&nats).await.subjects("INBOUND").await;
    assert_eq!(subjects.len(), 1);
    assert!(
        subjects[0].ends_with(&format!(".message.{user}")),
        "{subjects:?}"
    );
}

#[tokio::test]
async fn the_same_webhook_five_times_at_once_is_stored_once() {
    let nats = bus().await;
    let door = Door::open(&nats).await;
    let again = || door.post(one_text("wamid.A"));

    let statuses = tokio::join!(again(), again(), again(), again(), again());

    assert_eq!(statuses, (200, 200, 200, 200, 200));
    assert_eq!(look_into(&nats).await.count("INBOUND").await, 1);
}

#[tokio::test]
async fn the_largest_batch_is_stored_whole_and_once() {
    let nats = bus().await;
    let door = Door::open(&nats).await;
    let texts: Vec<Value> = (0..BATCH)
        .map(|number| text(&format!("wamid.{number}")))
        .collect();
    let batch = body(&[json!({"messages": texts})]);

    assert_eq!(door.post(batch.clone()).await, 200);
    assert_eq!(door.post(batch).await, 200, "the repetition");

    assert_eq!(look_into(&nats).await.count("INBOUND").await, BATCH as u64);
}

#[tokio::test]
async fn a_batch_that_overlaps_an_earlier_one_adds_only_what_is_new() {
    let nats = bus().await;
    let door = Door::open(&nats).await;
    let of = |names: &[&str]| {
        let texts: Vec<Value> = names.iter().map(|name| text(name)).collect();
        body(&[json!({"messages": texts})])
    };

    assert_eq!(door.post(of(&["wamid.A", "wamid.B"])).await, 200);
    assert_eq!(door.post(of(&["wamid.B", "wamid.C", "wamid.C"])).await, 200);

    assert_eq!(look_into(&nats).await.count("INBOUND").await, 3);
}

#[tokio::test]
async fn what_came_to_another_number_is_acknowledged_and_left_alone() {
    let nats = bus().await;
    let door = Door::open(&nats).await;
    let body = body_to("2000", &[json!({"messages": [text("wamid.A")]})]);

    assert_eq!(door.post(body).await, 200);

    let mut streams = look_into(&nats).await;
    assert_eq!(
        (streams.count("INBOUND").await, streams.count("DEAD").await),
        (0, 0)
    );
}

#[tokio::test]
async fn a_report_about_nobody_is_stored_all_the_same() {
    let nats = bus().await;
    let door = Door::open(&nats).await;
    let failed = json!({"id": "wamid.A", "status": "failed", "errors": [{"code": 131_026}]});

    assert_eq!(door.post(body(&[json!({"statuses": [failed]})])).await, 200);

    assert_eq!(look_into(&nats).await.count("INBOUND").await, 1);
}

#[tokio::test]
async fn messages_of_nobody_are_set_aside_once_and_do_not_hold_the_others_up() {
    let nats = bus().await;
    let door = Door::open(&nats).await;
    let nobody = |wamid: &str| json!({"id": wamid, "type": "text", "text": {"body": "hi"}});
    let mixed =
        body(&[json!({"messages": [nobody("wamid.A"), text("wamid.B"), nobody("wamid.C")]})]);

    assert_eq!(door.post(mixed.clone()).await, 200);
    assert_eq!(door.post(mixed).await, 200);

    let mut streams = look_into(&nats).await;
    assert_eq!(
        (streams.count("INBOUND").await, streams.count("DEAD").await),
        (1, 2)
    );
}

#[tokio::test]
async fn a_signed_body_that_is_no_notification_is_kept_for_people() {
    let nats = bus().await;
    let door = Door::open(&nats).await;

    for body in ["{\"object\":", "[]"] {
        assert_eq!(door.post(body).await, 200);
        assert_eq!(door.post(body).await, 200, "the repetition");
    }

    let mut streams = look_into(&nats).await;
    assert_eq!(
        (streams.count("INBOUND").await, streams.count("DEAD").await),
        (0, 2)
    );
}

#[tokio::test]
async fn a_message_too_large_for_the_bus_is_kept_in_parts() {
    let nats = bus().await;
    let door = Door::open(&nats).await;
    let mut novel = text("wamid.A");
    novel["type"] = json!("novel");
    novel["novel"] = json!("x".repeat(2_500_000));

    let status = door
        .post(body(&[json!({"messages": [novel, text("wamid.B")]})]))
        .await;

    let mut streams = look_into(&nats).await;
    assert_eq!(status, 200);
    assert_eq!(
        (streams.count("INBOUND").await, streams.count("DEAD").await),
        (1, 3)
    );
}

#[tokio::test]
async fn news_of_the_account_is_acknowledged_and_not_taken_for_a_message() {
    let nats = bus().await;
    let door = Door::open(&nats).await;
    let change = json!({"field": "account_update", "value": {"event": "ACCOUNT_RESTRICTION"}});
    let news = json!({"object": "whatsapp_business_account", "entry": [{"changes": [change]}]});

    assert_eq!(door.post(news.to_string()).await, 200);

    assert_eq!(look_into(&nats).await.count("INBOUND").await, 0);
}

#[tokio::test]
async fn meta_sets_up_the_webhook_with_our_token() {
    let nats = bus().await;
    let door = Door::open(&nats).await;
    let ask = async |query: &str| door.get(&format!("/whatsapp/webhook?{query}")).await;

    let right =
        ask("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=vibecoding").await;
    let wrong = ask("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=nope").await;
    let odd = ask("hub.challenge=1158201444&hub.verify_token=vibecoding").await;

    assert_eq!(right, (200, "1158201444".to_owned()));
    assert_eq!(wrong, (403, String::new()));
    assert_eq!(odd, (400, String::new()));
}
