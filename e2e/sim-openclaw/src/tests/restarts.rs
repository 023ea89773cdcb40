use super::{client::Closed, *};

#[tokio::test]
async fn a_turn_interrupted_by_a_kill_continues_under_a_new_run_id() {
    let sim = plain().await;
    let mut before = Client::of(&sim, "alice").await;
    before
        .call("chat.send", send("k1", "hi [[SLOW 100]]"))
        .await;
    before.event("agent").await;

    sim.restart(Some("alice"), &Restart::KILL);
    assert_eq!(before.closed().await, Closed::Dropped);
    let mut after = Client::of(&sim, "alice").await;
    let end = after.next_end().await;
    let wait = after
        .call("agent.wait", json!({ "runId": "k1", "timeoutMs": 0 }))
        .await;

    assert_ne!(
        after.hello["server"]["bootId"],
        before.hello["server"]["bootId"]
    );
    assert_ne!(end["runId"], "k1");
    assert_eq!(
        end["message"]["content"][0]["text"],
        "echo: hi [[SLOW 100]]"
    );
    assert_eq!(wait["payload"]["status"], "timeout");
    let rows = sim.transcript("alice");
    assert_eq!(rows[0].key.as_deref(), Some("k1"));
    assert!(
        rows[1]
            .text
            .starts_with("[System] Your previous turn was interrupted")
    );
    assert_eq!(rows[2].run_id.as_deref(), end["runId"].as_str());
    assert_eq!(sim.stats_of("alice").resumed, 1);
}

#[tokio::test]
async fn a_message_sent_again_after_a_restart_is_answered_again() {
    let sim = plain().await;
    let mut before = Client::of(&sim, "alice").await;
    before.call("chat.send", send("k1", "hi")).await;
    before.end_of("k1").await;
    sim.restart(None, &Restart::KILL);

    let mut after = Client::of(&sim, "alice").await;
    after.call("chat.send", send("k1", "hi")).await;
    after.end_of("k1").await;

    let texts = sim.transcript("alice");
    assert_eq!(
        roles_and_texts(&texts),
        [
            ("user", "hi"),
            ("assistant", "echo: hi"),
            ("assistant", "echo: hi")
        ]
    );
    assert_eq!(sim.stats_of("alice").answered_again, 1);
}

#[tokio::test]
async fn a_run_killed_before_its_row_was_stored_is_lost() {
    let sim = sim(SimOpenClawConfig {
        behaviour: Behaviour {
            store_ms: 600_000,
            ..Behaviour::default()
        },
        ..SimOpenClawConfig::default()
    })
    .await;
    let mut client = Client::of(&sim, "alice").await;
    client.call("chat.send", send("k1", "hi")).await;

    sim.restart(None, &Restart::KILL);

    assert_eq!(sim.stats_of("alice").lost, 1);
    assert_eq!(sim.transcript("alice"), []);
}

#[tokio::test]
async fn a_graceful_restart_lets_the_active_run_end_and_refuses_new_ones() {
    let sim = plain().await;
    let mut client = Client::of(&sim, "alice").await;
    client.call("chat.send", send("k1", "[[SLOW 100]]")).await;

    sim.restart(Some("alice"), &Restart::GRACEFUL);
    let refused = client.call("chat.send", send("k2", "hi")).await;
    let end = client.end_of("k1").await;
    let shutdown = client.event("shutdown").await;

    assert_eq!(refused["error"]["details"]["reason"], "gateway-restarting");
    assert_eq!(refused["error"]["retryAfterMs"], 1000);
    assert_eq!(end["state"], "final");
    assert_eq!(shutdown["payload"]["reason"], "gateway stopping");
    assert_eq!(
        client.closed().await,
        Closed::With(1012, "service restart".to_owned())
    );
}

#[tokio::test]
async fn while_openclaw_starts_it_is_unavailable_and_not_ready() {
    let sim = plain().await;
    Client::of(&sim, "alice").await;
    let starting = Restart {
        starting_ms: 600_000,
        ..Restart::KILL
    };

    sim.restart(Some("alice"), &starting);
    let probe = |path: &str| {
        let url = format!("http://{}{path}", sim.addr());
        async move { reqwest_get(&url).await }
    };
    let mut status = probe("/s/alice/readyz").await;
    while status == 502 {
        status = probe("/s/alice/readyz").await;
    }
    let mut client = Client::challenged(&sim, "alice").await;
    let params = client.connect_params(|_| {});
    let answer = client.call("connect", params).await;

    assert_eq!(status, 503);
    assert_eq!(probe("/s/bob/readyz").await, 200);
    assert_eq!(probe("/healthz").await, 200);
    assert_eq!(answer["error"]["details"]["reason"], "startup-sidecars");
    assert_eq!(
        client.closed().await,
        Closed::With(1013, "gateway starting".to_owned())
    );
}

#[tokio::test]
async fn a_run_continues_after_its_socket_is_cut() {
    let sim = plain().await;
    let mut before = Client::of(&sim, "alice").await;
    before.call("chat.send", send("k1", "[[SLOW 100]]")).await;

    sim.cut_connections(Some("alice"));
    assert_eq!(before.closed().await, Closed::Dropped);
    let mut after = Client::of(&sim, "alice").await;
    let wait = after
        .call("agent.wait", json!({ "runId": "k1", "timeoutMs": 20_000 }))
        .await;

    assert_eq!(wait["payload"]["status"], "ok");
    assert_eq!(
        after.hello["server"]["bootId"],
        before.hello["server"]["bootId"]
    );
}

async fn reqwest_get(url: &str) -> u16 {
    claw_runtime::http::install_tls();
    reqwest::get(url).await.unwrap().status().as_u16()
}
