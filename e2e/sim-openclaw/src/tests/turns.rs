use super::*;
use sim_kit::timeline::{EntryKind, Timeline};

#[tokio::test]
async fn a_send_is_answered_at_once_and_its_events_have_its_key_as_run_id() {
    let sim = plain().await;
    let mut client = Client::of(&sim, "alice").await;

    let answer = client.call("chat.send", send("k1", "hi")).await;
    let end = client.end_of("k1").await;

    assert_eq!(
        answer["payload"],
        json!({ "runId": "k1", "status": "started" })
    );
    assert_eq!(end["message"]["content"][0]["text"], "echo: hi");
    assert_eq!(end["sessionKey"], "agent:main:main");
    assert_eq!(
        roles_and_texts(&sim.transcript("alice")),
        [("user", "hi"), ("assistant", "echo: hi")]
    );
    let seqs: Vec<u64> = client
        .all
        .iter()
        .filter_map(|f| f["seq"].as_u64())
        .collect();
    assert!(seqs.iter().zip(1..).all(|(seq, n)| *seq == n), "{seqs:?}");
}

#[tokio::test]
async fn a_silent_turn_ends_without_a_message_and_leaves_no_row() {
    let sim = plain().await;
    let mut client = Client::of(&sim, "alice").await;

    client.call("chat.send", send("k1", "[[SILENT]]")).await;
    let end = client.end_of("k1").await;
    let wait = client
        .call("agent.wait", json!({ "runId": "k1", "timeoutMs": 0 }))
        .await;

    assert_eq!(end.get("message"), None);
    assert_eq!(
        wait["payload"]["terminalReply"],
        json!({ "disposition": "silent" })
    );
    assert_eq!(sim.transcript("alice").len(), 1);
}

#[tokio::test]
async fn a_failure_of_the_provider_is_reported_with_its_failover_reason() {
    let sim = plain().await;
    let mut client = Client::of(&sim, "alice").await;

    client
        .call("chat.send", send("k1", "[[ERROR billing]]"))
        .await;
    let end = client.end_of("k1").await;

    assert_eq!(end["state"], "error");
    assert_eq!(end["errorDetail"]["failoverReason"], "billing");
    let again = client.call("chat.send", send("k2", "hi")).await;
    assert_eq!(again["payload"]["status"], "started");
}

#[tokio::test]
async fn a_turn_longer_than_its_timeout_ends_as_timed_out() {
    let sim = plain().await;
    let mut client = Client::of(&sim, "alice").await;
    let mut slow = send("k1", "[[SLOW 600000]]");
    slow["timeoutMs"] = json!(10);

    client.call("chat.send", slow).await;
    let end = client.end_of("k1").await;
    let wait = client
        .call("agent.wait", json!({ "runId": "k1", "timeoutMs": 0 }))
        .await;

    assert_eq!(
        (&end["state"], &end["errorKind"]),
        (&json!("error"), &json!("timeout"))
    );
    assert_eq!(wait["payload"]["status"], "timeout");
    assert!(wait["payload"]["endedAt"].is_number());
}

