use super::*;

fn alert(text: &str) -> Heartbeat {
    Heartbeat::Alert(text.to_owned())
}

#[tokio::test]
async fn an_alert_is_stored_in_the_transcript_although_its_event_says_skipped() {
    let sim = plain().await;
    let mut client = Client::of(&sim, "alice").await;
    client.call("sessions.subscribe", json!({})).await;
    let long = "Drink water. ".repeat(30);

    assert_eq!(
        sim.heartbeat("alice", &alert(&long)),
        HeartbeatOutcome::Began
    );

    let row = client.event("session.message").await;
    let end = client.next_end().await;
    let heartbeat = client.event("heartbeat").await["payload"].clone();
    let said = long.trim();
    assert_eq!(row["payload"]["message"]["content"][0]["text"], said);
    assert_eq!(end["message"]["content"][0]["text"], said);
    assert_eq!(
        (&heartbeat["status"], &heartbeat["reason"]),
        (&json!("skipped"), &json!("target-none"))
    );
    assert_eq!(heartbeat["preview"].as_str().unwrap().len(), 200);
    assert_eq!(
        roles_and_texts(&sim.transcript("alice")),
        [("assistant", said)]
    );
    assert!(sim.transcript("alice")[0].is_proactive);
    assert_eq!(sim.stats().proactive, 1);
}

#[tokio::test]
async fn the_rows_of_a_heartbeat_without_an_alert_are_hidden_but_counted() {
    for quiet in [Heartbeat::NoReply, Heartbeat::HeartbeatOk] {
        let sim = plain().await;
        let mut client = Client::of(&sim, "alice").await;

        sim.heartbeat("alice", &quiet);

        let end = client.next_end().await;
        let heartbeat = client.event("heartbeat").await["payload"].clone();
        assert_eq!(end.get("message"), None, "{quiet:?}");
        assert_eq!(heartbeat["status"], "ok-empty");
        let page = client
            .call("chat.history", json!({ "sessionKey": "main" }))
            .await;
        assert_eq!(page["payload"]["messages"], json!([]));
        assert_eq!(page["payload"]["totalMessages"], 2);
        assert_eq!((sim.stats().heartbeats, sim.stats().proactive), (1, 0));
    }
}

#[tokio::test]
async fn a_heartbeat_that_is_due_during_a_run_is_dropped() {
    let sim = plain().await;
    let mut client = Client::of(&sim, "alice").await;
    client.call("chat.send", send("k1", "[[SLOW 100]]")).await;

    let outcome = sim.heartbeat("alice", &alert("Drink water"));
    let heartbeat = client.event("heartbeat").await;
    client.end_of("k1").await;

    assert_eq!(outcome, HeartbeatOutcome::Skipped);
    assert_eq!(heartbeat["payload"]["reason"], "requests-in-flight");
    assert_eq!(sim.stats().heartbeats_skipped, 1);
    assert_eq!(sim.transcript("alice").len(), 2);
}

#[tokio::test]
async fn a_message_sent_during_a_heartbeat_waits_and_does_not_count_as_an_overlap() {
    let sim = plain().await;
    let slow = Behaviour {
        delay_ms: 100,
        ..Behaviour::default()
    };
    let mut client = Client::of(&sim, "alice").await;
    sim.set_behaviour(None, slow);
    sim.heartbeat("alice", &alert("Drink water"));

    client.call("chat.send", send("k1", "hi")).await;
    assert_eq!(client.end_of("k1").await.get("message"), None);
    client.next_end().await;
    client.next_end().await;

    let stats = sim.stats();
    assert_eq!((stats.overlaps, stats.overlaps_with_heartbeats), (0, 1));
    assert_eq!(
        roles_and_texts(&sim.transcript("alice")),
        [
            ("assistant", "Drink water"),
            ("user", "hi"),
            ("assistant", "echo: hi")
        ]
    );
}

#[tokio::test]
async fn a_reminder_stores_an_automation_row_in_the_main_session() {
    let sim = plain().await;
    let mut client = Client::of(&sim, "alice").await;
    client.call("sessions.subscribe", json!({})).await;

    assert!(sim.remind("alice", "Call mum"));

    let in_main = |frame: &Value| {
        frame["event"] == "session.message" && frame["payload"]["sessionKey"] == "agent:main:main"
    };
    let row = client.frame(in_main).await["payload"]["message"].clone();
    let own = client.next_end().await;
    let finished = client
        .frame(|frame| frame["payload"]["action"] == "finished")
        .await;
    assert_eq!(row["openclawAutomation"]["kind"], "cron");
    let run_id = row["openclawAutomation"]["runId"].as_str().unwrap();
    assert_eq!(
        row["idempotencyKey"],
        format!("cron-current-completion:{run_id}")
    );
    assert_eq!(row["__openclaw"].get("runId"), None);
    assert!(
        own["sessionKey"]
            .as_str()
            .unwrap()
            .starts_with("agent:main:cron:")
    );
    assert_eq!(finished["payload"]["summary"], "Call mum");
    assert_eq!(
        roles_and_texts(&sim.transcript("alice")),
        [("assistant", "Call mum")]
    );
}

#[tokio::test]
async fn proactive_texts_written_while_no_client_is_connected_are_returned_for_the_old_cursor() {
    let sim = plain().await;
    let mut before = Client::of(&sim, "alice").await;
    let page = before
        .call("chat.history", json!({ "sessionKey": "main" }))
        .await;
    let cursor = &page["payload"]["deltaCursor"];
    sim.cut_connections(None);

    sim.heartbeat("alice", &alert("Drink water"));
    while sim.busy() == ["alice"] {
        tokio::task::yield_now().await;
    }
    sim.remind("alice", "Call mum");

    let mut after = Client::of(&sim, "alice").await;
    let call = json!({ "sessionKey": "main", "cursor": cursor });
    let delta = after.call("chat.history", call).await;
    let rows = delta["payload"]["messages"].as_array().unwrap();
    let texts: Vec<&Value> = rows
        .iter()
        .map(|row| &row["message"]["content"][0]["text"])
        .collect();
    assert_eq!(texts, ["Drink water", "Call mum"]);
}

#[tokio::test]
async fn a_heartbeat_interrupted_by_a_kill_is_not_continued() {
    let sim = plain().await;
    sim.set_behaviour(
        None,
        Behaviour {
            delay_ms: 60_000,
            ..Behaviour::default()
        },
    );

    sim.heartbeat("alice", &alert("Drink water"));
    sim.restart(None, &Restart::KILL);

    assert_eq!(sim.stats().resumed, 0);
    assert!(sim.busy().is_empty());
}

#[tokio::test]
async fn a_heartbeat_of_all_sandboxes_returns_the_outcome_of_each() {
    let sim = plain().await;
    for sandbox in ["alice", "bob", "carol"] {
        Client::of(&sim, sandbox).await;
    }
    let away = Restart {
        down_ms: 600_000,
        ..Restart::KILL
    };
    sim.restart(Some("carol"), &away);

    let mut outcomes = sim.heartbeat_all(|sandbox| alert(&format!("for {sandbox}")));
    outcomes.sort_by(|one, other| one.0.cmp(&other.0));

    let outcomes: Vec<(&str, HeartbeatOutcome)> = outcomes
        .iter()
        .map(|(sandbox, outcome)| (sandbox.as_str(), *outcome))
        .collect();
    assert_eq!(
        outcomes,
        [
            ("alice", HeartbeatOutcome::Began),
            ("bob", HeartbeatOutcome::Began),
            ("carol", HeartbeatOutcome::Away)
        ]
    );
}
