use serde_json::{Value, json};

/// A failed run, with the texts and codes that a real OpenClaw reports.
pub(crate) struct Failure {
    pub(crate) reason: Option<String>,
    pub(crate) kind: Option<&'static str>,
    /// The text of the lifecycle event and of the first `chat` error.
    pub(crate) message: String,
    /// The text of the second `chat` error and of the answer to `agent.wait`.
    pub(crate) second_message: String,
    runtime_kind: &'static str,
}

impl Failure {
    /// A failure of the model's provider, by failover reason (`auth`, `billing`, `rate_limit`, …).
    pub(crate) fn of_reason(reason: &str) -> Self {
        let (message, kind, runtime_kind) = match reason {
            "auth" => (
                "⚠️ openrouter/mock/model-1 request failed (authentication failed, HTTP 401). \
                 Re-authenticate the provider and try again.",
                None,
                "unclassified",
            ),
            "billing" => (
                "⚠️ openrouter (mock/model-1) returned a billing error — your API key has run out \
                 of credits or has an insufficient balance. Check your openrouter billing \
                 dashboard and top up or switch to a different API key.",
                None,
                "unclassified",
            ),
            "model_not_found" => (
                "The selected model was not found by the provider. Check the model id or choose \
                 a different model.",
                None,
                "model_not_found",
            ),
            "rate_limit" => (
                "⚠️ API rate limit reached. Please try again later.",
                Some("rate_limit"),
                "rate_limit",
            ),
            "timeout" => ("LLM request timed out.", Some("timeout"), "timeout"),
            _ => (
                "⚠️ openrouter/mock/model-1 request failed (provider internal error, HTTP 500). \
                 This is usually temporary — try again shortly.",
                None,
                "timeout",
            ),
        };
        Self {
            reason: Some(reason.to_owned()),
            kind,
            runtime_kind,
            message: message.to_owned(),
            second_message: format!(
                "⚠️ Agent failed before reply: {message}\nTo view logs, run `openclaw logs \
                 --follow` in a terminal."
            ),
        }
    }

    /// The run took longer than the request's `timeoutMs`.
    pub(crate) fn timeout() -> Self {
        let message = "Request timed out before a response was generated. Please try again, or \
                     increase `agents.defaults.timeoutSeconds` in your config.";
        Self {
            reason: None,
            kind: Some("timeout"),
            runtime_kind: "timeout",
            message: message.to_owned(),
            second_message: message.to_owned(),
        }
    }

    /// `errorDetail`; null if the request timed out.
    pub(crate) fn detail(&self) -> Value {
        self.reason.as_ref().map_or(Value::Null, |reason| {
            json!({
                "provider": "openrouter", "model": "mock/model-1", "failoverReason": reason,
                "providerRuntimeFailureKind": self.runtime_kind,
            })
        })
    }
}
