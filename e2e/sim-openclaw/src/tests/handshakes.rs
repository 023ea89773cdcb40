use super::{client::Closed, *};

/// Tries to connect with changed parameters; returns the error and how the connection closed.
async fn refusal(sim: &SimOpenClaw, change: impl FnOnce(&mut Value)) -> (Value, Closed) {
    let mut client = Client::challenged(sim, "alice").await;
    let params = client.connect_params(change);
    let answer = client.call("connect", params).await;
    assert_eq!(answer["ok"], false, "{answer}");
    (answer["error"].clone(), client.closed().await)
}

fn code(refusal: &(Value, Closed)) -> (&str, u16) {
    let Closed::With(close, _) = refusal.1 else {
        panic!("{refusal:?}")
    };
    (
        refusal.0["details"]["code"].as_str().unwrap_or_default(),
        close,
    )
}

#[tokio::test]
async fn a_good_handshake_grants_the_scopes_asked_for() {
    let sim = plain().await;
    let client = Client::of(&sim, "alice").await;

    assert_eq!(client.hello["type"], "hello-ok");
    assert_eq!(client.hello["protocol"], 4);
    assert_eq!(client.hello["auth"]["scopes"].as_array().unwrap().len(), 3);
    assert_eq!(client.hello["policy"]["tickIntervalMs"], 30_000);
}

#[tokio::test]
async fn every_mistake_has_its_code_and_close_code() {
    let sim = plain().await;
    Client::of(&sim, "alice").await;

    let wrong = refusal(&sim, |p| p["auth"]["token"] = json!("x")).await;
    assert_eq!(code(&wrong), ("AUTH_TOKEN_MISMATCH", 1008));
    let none = refusal(&sim, |p| p["auth"] = json!({})).await;
    assert_eq!(code(&none), ("AUTH_TOKEN_MISSING", 1008));
    let signature = refusal(&sim, |p| p["device"]["signature"] = json!("AAAA")).await;
    assert_eq!(code(&signature), ("DEVICE_AUTH_SIGNATURE_INVALID", 1008));
    let id = refusal(&sim, |p| p["device"]["id"] = json!("00")).await;
    assert_eq!(code(&id), ("DEVICE_AUTH_DEVICE_ID_MISMATCH", 1008));
    let replayed = refusal(&sim, |p| p["device"]["nonce"] = json!("x")).await;
    assert_eq!(code(&replayed), ("DEVICE_AUTH_NONCE_MISMATCH", 1008));
    let old = refusal(&sim, |p| p["device"]["signedAt"] = json!(1_795_327_141)).await;
    assert_eq!(code(&old), ("DEVICE_AUTH_SIGNATURE_EXPIRED", 1008));
    let version = refusal(&sim, |p| p["maxProtocol"] = json!(3)).await;
    assert_eq!(code(&version), ("PROTOCOL_MISMATCH", 1002));
    let platform = refusal(&sim, |p| p["client"]["platform"] = json!("darwin")).await;
    assert_eq!(platform.0["details"]["reason"], "metadata-upgrade");
    let scopes = refusal(&sim, |p| p["scopes"] = json!(["bogus"])).await;
    assert_eq!(scopes.0["details"]["reason"], "scope-upgrade");
    let unknown = refusal(&sim, |p| p["foo"] = json!(1)).await;
    assert_eq!(
        unknown.0["message"],
        "invalid connect params: at root: unexpected property 'foo'"
    );
    let mode = refusal(&sim, |p| p["client"]["mode"] = json!("operator")).await;
    assert_eq!(
        mode.0["message"],
        "invalid connect params: at /client/mode: must be equal to one of the allowed values"
    );
    assert_eq!(sim.stats_of("alice").refused["PROTOCOL_MISMATCH"], 1);
}

#[tokio::test]
async fn ten_wrong_tokens_lock_out_the_right_one_too() {
    let sim = plain().await;
    for _ in 0..10 {
        refusal(&sim, |p| p["auth"]["token"] = json!("x")).await;
    }

    let locked = refusal(&sim, |_| {}).await;

    assert_eq!(code(&locked), ("AUTH_RATE_LIMITED", 1008));
    assert!(locked.0["retryAfterMs"].as_u64().unwrap() > 290_000);
    assert_eq!(locked.0["retryable"], true);
}

#[tokio::test]
async fn without_a_device_one_gets_in_but_may_do_nothing() {
    let sim = plain().await;
    let mut client = Client::challenged(&sim, "alice").await;
    let params = client.connect_params(|p| {
        p.as_object_mut().unwrap().remove("device");
    });

    let hello = client.call("connect", params).await;
    let list = client.call("sessions.list", json!({})).await;

    assert_eq!(hello["payload"]["auth"]["scopes"], json!([]));
    assert_eq!(list["error"]["details"]["code"], "MISSING_SCOPE");
}

#[tokio::test]
async fn a_device_waits_for_its_approval_when_pairing_is_by_hand() {
    let sim = sim(SimOpenClawConfig {
        pairing: Pairing::ByHand,
        ..SimOpenClawConfig::default()
    })
    .await;

    let refused = refusal(&sim, |_| {}).await;
    assert_eq!(code(&refused), ("PAIRING_REQUIRED", 1008));
    let request = refused.0["details"]["requestId"].as_str().unwrap();

    assert!(sim.approve("alice", request));
    Client::of(&sim, "alice").await;
}

#[tokio::test]
async fn whoever_does_not_speak_is_shown_the_door() {
    let sim = sim(SimOpenClawConfig {
        handshake: Duration::from_millis(20),
        ..SimOpenClawConfig::default()
    })
    .await;
    let mut silent = Client::challenged(&sim, "alice").await;
    assert_eq!(silent.closed().await, Closed::With(1000, String::new()));

    let sim = plain().await;
    let mut rude = Client::challenged(&sim, "alice").await;
    rude.ask("health", json!({})).await;
    let words = "invalid handshake: first request must be connect";
    assert_eq!(rude.closed().await, Closed::With(1008, words.to_owned()));
}

#[tokio::test]
async fn a_frame_too_large_for_the_handshake_closes_with_1009() {
    let sim = plain().await;
    let mut client = Client::challenged(&sim, "alice").await;

    client.say("x".repeat(70_000)).await;

    assert_eq!(client.closed().await, Closed::With(1009, String::new()));
}
