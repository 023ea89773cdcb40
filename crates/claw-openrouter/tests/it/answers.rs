use std::time::Duration;

use claw_model_keys::{KeyError, KeyHash, LimitReset, ModelKeys, SpendLimit};
use claw_openrouter::OpenRouter;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, ResponseTemplate,
    matchers::{body_json, header, method, path, query_param},
};

/// The limit in the recorded answer to a creation.
const RECORDED_LIMIT: SpendLimit = SpendLimit {
    usd: 50.0,
    reset: LimitReset::Monthly,
};
const RECORDED_HASH: &str = "f01d52606dc8f0a8303a7b5cc3fa07109c2e346cec7c0a16b40de462992ce943";

#[tokio::test]
async fn a_minted_key_has_its_hash_and_its_secret() {
    let (server, keys) = openrouter().await;
    let asked = json!({ "name": "clawkaka:a:b", "limit": 50.0, "limit_reset": "monthly" });
    Mock::given(method("POST"))
        .and(path("/api/v1/keys"))
        .and(header("authorization", "Bearer management"))
        .and(body_json(asked))
        .respond_with(recorded(
            201,
            include_str!("../fixtures/keys_create_201.json"),
        ))
        .expect(1)
        .mount(&server)
        .await;

    let minted = keys.mint("clawkaka:a:b", RECORDED_LIMIT).await.unwrap();

    assert_eq!(minted.hash, KeyHash::new(RECORDED_HASH));
    assert!(minted.key.expose_secret().starts_with("sk-or-v1-"));
    assert!(!format!("{minted:?}").contains("sk-or"));
}

#[tokio::test]
async fn a_key_made_without_the_requested_limit_is_deleted() {
    let (server, keys) = openrouter().await;
    Mock::given(method("POST"))
        .respond_with(recorded(
            201,
            include_str!("../fixtures/keys_create_201.json"),
        ))
        .mount(&server)
        .await;
    Mock::given(method("DELETE"))
        .and(path(format!("/api/v1/keys/{RECORDED_HASH}")))
        .respond_with(recorded(
            200,
            include_str!("../fixtures/key_delete_200.json"),
        ))
        .expect(1)
        .mount(&server)
        .await;

    let asked = SpendLimit {
        usd: 5.0,
        reset: LimitReset::Daily,
    };
    let error = keys.mint("clawkaka:a:b", asked).await.unwrap_err();

    assert_eq!(
        error.to_string(),
        "minting a model key: requested a limit of 5 USD daily, the model provider applied 50 USD monthly"
    );
    assert!(!error.is_transient());
}

#[tokio::test]
async fn a_listing_ends_with_a_page_that_is_not_full_and_skips_entries_it_cannot_decode() {
    let (server, keys) = openrouter().await;
    let mut full: Vec<Value> = (0..99)
        .map(|n| json!({ "hash": format!("h{n}") }))
        .collect();
    full.push(json!({ "name": "no hash" }));
    page(&server, "0", json!({ "data": full })).await;
    let last = include_str!("../fixtures/keys_list_200.json")
        .parse()
        .unwrap();
    page(&server, "100", last).await;

    let listed = keys.list().await.unwrap();

    assert_eq!(listed.len(), 100);
    let recorded = listed
        .iter()
        .find(|key| key.hash == KeyHash::new(RECORDED_HASH))
        .unwrap();
    assert_eq!(recorded.name, "My Production Key");
}

#[tokio::test]
async fn revoking_a_deleted_key_succeeds() {
    let (server, keys) = openrouter().await;
    let gone = json!({ "error": { "code": 404, "message": "Resource not found" } });
    Mock::given(method("DELETE"))
        .respond_with(ResponseTemplate::new(404).set_body_json(gone))
        .expect(1)
        .mount(&server)
        .await;

    assert!(keys.revoke(&KeyHash::new("gone")).await.is_ok());
}

