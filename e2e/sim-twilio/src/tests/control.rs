use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn the_control_api_calls_speaks_shows_the_call_and_hangs_up() {
    let server = Server::of_pages(&[
        (
            "/voice",
            "<Gather input='speech' action='/heard'><Say>Hello</Say></Gather>",
        ),
        (
            "/heard",
            "<Say>Done.</Say><Gather numDigits='1' action='/heard'/>",
        ),
    ])
    .await;
    let sim = sim_at(&server).await;
    let client = reqwest::Client::new();
    let url = |path: &str| format!("http://{}/sim/calls{path}", sim.addr());
    let post = |path: String, body: Value| client.post(url(&path)).json(&body).send();

    let dialled = post(String::new(), json!({ "from": ALICE })).await.unwrap();
    let dialled: Value = dialled.json().await.unwrap();
    let sid = dialled["sid"].as_str().unwrap();
    let spoken = post(format!("/{sid}/say"), json!({ "text": "Hi" })).await;
    assert_eq!(spoken.unwrap().status(), 204);
    let view = client.get(url(&format!("/{sid}?heard=2&timeout_ms=20000")));
    let view: Value = view.send().await.unwrap().json().await.unwrap();
    assert_eq!(view["heard"][1]["spoken"], "Done.");
    let keyed = post(format!("/{sid}/key"), json!({ "digits": "12" })).await;
    assert_eq!(keyed.unwrap().status(), 409);
    let hung_up = post(format!("/{sid}/hangup"), json!({})).await;
    assert_eq!(hung_up.unwrap().status(), 204);
    let view = client.get(url(&format!("/{sid}?ended=true&timeout_ms=20000")));
    let view: Value = view.send().await.unwrap().json().await.unwrap();
    assert_eq!(view["ended"]["why"], "caller_hung_up");
    let unknown = client.get(url("/CAunknown")).send().await.unwrap();
    assert_eq!(unknown.status(), 404);
}
