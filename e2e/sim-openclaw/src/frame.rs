use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

/// A request of a client; `id` is repeated in the response.
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    pub(crate) id: String,
    pub(crate) method: String,
    #[serde(default)]
    pub(crate) params: Value,
}

/// An outgoing frame in the queue of one connection.
#[derive(Debug, Clone)]
pub(crate) enum Outgoing {
    /// An event without its closing brace, so that each connection can append its own `seq`.
    Event(Arc<str>),
    /// A complete response frame.
    Response(String),
    /// A close frame with its code and reason.
    Close(u16, &'static str),
}

/// The error of a refused request, as in its response.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) retry_after_ms: Option<u64>,
    pub(crate) details: Option<Value>,
}

impl Refusal {
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self {
            code: "INVALID_REQUEST",
            message: message.into(),
            retry_after_ms: None,
            details: None,
        }
    }

    pub(crate) fn with(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    pub(crate) fn unavailable(message: impl Into<String>, after_ms: u64, details: Value) -> Self {
        Self {
            code: "UNAVAILABLE",
            message: message.into(),
            retry_after_ms: Some(after_ms),
            details: Some(details),
        }
    }

    pub(crate) fn missing_scope(scope: &str) -> Self {
        Self {
            code: "FORBIDDEN",
            message: format!("missing scope: {scope}"),
            retry_after_ms: None,
            details: Some(json!({
                "code": "MISSING_SCOPE",
                "missingScope": scope,
                "requiredScopes": [scope],
            })),
        }
    }

    fn error(&self) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(after_ms) = self.retry_after_ms {
            error["retryable"] = json!(true);
            error["retryAfterMs"] = json!(after_ms);
        }
        if let Some(details) = &self.details {
            error["details"] = details.clone();
        }
        error
    }
}

/// The response frame to request `id`.
pub(crate) fn response(id: &str, answer: &Result<Value, Refusal>) -> String {
    match answer {
        Ok(payload) => {
            json!({ "type": "res", "id": id, "ok": true, "payload": payload }).to_string()
        }
        Err(refusal) => {
            json!({ "type": "res", "id": id, "ok": false, "error": refusal.error() }).to_string()
        }
    }
}

/// Makes an event; each connection appends its own `seq`.
pub(crate) fn event(name: &str, payload: &Value) -> Outgoing {
    Outgoing::Event(format!(r#"{{"type":"event","event":"{name}","payload":{payload}"#).into())
}

/// Completes an event with its sequence number on one connection.
pub(crate) fn numbered(event: &str, seq: u64) -> String {
    format!("{event},\"seq\":{seq}}}")
}
