//! Compares our frames with those recorded from a real OpenClaw: the keys, and the order of events.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::*;

#[tokio::test]
async fn events_of_a_turn_have_the_recorded_keys_and_order() {
    let Some(recorded) = recording("chat-stream") else {
        return;
    };
    let sim = plain().await;
    let mut client = Client::of(&sim, "alice").await;
    client.call("chat.send", send("k1", "hi")).await;
    client.end_of("k1").await;

    assert_eq!(order(&client.all), order(&recorded));
    let ours = keys_by_kind(&client.all);
    let theirs = keys_by_kind(&recorded);
    assert_eq!(ours, theirs);
}

#[tokio::test]
async fn rows_and_pages_have_the_recorded_keys() {
    let Some(recorded) = recording("history") else {
        return;
    };
    let sim = plain().await;
    let mut client = Client::of(&sim, "alice").await;
    let hist = |key: &str| json!({ "sessionKey": "hist", "message": "hi", "idempotencyKey": key });
    client.call("chat.send", hist("k1")).await;
    client.end_of("k1").await;

    let page = client
        .call("chat.history", json!({ "sessionKey": "hist" }))
        .await;

    let theirs = recorded
        .iter()
        .find(|frame| frame["payload"]["messages"].is_array())
        .unwrap();
    let mut theirs = shape(&theirs["payload"]);
    theirs["sessionInfo"]
        .as_object_mut()
        .unwrap()
        .remove("_trimmed");
    assert_eq!(shape(&page["payload"]), theirs);
}