#[tokio::test]
async fn a_repeated_key_starts_no_second_turn_and_is_refused_for_another_message() {
    let sim = plain().await;
    let mut client = Client::of(&sim, "alice").await;
    let status = |answer: Value| answer["payload"]["status"].clone();
    let slow = send("k1", "[[SLOW 200]]");

    client.call("chat.send", slow.clone()).await;
    assert_eq!(
        status(client.call("chat.send", slow.clone()).await),
        "in_flight"
    );
    let other = client.call("chat.send", send("k1", "else")).await;
    assert_eq!(other["error"]["details"]["reason"], "chat-request-conflict");
    client.end_of("k1").await;
    assert_eq!(status(client.call("chat.send", slow).await), "ok");

    let counts = sim.stats_of("alice");
    assert_eq!((counts.sends, counts.turns, counts.overlaps), (1, 1, 0));
    assert_eq!(
        (
            counts.repeated_in_flight,
            counts.repeated_done,
            counts.conflicts
        ),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn a_key_whose_outcome_is_forgotten_gets_an_empty_final_and_no_second_turn() {
    let sim = sim(SimOpenClawConfig {
        remembered: Duration::ZERO,
        ..SimOpenClawConfig::default()
    })
    .await;
    let mut client = Client::of(&sim, "alice").await;
    client.call("chat.send", send("k1", "hi")).await;
    client.end_of("k1").await;

    let answer = client.call("chat.send", send("k1", "hi")).await;
    let end = client.end_of("k1").await;

    assert_eq!(answer["payload"]["status"], "started");
    assert_eq!(end.get("message"), None);
    assert_eq!(sim.stats_of("alice").turns, 1);
}

#[tokio::test]
async fn agent_wait_answers_at_the_end_of_a_run_and_times_out_for_an_unknown_run() {
    let sim = plain().await;
    let mut client = Client::of(&sim, "alice").await;
    client.call("chat.send", send("k1", "[[SLOW 50]]")).await;

    let own = client
        .call("agent.wait", json!({ "runId": "k1", "timeoutMs": 20_000 }))
        .await;
    let strange = client
        .call("agent.wait", json!({ "runId": "nobody", "timeoutMs": 1 }))
        .await;

    assert_eq!(own["payload"]["terminalReply"]["text"], "echo: [[SLOW 50]]");
    assert_eq!(
        strange["payload"],
        json!({ "runId": "nobody", "status": "timeout" })
    );
}

#[tokio::test]
async fn a_cursor_returns_all_rows_after_it_and_an_unknown_one_resets() {
    let sim = plain().await;
    let mut client = Client::of(&sim, "alice").await;
    let history = |more: Value| {
        let mut params = json!({ "sessionKey": "main" });
        params
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        params
    };
    let empty = client.call("chat.history", history(json!({}))).await;
    client.call("chat.send", send("k1", "hi")).await;
    client.end_of("k1").await;

    let cursor = &empty["payload"]["deltaCursor"];
    let delta = client
        .call("chat.history", history(json!({ "cursor": cursor })))
        .await;
    let after = &delta["payload"]["deltaCursor"];
    let nothing = client
        .call("chat.history", history(json!({ "cursor": after })))
        .await;
    let strange = client
        .call("chat.history", history(json!({ "cursor": "xxx" })))
        .await;

    let rows = delta["payload"]["messages"].as_array().unwrap();
    assert_eq!(rows[0]["message"]["idempotencyKey"], "k1:user");
    assert_eq!(rows[1]["message"]["__openclaw"]["runId"], "k1");
    assert_eq!(nothing["payload"]["messages"], json!([]));
    assert_eq!(strange["payload"], json!({ "kind": "reset" }));
    let page = client
        .call("chat.history", history(json!({ "limit": 1 })))
        .await;
    assert_eq!(page["payload"]["hasMore"], true);
    assert_eq!(page["payload"]["messages"][0]["role"], "assistant");
}

#[tokio::test]
async fn a_cursor_older_than_the_oldest_kept_row_resets() {
    let sim = sim(SimOpenClawConfig {
        rows_per_session: 2,
        ..SimOpenClawConfig::default()
    })
    .await;
    let mut client = Client::of(&sim, "alice").await;
    let first = client
        .call("chat.history", json!({ "sessionKey": "main" }))
        .await;
    for key in ["k1", "k2"] {
        client.call("chat.send", send(key, "hi")).await;
        client.end_of(key).await;
    }

    let cursor = &first["payload"]["deltaCursor"];
    let delta = client
        .call(
            "chat.history",
            json!({ "sessionKey": "main", "cursor": cursor }),
        )
        .await;

    assert_eq!(delta["payload"], json!({ "kind": "reset" }));
}

#[tokio::test]
async fn an_aborted_run_ends_with_the_reason_rpc() {
    let sim = plain().await;
    sim.set_behaviour(
        None,
        Behaviour {
            deltas: 2,
            ..Behaviour::default()
        },
    );
    let mut client = Client::of(&sim, "alice").await;
    client.call("chat.send", send("k1", "[[SLOW 60000]]")).await;
    let call = json!({ "sessionKey": "main", "runId": "k1" });

    let abort = client.call("chat.abort", call.clone()).await;
    let end = client.end_of("k1").await;
    let again = client.call("chat.abort", call).await;

    assert_eq!(
        abort["payload"],
        json!({ "ok": true, "aborted": true, "runIds": ["k1"] })
    );
    assert_eq!(
        (&end["state"], &end["stopReason"]),
        (&json!("aborted"), &json!("rpc"))
    );
    assert_eq!(again["payload"]["aborted"], false);
}

#[tokio::test]
async fn invalid_requests_are_refused_with_openclaws_messages() {
    let sim = plain().await;
    let mut client = Client::of(&sim, "alice").await;
    let mut bogus = send("k", "x");
    bogus["bogus"] = json!(1);
    let cases = [
        ("no.such", json!({}), "unknown method: no.such"),
        (
            "chat.send",
            json!({ "message": "x" }),
            "session mutation target is unavailable",
        ),
        (
            "chat.send",
            bogus,
            "invalid chat.send params: at root: unexpected property 'bogus'",
        ),
        ("chat.send", send("k", ""), "message or attachment required"),
        (
            "connect",
            json!({}),
            "connect is only valid as the first request",
        ),
    ];

    for (method, params, message) in cases {
        let answer = client.call(method, params).await;
        assert_eq!(answer["error"]["message"], message);
    }
    client.say("this is no frame".to_owned()).await;
    client
        .say(json!({ "type": "req", "method": "health" }).to_string())
        .await;
    let invalid = client.response("invalid").await;
    assert_eq!(invalid["error"]["code"], "INVALID_REQUEST");
}

#[tokio::test]
async fn the_timeline_records_when_messages_arrive_and_when_answers_start_end_or_are_aborted() {
    let timeline = Timeline::with_limit(100);
    let sim = sim(SimOpenClawConfig {
        timeline: timeline.clone(),
        ..SimOpenClawConfig::default()
    });
    let sim = sim.await;
    let mut client = Client::of(&sim, "alice").await;

    client.call("chat.send", send("k1", "hi")).await;
    client.end_of("k1").await;
    let slow = "[[SLOW 600000]]";
    client.call("chat.send", send("k2", slow)).await;
    let stop = json!({ "sessionKey": "main", "runId": "k2" });
    client.call("chat.abort", stop).await;

    let entries = timeline.entries();
    assert!(entries.iter().all(|entry| entry.subject == "alice"));
    let entries: Vec<EntryKind> = entries.into_iter().map(|entry| entry.kind).collect();
    let [hi, slow] = ["hi", slow].map(str::to_owned);
    assert_eq!(
        entries,
        [
            EntryKind::PromptReceived(hi.clone()),
            EntryKind::AnswerStarted(hi.clone()),
            EntryKind::AnswerEnded(hi),
            EntryKind::PromptReceived(slow.clone()),
            EntryKind::AnswerAborted(slow),
        ]
    );
}
