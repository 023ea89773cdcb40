use std::collections::BTreeSet;

use super::*;

#[tokio::test]
async fn what_a_person_writes_is_posted_again_until_it_is_accepted_and_in_order() {
    let phone = Phone::with(SimMetaConfig {
        webhooks: WebhookPlan {
            time_factor: 100_000.0,
            ..WebhookPlan::default()
        },
        ..SimMetaConfig::default()
    })
    .await;
    phone.us.refuse_next(4);

    for n in 0..20 {
        phone.sim.write(ALICE, &format!("message {n}")).unwrap();
    }

    let messages = phone.us.messages(20).await;
    let texts: Vec<_> = messages.iter().map(|m| m["text"]["body"].clone()).collect();
    let expected: Vec<_> = (0..20).map(|n| json!(format!("message {n}"))).collect();
    assert_eq!(texts, expected);
    phone.until_idle().await;
    let webhooks = phone.sim.stats().webhooks;
    assert_eq!(
        (webhooks.accepted, webhooks.refused, webhooks.retried),
        (20, 4, 4)
    );
}

#[tokio::test]
async fn a_message_is_shaped_signed_and_escaped_as_metas() {
    let phone = Phone::with(SimMetaConfig::default()).await;

    phone
        .sim
        .write_anything(Inbound {
            from: format!("+{ALICE}"),
            name: Some("Sheena Nelson".to_owned()),
            text: Some("Grüße/aus Köln 😀".to_owned()),
            ..Inbound::default()
        })
        .unwrap();

    phone.us.messages(1).await;
    let body = phone.us.bodies().remove(0);
    let body = std::str::from_utf8(&body).unwrap();
    assert!(
        body.contains(r"Gr\u00fc\u00dfe\/aus K\u00f6ln \ud83d\ude00"),
        "{body}"
    );
    let parsed: Value = serde_json::from_str(body).unwrap();
    assert_same_shape(&parsed, "whatsapp/text_basic.json");
}

#[tokio::test]
async fn signatures_are_those_of_metas_examples() {
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
async fn copies_duplicates_and_batches_say_the_same_things_again() {
    let phone = Phone::with(SimMetaConfig {
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
    phone
        .sim
        .write_anything(Inbound {
            from: ALICE.to_owned(),
            text: Some("hi".to_owned()),
            copies: Some(3),
            ..Inbound::default()
        })
        .unwrap();
    for n in 0..10 {
        phone.send(ALICE, "hello", Some(&format!("dlv_{n}"))).await;
    }

    let statuses = phone.us.statuses(60).await;
    let messages = phone.us.messages(6).await;
    let distinct: BTreeSet<String> = statuses
        .iter()
        .map(|s| format!("{}{}", s["id"], s["status"]))
        .collect();
    assert_eq!(distinct.len(), 30);
    assert!(messages.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(phone.sim.stats().written, 1);
}
