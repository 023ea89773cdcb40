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
async fn a_valid_handshake_grants_the_requested_scopes() {
    let sim = plain().await;
    let client = Client::of(&sim, "alice").await;

    assert_eq!(client.hello["type"], "hello-ok");
    assert_eq!(client.hello["protocol"], 4);
    assert_eq!(client.hello["auth"]["scopes"].as_array().unwrap().len(), 3);
    assert_eq!(client.hello["policy"]["tickIntervalMs"], 30_000);
}

#[tokio::test]
async fn every_invalid_connect_has_its_error_code_and_close_code() {
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
async fn after_ten_wrong_tokens_the_right_token_is_refused_too() {
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
async fn a_client_without_a_device_is_admitted_without_scopes() {
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
async fn with_pairing_by_hand_a_device_is_refused_until_it_is_approved() {
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
async fn a_client_whose_first_request_is_late_or_not_connect_is_disconnected() {
    let sim = sim(SimOpenClawConfig {
        handshake: Duration::from_millis(20),
        ..SimOpenClawConfig::default()
    })
    .await;
    let mut silent = Client::challenged(&sim, "alice").await;
    assert_eq!(silent.closed().await, Closed::With(1000, String::new()));

    let sim = plain().await;
    let mut hasty = Client::challenged(&sim, "alice").await;
    hasty.ask("health", json!({})).await;
    let reason = "invalid handshake: first request must be connect";
    assert_eq!(hasty.closed().await, Closed::With(1008, reason.to_owned()));
}

#[tokio::test]
async fn a_frame_too_large_for_the_handshake_closes_the_connection_with_1009() {
    let sim = plain().await;
    let mut client = Client::challenged(&sim, "alice").await;

    client.say("x".repeat(70_000)).await;

    assert_eq!(client.closed().await, Closed::With(1009, String::new()));
}
