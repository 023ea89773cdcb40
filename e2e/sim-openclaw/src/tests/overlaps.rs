use super::*;

/// Sends a slow message and two quick ones while it is answered, all in one queue mode; returns the client.
async fn overlap(sim: &SimOpenClaw, mode: &str) -> Client {
    let mut client = Client::of(sim, "alice").await;
    let say = |key: &str, message: &str| {
        let mut params = send(key, message);
        params["queueMode"] = json!(mode);
        params
    };
    client
        .call("chat.send", say("a", "first [[SLOW 100]]"))
        .await;
    client.event("agent").await;
    client
        .call("chat.send", say("b", "second [[SAY to second]]"))
        .await;
    client
        .call("chat.send", say("c", "third [[SAY to third]]"))
        .await;
    client
}

fn text(end: &Value) -> &Value {
    &end["message"]["content"][0]["text"]
}

#[tokio::test]
async fn follow_ups_are_answered_after_the_run_under_random_run_ids() {
    let sim = plain().await;
    let mut client = overlap(&sim, "followup").await;

    assert_eq!(client.end_of("b").await.get("message"), None);
    assert_eq!(client.end_of("c").await.get("message"), None);
    assert_eq!(text(&client.end_of("a").await), "echo: first [[SLOW 100]]");
    let second = client.next_end().await;
    let third = client.next_end().await;

    assert_eq!(
        (text(&second), text(&third)),
        (&json!("to second"), &json!("to third"))
    );
    assert_eq!(second["message"]["text"], "to second");
    assert_eq!(second.get("agentId"), None);
    assert!(!["a", "b", "c"].contains(&second["runId"].as_str().unwrap()));
    let rows = sim.transcript("alice");
    let keys: Vec<Option<&str>> = rows.iter().map(|row| row.key.as_deref()).collect();
    assert_eq!(keys, [Some("a"), None, Some("b"), None, Some("c"), None]);
    assert_eq!(sim.stats_of("alice").overlaps, 2);
}

#[tokio::test]
async fn collected_messages_become_one_turn() {
    let sim = plain().await;
    let mut client = overlap(&sim, "collect").await;

    client.end_of("a").await;
    client.end_of("b").await;
    client.end_of("c").await;
    assert_eq!(text(&client.next_end().await), "to third");

    let rows = sim.transcript("alice");
    assert_eq!(rows.len(), 4);
    assert!(
        rows[2]
            .text
            .starts_with("[Queued messages while agent was busy]\n\n---\nQueued #1")
    );
    assert!(
        rows[2]
            .key
            .as_deref()
            .unwrap()
            .starts_with("followup-collect:")
    );
}

#[tokio::test]
async fn steered_messages_are_answered_inside_the_active_run() {
    let sim = plain().await;
    let mut client = overlap(&sim, "steer").await;

    let end = client.end_of("a").await;

    assert_eq!(text(&end), "echo: first [[SLOW 100]]\n\nto third");
    assert_eq!(client.end_of("b").await.get("message"), None);
    assert_eq!(client.end_of("c").await.get("message"), None);
    assert_eq!(sim.stats_of("alice").turns, 1);
    let rows = sim.transcript("alice");
    assert_eq!(rows[4].run_id.as_deref(), Some("a"));
}

#[tokio::test]
async fn an_interrupting_message_aborts_the_active_run() {
    let sim = plain().await;
    let mut client = overlap(&sim, "interrupt").await;

    assert_eq!(client.end_of("a").await["state"], "aborted");
    assert_eq!(text(&client.end_of("c").await), "to third");
    let wait = client
        .call("agent.wait", json!({ "runId": "a", "timeoutMs": 0 }))
        .await;
    assert_eq!(wait["payload"]["status"], "error");
}
