use super::*;

#[tokio::test]
async fn faults_befall_as_many_sends_as_told_and_what_hung_still_reached_the_person() {
    let phone = Phone::with(SimMetaConfig::default()).await;
    phone.sim.write(ALICE, "hi").unwrap();
    phone.sim.set_faults(Faults {
        answers: Some(vec![Answer {
            code: 131_016,
            times: Some(1),
            number: None,
        }]),
        cut: Some(1),
        cut_before: Some(1),
        ..Faults::default()
    });

    assert_eq!(phone.send(ALICE, "refused", None).await.0, 500);
    assert!(
        phone
            .try_post(&Phone::text(ALICE, "never taken"))
            .await
            .is_err()
    );
    assert!(
        phone
            .try_post(&Phone::text(ALICE, "taken, unanswered"))
            .await
            .is_err()
    );
    phone.sim.set_faults(Faults {
        hang: Some(1),
        ..Faults::default()
    });
    let hung = Phone::text(ALICE, "hung");
    let hung = tokio::spawn(phone.request(&hung).send());
    let chat = phone.sim.wait_received(ALICE, 2, LIMIT).await.unwrap();

    assert!(!hung.is_finished());
    assert_eq!(chat.received_texts(), ["taken, unanswered", "hung"]);
    assert_eq!(phone.send(ALICE, "fine", None).await.0, 200);
    assert_eq!(phone.sim.stats().unanswered, 2);
}

#[tokio::test]
async fn the_same_tracker_twice_is_counted_as_a_duplicate() {
    let phone = Phone::with(SimMetaConfig::default()).await;
    phone.sim.write(ALICE, "hi").unwrap();

    for tracker in ["a", "b", "a"] {
        phone.send(ALICE, "hello", Some(tracker)).await;
    }

    let stats = phone.sim.stats();
    assert_eq!(
        (stats.accepted, stats.duplicate_trackers, stats.recipients),
        (3, 1, 1)
    );
    phone.sim.reset();
    assert_eq!(phone.sim.stats(), MetaStats::default());
}

#[tokio::test]
async fn the_control_api_tells_what_the_handle_tells() {
    let phone = Phone::with(SimMetaConfig::default()).await;
    let base = format!("http://{}/sim", phone.sim.addr());
    let say =
        json!({"from": ALICE, "message": {"type": "image", "image": {"id": "1"}}, "id": "wamid.x"});
    let said = phone
        .client
        .post(format!("{base}/messages"))
        .json(&say)
        .send()
        .await
        .unwrap();
    assert_eq!(
        said.json::<Value>().await.unwrap(),
        json!({"wamid": "wamid.x"})
    );
    phone.send(ALICE, "hello", None).await;

    let get = async |path: &str| -> Value {
        let answer = phone
            .client
            .get(format!("{base}{path}"))
            .send()
            .await
            .unwrap();
        answer.json().await.unwrap()
    };
    let chat = get(&format!("/wait?number={ALICE}&received=1&timeout_ms=1000")).await;

    assert_eq!(chat["lines"][0]["text"], "<image>");
    assert_eq!(chat["lines"][1]["text"], "hello");
    assert_eq!(get("/sends").await[0]["to"], ALICE);
    assert_eq!(get("/stats").await["accepted"], 1);
    assert_eq!(get("/recipients").await[ALICE], 1);
}
