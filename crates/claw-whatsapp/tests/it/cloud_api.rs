//! Sending to an HTTP server that answers like Meta.

use std::time::Duration;

use claw_domain::{Address, DeliveryId, PhoneNumber, Wamid, WhatsAppUserId};
use claw_runtime::{HttpTimeouts, http};
use claw_whatsapp::send::{CloudApi, CloudApiConfig, SendError, WhatsApp};
use secrecy::SecretString;
use serde_json::{Value, json};
use wiremock::{
    Mock, MockServer, Request, ResponseTemplate,
    matchers::{body_json, header, method, path},
};

fn api(base_url: &str) -> CloudApi {
    let client = http::client(HttpTimeouts {
        connect: Duration::from_secs(5),
        total: Duration::from_millis(500),
    });
    CloudApi::new(
        client,
        CloudApiConfig {
            base_url: base_url.to_owned(),
            phone_number_id: "1055".into(),
            access_token: SecretString::from("token"),
        },
    )
}

fn ada() -> Address {
    Address::Phone(PhoneNumber::try_from("15550000001").unwrap())
}

fn tracker() -> DeliveryId {
    DeliveryId::derived_from("x")
}

async fn answering(response: ResponseTemplate) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(response)
        .mount(&server)
        .await;
    server
}

async fn send_to(server: &MockServer) -> Result<Wamid, SendError> {
    api(&server.uri())
        .send_text(&ada(), "Hello", tracker())
        .await
}

fn refusal(code: i64) -> Value {
    json!({"error": {
        "message": format!("(#{code}) No"), "type": "OAuthException", "code": code,
        "error_data": {"messaging_product": "whatsapp", "details": "because"},
        "error_subcode": 2_494_055, "fbtrace_id": "Az8",
    }})
}

#[tokio::test]
async fn a_text_is_sent_to_the_number_with_plus_and_with_our_id() {
    let server = MockServer::start().await;
    Mock::given(path("/v24.0/1055/messages"))
        .and(header("authorization", "Bearer token"))
        .and(body_json(json!({
            "messaging_product": "whatsapp", "recipient_type": "individual",
            "to": "+15550000001", "type": "text",
            "text": {"body": "Hello", "preview_url": false},
            "biz_opaque_callback_data": tracker().to_string(),
        })))
        .respond_with(ResponseTemplate::new(200).set_body_json(json!({
            "messaging_product": "whatsapp",
            "contacts": [{"input": "+15550000001", "wa_id": "15550000001"}],
            "messages": [{"id": "wamid.NEW"}],
        })))
        .mount(&server)
        .await;

    let api = api(&format!("{}/v24.0/", server.uri()));
    let sent = api.send_text(&ada(), "Hello", tracker()).await;

    assert_eq!(sent.unwrap(), Wamid::new("wamid.NEW"));
}

#[tokio::test]
async fn a_template_is_sent_with_its_parameter_and_our_id() {
    let server = answering(
        ResponseTemplate::new(200).set_body_json(json!({"messages": [{"id": "wamid.NEW"}]})),
    )
    .await;
    let template = "assistant_writes:en_US".parse().unwrap();

    let sent = api(&server.uri())
        .send_template(&ada(), &template, "It rains", tracker())
        .await;

    assert_eq!(sent.unwrap(), Wamid::new("wamid.NEW"));
    assert_eq!(
        only_body(&server).await,
        json!({
            "messaging_product": "whatsapp", "recipient_type": "individual",
            "to": "+15550000001", "type": "template",
            "template": {
                "name": "assistant_writes", "language": {"code": "en_US"},
                "components": [{"type": "body", "parameters": [{"type": "text", "text": "It rains"}]}],
            },
            "biz_opaque_callback_data": tracker().to_string(),
        })
    );
}

#[tokio::test]
async fn a_user_with_a_hidden_number_is_addressed_by_id() {
    let server = answering(
        ResponseTemplate::new(200).set_body_json(json!({"messages": [{"id": "wamid.NEW"}]})),
    )
    .await;
    let hidden = Address::WhatsApp(WhatsAppUserId::try_from("US.1").unwrap());

    let sent = api(&server.uri())
        .send_text(&hidden, "Hello", tracker())
        .await;

    assert!(sent.is_ok());
    let body = only_body(&server).await;
    assert_eq!(
        (&body["recipient"], &body["to"]),
        (&json!("US.1"), &Value::Null)
    );
}

