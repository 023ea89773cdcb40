use std::collections::{BTreeMap, BTreeSet};

use super::*;

#[tokio::test]
async fn messages_of_a_user_are_posted_in_order_and_retried_until_accepted() {
    let setup = Setup::with(SimMetaConfig {
        webhooks: WebhookPlan {
            time_factor: 100_000.0,
            ..WebhookPlan::default()
        },
        ..SimMetaConfig::default()
    })
    .await;
    setup.receiver.refuse_next(4);

    for n in 0..20 {
        setup.sim.write(ALICE, &format!("message {n}")).unwrap();
    }

    let messages = setup.receiver.messages(20).await;
    let texts: Vec<_> = messages.iter().map(|m| m["text"]["body"].clone()).collect();
    let expected: Vec<_> = (0..20).map(|n| json!(format!("message {n}"))).collect();
    assert_eq!(texts, expected);
    setup.until_idle().await;
    let webhooks = setup.sim.stats().webhooks;
    assert_eq!(
        (webhooks.accepted, webhooks.refused, webhooks.retried),
        (20, 4, 4)
    );
    assert_eq!(webhooks.answers, BTreeMap::from([(200, 20), (503, 4)]));
}

#[tokio::test]
async fn a_message_has_metas_shape_and_escaping() {
    let setup = Setup::with(SimMetaConfig::default()).await;

    setup
        .sim
        .write_anything(Inbound {
            from: format!("+{ALICE}"),
            name: Some("Sheena Nelson".to_owned()),
            text: Some("Grüße/aus Köln 😀".to_owned()),
            ..Inbound::default()
        })
        .unwrap();

    setup.receiver.messages(1).await;
    let body = setup.receiver.bodies().remove(0);
    let body = std::str::from_utf8(&body).unwrap();
    assert!(
        body.contains(r"Gr\u00fc\u00dfe\/aus K\u00f6ln \ud83d\ude00"),
        "{body}"
    );
    let parsed: Value = serde_json::from_str(body).unwrap();
    assert_same_shape(&parsed, "whatsapp/text_basic.json");
}

#[tokio::test]
async fn signatures_equal_those_of_metas_examples() {
    let Some(cases) = fixture("whatsapp/signature_cases.json") else {
        return;
    };
    for case in cases.as_array().unwrap() {
        let body = fixture_bytes(&format!("whatsapp/{}", case["body_file"].as_str().unwrap()));
        let signature = payload::signature(case["app_secret"].as_str().unwrap(), &body.unwrap());
        assert_eq!(
            case["header"] == json!(signature),
            case["valid"] == true,
            "{case}"
        );
    }
}

#[tokio::test]
async fn copies_duplicates_and_batches_repeat_the_same_messages_and_statuses() {
    let setup = Setup::with(SimMetaConfig {
        pair_rate: false,
        webhooks: WebhookPlan {
            duplicate_percent: 100,
            ..WebhookPlan::default()
        },
        statuses: StatusPlan {
            shuffle_ms: 30,
            ..StatusPlan::default()
        },
        ..SimMetaConfig::default()
    })
    .await;
    setup
        .sim
        .write_anything(Inbound {
            from: ALICE.to_owned(),
            text: Some("hi".to_owned()),
            copies: Some(3),
            ..Inbound::default()
        })
        .unwrap();
    for n in 0..10 {
        setup.send(ALICE, "hello", Some(&format!("dlv_{n}"))).await;
    }

    let statuses = setup.receiver.statuses(60).await;
    let messages = setup.receiver.messages(6).await;
    let distinct: BTreeSet<String> = statuses
        .iter()
        .map(|s| format!("{}{}", s["id"], s["status"]))
        .collect();
    assert_eq!(distinct.len(), 30);
    assert!(messages.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(setup.sim.stats().written, 1);
}
