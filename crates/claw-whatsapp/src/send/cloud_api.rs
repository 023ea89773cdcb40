use async_trait::async_trait;
use claw_domain::{Address, DeliveryId, Sensitive, Wamid};
use reqwest::{Client, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Refusal, SendError, Template, WhatsApp};

/// Longest part of an unreadable answer that we keep.
const EXCERPT_CHARS: usize = 500;

/// The settings of the Cloud API client.
#[derive(Debug, Clone)]
pub struct CloudApiConfig {
    /// The API's address with its version, such as `https://graph.facebook.com/v24.0`.
    pub base_url: String,
    /// Meta's id of the number we send from, which is not the number itself.
    pub phone_number_id: String,
    /// The Meta app's access token, sent as a bearer token.
    pub access_token: SecretString,
}

/// A client of Meta's Cloud API.
#[derive(Debug, Clone)]
pub struct CloudApi {
    client: Client,
    messages_url: String,
    access_token: SecretString,
}

impl CloudApi {
    /// Uses this HTTP client, whose timeouts bound every call.
    pub fn new(client: Client, config: CloudApiConfig) -> Self {
        let base_url = config.base_url.trim_end_matches('/');
        Self {
            client,
            messages_url: format!("{base_url}/{}/messages", config.phone_number_id),
            access_token: config.access_token,
        }
    }

    async fn send(&self, message: Value) -> Result<Wamid, SendError> {
        let answer = self.post(&message).await?;
        // An unreadable 200 means that Meta accepted the message; a status will carry its id.
        let sent: Sent =
            serde_json::from_slice(&answer).map_err(|e| SendError::Unknown(e.into()))?;
        let [message, ..] = &sent.messages[..] else {
            return Err(SendError::Unknown(
                "the answer contains no message id".into(),
            ));
        };
        Ok(Wamid::new(message.id.as_str()))
    }

    async fn post(&self, body: &Value) -> Result<Vec<u8>, SendError> {
        let response = self
            .client
            .post(&self.messages_url)
            .bearer_auth(self.access_token.expose_secret())
            .json(body)
            .send()
            .await
            .map_err(unanswered)?;
        let status = response.status();
        let answer = read_answer(response).await?;
        if status.is_success() {
            Ok(answer)
        } else {
            Err(SendError::refused(read_refusal(status, &answer)))
        }
    }
}

#[async_trait]
impl WhatsApp for CloudApi {
    async fn send_text(
        &self,
        to: &Address,
        text: &str,
        tracker: DeliveryId,
    ) -> Result<Wamid, SendError> {
        let text = json!({ "body": text, "preview_url": false });
        self.send(message(to, "text", text, tracker)).await
    }

    async fn send_template(
        &self,
        to: &Address,
        template: &Template,
        text: &str,
        tracker: DeliveryId,
    ) -> Result<Wamid, SendError> {
        let template = json!({
            "name": template.name,
            "language": { "code": template.language },
            "components": [{
                "type": "body",
                "parameters": [{ "type": "text", "text": text }],
            }],
        });
        self.send(message(to, "template", template, tracker)).await
    }

    async fn mark_read_and_typing(&self, wamid: &Wamid) -> Result<(), SendError> {
        self.post(&read_and_typing(wamid)).await.map(drop)
    }
}

fn message(to: &Address, kind: &str, content: Value, tracker: DeliveryId) -> Value {
    let mut message = json!({
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "type": kind,
        "biz_opaque_callback_data": tracker,
    });
    message[kind] = content;
    match to {
        // Without the `+`, Meta may read the digits as a national number.
        Address::Phone(phone) => message["to"] = phone.expose_e164().into(),
        Address::WhatsApp(id) => message["recipient"] = id.expose().into(),
    }
    message
}

fn read_and_typing(wamid: &Wamid) -> Value {
    json!({
        "messaging_product": "whatsapp",
        "status": "read",
        "message_id": wamid.as_str(),
        "typing_indicator": { "type": "text" },
    })
}

/// The error for a request without an answer, by whether the request was sent.
fn unanswered(error: reqwest::Error) -> SendError {
    // The URL contains the phone number id, which must not appear in error messages.
    let error = error.without_url();
    if error.is_connect() {
        SendError::NotSent(error.into())
    } else if error.is_builder() {
        SendError::Operator(Refusal {
            http_status: 0,
            code: None,
            message: Some("the base URL, phone number id or token is invalid".into()),
            details: Some(error.to_string().into()),
            trace: None,
        })
    } else {
        SendError::Unknown(error.into())
    }
}

async fn read_answer(response: Response) -> Result<Vec<u8>, SendError> {
    match response.bytes().await {
        Ok(answer) => Ok(answer.to_vec()),
        Err(error) => Err(SendError::Unknown(error.without_url().into())),
    }
}

fn read_refusal(status: StatusCode, answer: &[u8]) -> Refusal {
    let http_status = status.as_u16();
    match serde_json::from_slice::<Failed>(answer) {
        Ok(Failed { error }) => Refusal {
            http_status,
            code: Some(error.code),
            message: error.message,
            details: error.error_data.and_then(|data| data.details),
            trace: error.fbtrace_id,
        },
        Err(_) => Refusal {
            http_status,
            code: None,
            message: None,
            details: Some(excerpt(answer)),
            trace: None,
        },
    }
}

fn excerpt(answer: &[u8]) -> Sensitive<String> {
    let text = String::from_utf8_lossy(answer);
    Sensitive::new(text.chars().take(EXCERPT_CHARS).collect())
}

#[derive(Deserialize)]
struct Sent {
    messages: Vec<SentMessage>,
}

#[derive(Deserialize)]
struct SentMessage {
    id: String,
}

#[derive(Deserialize)]
struct Failed {
    error: GraphError,
}

#[derive(Deserialize)]
struct GraphError {
    code: i64,
    message: Option<String>,
    error_data: Option<ErrorData>,
    fbtrace_id: Option<String>,
}

#[derive(Deserialize)]
struct ErrorData {
    details: Option<Sensitive<String>>,
}