#[tokio::test]
async fn one_request_marks_a_message_as_read_and_shows_typing() {
    let server =
        answering(ResponseTemplate::new(200).set_body_json(json!({"success": true}))).await;

    let marked = api(&server.uri())
        .mark_read_and_typing(&Wamid::new("wamid.A"))
        .await;

    assert!(marked.is_ok());
    assert_eq!(
        only_body(&server).await,
        json!({
            "messaging_product": "whatsapp", "status": "read", "message_id": "wamid.A",
            "typing_indicator": {"type": "text"},
        })
    );
}

#[tokio::test]
async fn a_rate_limit_is_recognized_by_its_code_although_it_comes_as_400() {
    let server = answering(ResponseTemplate::new(400).set_body_json(refusal(130_429))).await;

    let error = send_to(&server).await.unwrap_err();

    assert!(matches!(error, SendError::SlowDown(_)), "{error:?}");
    assert_eq!(error.code(), Some(130_429));
    let refusal = error.refusal().unwrap();
    assert_eq!(refusal.details, Some("because".into()));
    assert_eq!(refusal.trace.as_deref(), Some("Az8"));
}

#[tokio::test]
async fn an_expired_token_needs_the_operator() {
    let server = answering(ResponseTemplate::new(401).set_body_json(refusal(190))).await;

    assert!(matches!(
        send_to(&server).await,
        Err(SendError::Operator(_))
    ));
}

#[tokio::test]
async fn an_error_page_of_a_proxy_leaves_the_outcome_unknown() {
    let server =
        answering(ResponseTemplate::new(502).set_body_string("<h1>Bad gateway</h1>")).await;

    assert!(matches!(send_to(&server).await, Err(SendError::Unknown(_))));
}

#[tokio::test]
async fn an_unreadable_success_leaves_the_outcome_unknown() {
    for body in ["", "{}", r#"{"messages":[]}"#] {
        let server = answering(ResponseTemplate::new(200).set_body_string(body)).await;

        assert!(
            matches!(send_to(&server).await, Err(SendError::Unknown(_))),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_missing_answer_leaves_the_outcome_unknown() {
    let never = ResponseTemplate::new(200).set_delay(Duration::from_mins(1));
    let server = answering(never).await;

    assert!(matches!(send_to(&server).await, Err(SendError::Unknown(_))));
}

#[tokio::test]
async fn without_a_connection_nothing_was_sent() {
    // A port on which nobody listens any more.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);

    let sent = api(&format!("http://{address}"))
        .send_text(&ada(), "Hello", tracker())
        .await;

    assert!(matches!(sent, Err(SendError::NotSent(_))), "{sent:?}");
}

#[tokio::test]
async fn a_token_that_is_invalid_in_a_header_needs_the_operator() {
    let api = CloudApi::new(
        http::client(HttpTimeouts::default()),
        CloudApiConfig {
            base_url: "http://127.0.0.1:1".into(),
            phone_number_id: "1055".into(),
            access_token: SecretString::from("line\nend"),
        },
    );

    let sent = api.send_text(&ada(), "Hello", tracker()).await;

    assert!(matches!(sent, Err(SendError::Operator(_))), "{sent:?}");
}

/// Recorded answers with their HTTP status and the result.
const ANSWERS: [(&str, u16, &str); 5] = [
    ("api_send_text_200.json", 200, "accepted"),
    ("api_send_template_200_paced.json", 200, "accepted"),
    ("api_error_130429.json", 400, "slow_down"),
    ("api_error_190.json", 401, "operator"),
    ("api_error_100.json", 400, "permanent"),
];

#[tokio::test]
async fn recorded_answers_are_classified() {
    for (name, status, expected) in ANSWERS {
        let Some(answer) = crate::fixtures::read(name) else {
            return;
        };
        let server = answering(ResponseTemplate::new(status).set_body_bytes(answer)).await;

        let outcome = match send_to(&server).await {
            Ok(_) => "accepted",
            Err(error) => error.as_str(),
        };

        assert_eq!(outcome, expected, "{name}");
    }
}

async fn only_body(server: &MockServer) -> Value {
    let requests: Vec<Request> = server.received_requests().await.unwrap();
    assert_eq!(requests.len(), 1);
    requests[0].body_json().unwrap()
}