#[tokio::test]
async fn a_row_of_a_delta_has_the_recorded_keys() {
    let Some(recorded) = recording("history-cursor") else {
        return;
    };
    let sim = plain().await;
    let mut client = Client::of(&sim, "alice").await;
    let first = client
        .call("chat.history", json!({ "sessionKey": "main" }))
        .await;
    client.call("chat.send", send("k1", "hi")).await;
    client.end_of("k1").await;
    let cursor = &first["payload"]["deltaCursor"];

    let delta = client
        .call(
            "chat.history",
            json!({ "sessionKey": "main", "cursor": cursor }),
        )
        .await;

    let theirs = recorded
        .iter()
        .find(|f| f["payload"]["kind"] == "delta")
        .unwrap();
    let keys = |frame: &Value| -> BTreeSet<String> {
        frame["payload"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(keys(&delta), keys(theirs));
    for n in [0, 1] {
        let (ours, theirs) = (
            &delta["payload"]["messages"][n],
            &theirs["payload"]["messages"][n],
        );
        assert_eq!(shape(&ours["message"]), shape(&theirs["message"]));
        let theirs = theirs.as_object().unwrap();
        for key in ours.as_object().unwrap().keys() {
            assert!(theirs.contains_key(key), "{key}");
        }
    }
}

#[tokio::test]
async fn dispatched_and_interrupted_runs_end_in_the_recorded_shapes() {
    for mode in ["followup", "interrupt"] {
        let Some(recorded) = recording(&format!("overlap-{mode}")) else {
            return;
        };
        let sim = plain().await;
        let mut client = Client::of(&sim, "alice").await;
        for (key, message) in [("a", "[[SLOW 50]]"), ("b", "second"), ("c", "third")] {
            let mut params = send(key, message);
            params["queueMode"] = json!(mode);
            client.call("chat.send", params).await;
            if key == "a" {
                client.event("agent").await;
            }
        }
        let ends = if mode == "followup" { 5 } else { 3 };
        for _ in 0..ends {
            client.next_end().await;
        }

        let shapes = |frames: &[Value]| -> BTreeSet<String> {
            let chats = frames.iter().filter(|frame| frame["event"] == "chat");
            chats
                .filter(|frame| frame["payload"]["phase"].is_null())
                .filter(|frame| frame["payload"]["state"] != "delta")
                .map(|frame| format!("{} {}", frame["payload"]["state"], shape(&frame["payload"])))
                .collect()
        };
        assert!(shapes(&client.all).is_subset(&shapes(&recorded)), "{mode}");
    }
}

#[tokio::test]
async fn events_of_a_heartbeat_have_the_recorded_order() {
    for (name, heartbeat) in [
        (
            "heartbeat-alert-target-none",
            Heartbeat::Alert("x".to_owned()),
        ),
        ("heartbeat-ok", Heartbeat::NoReply),
        ("heartbeat-legacy-ok-token", Heartbeat::HeartbeatOk),
    ] {
        let Some(recorded) = recording(name) else {
            return;
        };
        let sim = plain().await;
        let mut client = Client::of(&sim, "alice").await;
        sim.heartbeat("alice", &heartbeat);
        client
            .frame(|frame| frame["payload"]["action"] == "finished")
            .await;

        let told = |frames: &[Value]| -> Vec<String> {
            let of_heartbeat = |kind: &&String| {
                kind.starts_with("agent lifecycle") || kind.starts_with("chat final")
            };
            let order = order(frames);
            order.iter().filter(of_heartbeat).cloned().collect()
        };
        let last = |frames: &[Value]| {
            let mut told = frames.iter().filter(|frame| frame["event"] == "heartbeat");
            told.next_back()
                .map(|frame| shape(&frame["payload"]))
                .unwrap()
        };
        assert_eq!(told(&client.all), told(&recorded), "{name}");
        assert_eq!(last(&client.all), last(&recorded), "{name}");
    }
}

#[tokio::test]
async fn a_reminders_row_has_the_recorded_keys() {
    let Some(recorded) = recording("cron") else {
        return;
    };
    let is_result = |frame: &Value| frame["payload"]["message"]["openclawAutomation"].is_object();
    let sim = plain().await;
    let mut client = Client::of(&sim, "alice").await;
    client.call("sessions.subscribe", json!({})).await;
    sim.remind("alice", "Call mum");

    let ours = client.frame(is_result).await;

    let theirs = recorded.iter().find(|frame| is_result(frame)).unwrap();
    assert_eq!(
        shape(&ours["payload"]["message"]),
        shape(&theirs["payload"]["message"])
    );
}

#[tokio::test]
async fn hello_has_the_recorded_keys() {
    let Some(recorded) = recording("handshake-ok") else {
        return;
    };
    let sim = plain().await;
    let client = Client::of(&sim, "alice").await;

    let theirs = recorded
        .iter()
        .find(|frame| frame["payload"]["type"] == "hello-ok")
        .unwrap();

    let theirs = theirs["payload"].as_object().unwrap();
    for (key, part) in theirs {
        let ours = client.hello[key].as_object();
        let keys = |map: &serde_json::Map<String, Value>| -> BTreeSet<String> {
            map.keys().cloned().collect()
        };
        match part.as_object() {
            Some(part) if key != "pluginSurfaceUrls" => {
                assert_eq!(keys(ours.unwrap()), keys(part), "{key}");
            }
            _ => assert!(client.hello.get(key).is_some(), "{key}"),
        }
    }
}

/// The frames that a real OpenClaw sent; `None` if this machine has no recordings.
fn recording(name: &str) -> Option<Vec<Value>> {
    let root = option_env!("CLAWKAKA_FIXTURES")?;
    let path = Path::new(root).join(format!("openclaw/{name}.jsonl"));
    let text = std::fs::read_to_string(path).ok()?;
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    Some(
        lines
            .filter(|line| line["direction"] == "in")
            .map(|line| line["frame"].clone())
            .collect(),
    )
}

fn kind(frame: &Value) -> Option<String> {
    let payload = &frame["payload"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    match frame["event"].as_str()? {
        "chat" => Some(format!(
            "chat {} {}",
            text(&payload["state"]),
            text(&payload["phase"])
        )),
        "agent" => Some(format!(
            "agent {} {}",
            text(&payload["stream"]),
            text(&payload["data"]["phase"])
        )),
        _ => None,
    }
}

/// The kinds of events, in the order of their first occurrence.
fn order(frames: &[Value]) -> Vec<String> {
    let mut seen = Vec::new();
    for kind in frames.iter().filter_map(kind) {
        if !seen.contains(&kind) {
            seen.push(kind);
        }
    }
    seen
}

fn keys_by_kind(frames: &[Value]) -> BTreeMap<String, BTreeSet<String>> {
    let mut shapes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for frame in frames {
        if let Some(kind) = kind(frame) {
            let shape = shape(&frame["payload"]).to_string();
            shapes.entry(kind).or_default().insert(shape);
        }
    }
    shapes
}

/// The value with every leaf replaced by null, so that only the keys are compared.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), shape(v))).collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Value::Null,
    }
}
