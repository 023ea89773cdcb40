use super::*;

#[tokio::test]
async fn faults_apply_to_as_many_sends_as_set_and_a_hung_send_still_reaches_the_user() {
    let setup = Setup::with(SimMetaConfig::default()).await;
    setup.sim.write(ALICE, "hi").unwrap();
    setup.sim.set_faults(MetaFaults {
        answers: Some(vec![Refusal {
            code: 131_016,
            times: Some(1),
            number: None,
        }]),
        cut: Some(1),
        cut_before: Some(1),
        ..MetaFaults::default()
    });

    assert_eq!(setup.send(ALICE, "refused", None).await.0, 500);
    assert!(
        setup
            .try_post(&Setup::text(ALICE, "not accepted"))
            .await
            .is_err()
    );
    assert!(
        setup
            .try_post(&Setup::text(ALICE, "accepted, unanswered"))
            .await
            .is_err()
    );
    setup.sim.set_faults(MetaFaults {
        hang: Some(1),
        ..MetaFaults::default()
    });
    let hung = Setup::text(ALICE, "hung");
    let hung = tokio::spawn(setup.request(&hung).send());
    let chat = setup.sim.wait_received(ALICE, 2, LIMIT).await.unwrap();

    assert!(!hung.is_finished());
    assert_eq!(chat.received_texts(), ["accepted, unanswered", "hung"]);
    assert_eq!(setup.send(ALICE, "fine", None).await.0, 200);
    assert_eq!(setup.sim.stats().unanswered, 2);
}

#[tokio::test]
async fn a_repeated_tracker_is_counted_as_a_duplicate() {
    let setup = Setup::with(SimMetaConfig::default()).await;
    setup.sim.write(ALICE, "hi").unwrap();

    for tracker in ["a", "b", "a"] {
        setup.send(ALICE, "hello", Some(tracker)).await;
    }

    let stats = setup.sim.stats();
    assert_eq!(
        (stats.accepted, stats.duplicate_trackers, stats.recipients),
        (3, 1, 1)
    );
    setup.sim.reset();
    assert_eq!(setup.sim.stats(), MetaStats::default());
}

#[tokio::test]
async fn the_control_api_returns_what_the_handle_returns() {
    let setup = Setup::with(SimMetaConfig::default()).await;
    let base = format!("http://{}/sim", setup.sim.addr());
    let say =
        json!({"from": ALICE, "message": {"type": "image", "image": {"id": "1"}}, "id": "wamid.x"});
    let said = setup
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
    setup.send(ALICE, "hello", None).await;

    let get = async |path: &str| -> Value {
        let answer = setup
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