#[tokio::test]
async fn a_key_is_disabled_and_enabled_and_a_deleted_one_needs_no_change() {
    let (server, keys) = openrouter().await;
    for disabled in [true, false] {
        Mock::given(method("PATCH"))
            .and(path(format!("/api/v1/keys/{RECORDED_HASH}")))
            .and(header("authorization", "Bearer management"))
            .and(body_json(json!({ "disabled": disabled })))
            .respond_with(recorded(
                200,
                include_str!("../fixtures/keys_create_201.json"),
            ))
            .expect(1)
            .mount(&server)
            .await;
        let hash = KeyHash::new(RECORDED_HASH);
        keys.set_disabled(&hash, disabled).await.unwrap();
    }
    let gone = json!({ "error": { "code": 404, "message": "Resource not found" } });
    answer_all(&server, ResponseTemplate::new(404).set_body_json(gone)).await;
    let gone = KeyHash::new("gone");
    assert!(keys.set_disabled(&gone, true).await.is_ok());
}

#[tokio::test]
async fn recorded_refusals_are_transient_only_for_throttling_and_server_errors() {
    let cases: Value = include_str!("../fixtures/keys_errors.json")
        .parse()
        .unwrap();
    for case in cases["cases"].as_array().unwrap() {
        let status = u16::try_from(case["status"].as_u64().unwrap()).unwrap();
        let (server, keys) = openrouter().await;
        answer_all(
            &server,
            ResponseTemplate::new(status).set_body_json(&case["body"]),
        )
        .await;

        let error = keys.list().await.unwrap_err();

        let is_denied = matches!(error, KeyError::Denied { .. });
        assert_eq!(is_denied, matches!(status, 401 | 403), "{status}: {error}");
        assert_eq!(
            error.is_transient(),
            matches!(status, 429 | 500),
            "{status}: {error}"
        );
    }
}

#[tokio::test]
async fn an_error_in_an_answer_with_a_success_status_is_an_error() {
    let (server, keys) = openrouter().await;
    let body =
        json!({ "error": { "code": 500, "message": "Internal Server Error" }, "user_id": "u" });
    answer_all(&server, ResponseTemplate::new(200).set_body_json(body)).await;

    let error = keys.mint("n", RECORDED_LIMIT).await.unwrap_err();

    assert!(
        matches!(error, KeyError::Busy { status: 500, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn an_advised_pause_is_followed_up_to_a_minute() {
    for (asked, granted) in [("7", Some(7)), ("86400", Some(60)), ("soon", None)] {
        let (server, keys) = openrouter().await;
        let busy = ResponseTemplate::new(429).insert_header("retry-after", asked);
        answer_all(&server, busy).await;

        let error = keys.list().await.unwrap_err();

        assert_eq!(
            error.retry_after(),
            granted.map(Duration::from_secs),
            "{asked}"
        );
    }
}

#[tokio::test]
async fn an_html_page_and_an_unreachable_server_are_transient_errors() {
    let (server, keys) = openrouter().await;
    answer_all(
        &server,
        ResponseTemplate::new(200).set_body_string("<html>"),
    )
    .await;
    assert!(keys.list().await.unwrap_err().is_transient());

    drop(server);
    assert!(keys.list().await.unwrap_err().is_transient());
}

async fn openrouter() -> (MockServer, OpenRouter) {
    let server = MockServer::start().await;
    let http = claw_runtime::http::client(claw_runtime::HttpTimeouts::default());
    let base_url = format!("{}/api/v1/", server.uri());
    (
        server,
        OpenRouter::new(http, &base_url, "management".into()),
    )
}

async fn page(server: &MockServer, offset: &str, body: Value) {
    Mock::given(method("GET"))
        .and(path("/api/v1/keys"))
        .and(query_param("offset", offset))
        .and(query_param("include_disabled", "true"))
        .respond_with(ResponseTemplate::new(200).set_body_json(body))
        .expect(1)
        .mount(server)
        .await;
}

async fn answer_all(server: &MockServer, answer: ResponseTemplate) {
    Mock::given(wiremock::matchers::any())
        .respond_with(answer)
        .mount(server)
        .await;
}

fn recorded(status: u16, body: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(body, "application/json")
}
