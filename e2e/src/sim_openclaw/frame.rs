use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

/// A request frame.
#[derive(Debug, Deserialize)]
pub(super) struct Request {
    pub(super) id: String,
    pub(super) method: String,
    #[serde(default)]
    pub(super) params: Value,
}

/// What goes out on one connection, in order.
#[derive(Debug, Clone)]
pub(super) enum Out {
    /// An event without its closing brace: each connection adds its own `seq`.
    Event(Arc<str>),
    /// A whole frame.
    Response(String),
    /// Close with a code and a reason.
    Close(u16, &'static str),
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) retry_after_ms: Option<u64>,
    pub(super) details: Option<Value>,
}

impl Refusal {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self {
            code: "INVALID_REQUEST",
            message: message.into(),
            retry_after_ms: None,
            details: None,
        }
    }

    pub(super) fn with(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    pub(super) fn unavailable(message: impl Into<String>, after_ms: u64, details: Value) -> Self {
        Self {
            code: "UNAVAILABLE",
            message: message.into(),
            retry_after_ms: Some(after_ms),
            details: Some(details),
        }
    }

    pub(super) fn missing_scope(scope: &str) -> Self {
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
pub(super) fn response(id: &str, answer: &Result<Value, Refusal>) -> String {
    match answer {
        Ok(payload) => {
            json!({ "type": "res", "id": id, "ok": true, "payload": payload }).to_string()
        }
        Err(refusal) => {
            json!({ "type": "res", "id": id, "ok": false, "error": refusal.error() }).to_string()
        }
    }
}

/// An event to which connections add their `seq`.
pub(super) fn event(name: &str, payload: &Value) -> Out {
    Out::Event(format!(r#"{{"type":"event","event":"{name}","payload":{payload}"#).into())
}

/// The event with the number it has on one connection.
pub(super) fn numbered(event: &str, seq: u64) -> String {
    format!("{event},\"seq\":{seq}}}")
}
