use std::time::Duration;

use sim_kit::clock;

use super::*;

#[tokio::test]
async fn a_planned_job_is_listed_until_it_has_written_its_text() {
    let sim = plain().await;
    let mut client = Client::of(&sim, "alice").await;
    client.call("sessions.subscribe", json!({})).await;
    let later = clock::now_ms() + 3_600_000;

    let soon = sim.plan("alice", job("Call mum", clock::now_ms() + 500, None));
    let often = sim.plan("alice", job("Drink", later, Some(60_000)));
    let before = listed(&mut client).await;
    client.event("session.message").await;
    let after = listed(&mut client).await;

    assert_eq!(before, [(soon, "at"), (often.clone(), "every")]);
    assert_eq!(after, [(often, "every")]);
    assert_eq!(
        roles_and_texts(&sim.transcript("alice")),
        [("assistant", "Call mum")]
    );
}

#[tokio::test]
async fn a_job_that_was_missed_while_stopped_runs_some_time_after_the_next_start() {
    let sim = sim(SimOpenClawConfig {
        missed_jobs_after: Duration::from_secs(1),
        ..SimOpenClawConfig::default()
    })
    .await;
    sim.plan("alice", job("Call mum", clock::now_ms() + 50, None));
    sim.stop_one("alice");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(sim.transcript("alice").is_empty());

    sim.start_one("alice");

    let mut client = Client::of(&sim, "alice").await;
    client.call("sessions.subscribe", json!({})).await;
    assert_eq!(listed(&mut client).await.len(), 1, "it is still planned");
    client.event("session.message").await;
    assert_eq!(sim.transcript("alice").len(), 1);
}

#[tokio::test]
async fn a_wake_begins_a_heartbeat_whose_end_is_remembered_until_the_process_ends() {
    let sim = plain().await;
    sim.set_behaviour(
        None,
        Behaviour {
            heartbeat: Heartbeat::Alert("Drink water".to_owned()),
            ..Behaviour::default()
        },
    );
    let mut client = Client::of(&sim, "alice").await;
    let last = client.call("last-heartbeat", json!({})).await;
    assert_eq!(last["payload"], Value::Null);

    let params = json!({ "mode": "now", "text": "Look.", "sessionKey": "agent:main:main" });
    let woken = client.call("wake", params).await;
    client.event("heartbeat").await;

    assert_eq!(woken["payload"], json!({ "ok": true }));
    let last = client.call("last-heartbeat", json!({})).await;
    assert_eq!(last["payload"]["preview"], "Drink water");
    sim.restart(Some("alice"), &Restart::KILL);
    let mut client = Client::of(&sim, "alice").await;
    let last = client.call("last-heartbeat", json!({})).await;
    assert_eq!(last["payload"], Value::Null);
}

fn job(text: &str, at_ms: i64, every_ms: Option<i64>) -> PlannedJob {
    PlannedJob {
        text: text.to_owned(),
        at_ms,
        every_ms,
    }
}

/// The ids and kinds of the listed jobs, without the heartbeat.
async fn listed(client: &mut Client) -> Vec<(String, &'static str)> {
    let list = client
        .call("cron.list", json!({ "limit": 200, "compact": true }))
        .await;
    let jobs = list["payload"]["jobs"].as_array().unwrap();
    let planned = jobs
        .iter()
        .filter(|job| job.get("declarationKey").is_none());
    planned
        .map(|job| {
            let kind = if job["scheduleKind"] == "at" {
                "at"
            } else {
                "every"
            };
            (job["id"].as_str().unwrap().to_owned(), kind)
        })
        .collect()
}
