//! The frames of a turn, field by field as recorded from a real gateway.

use serde_json::{Value, json};

use super::frame::{Out, event};

/// The run an event belongs to.
#[derive(Debug, Clone)]
pub(crate) struct RunName {
    pub(crate) run_id: String,
    pub(crate) session_key: String,
    pub(crate) session_id: String,
    /// Whether the turn came out of the queue: its events look a little different.
    pub(crate) is_dispatched: bool,
    pub(crate) is_heartbeat: bool,
}

impl RunName {
    /// `chat` with `state:"status"`.
    pub(crate) fn status(&self, seq: u64, phase: &str) -> Out {
        let mut payload = self.chat(seq, "status");
        payload["phase"] = json!(phase);
        event("chat", &payload)
    }

    /// `agent` on stream `run_status`.
    pub(crate) fn run_status(&self, seq: u64, phase: &str, now_ms: i64) -> Out {
        let payload = self.agent(seq, "run_status", json!({ "phase": phase }), now_ms);
        event("agent", &payload)
    }

    /// `agent` on stream `lifecycle`.
    pub(crate) fn lifecycle(&self, seq: u64, mut data: Value, now_ms: i64) -> Out {
        if self.is_dispatched {
            data["completionSource"] = json!("reply-dispatch");
        }
        let mut payload = self.agent(seq, "lifecycle", data, now_ms);
        payload["sessionId"] = json!(self.session_id);
        event("agent", &payload)
    }

    /// The lifecycle event that no model is at work any more.
    pub(crate) fn model_released(&self, seq: u64, now_ms: i64) -> Out {
        let mut data = json!({ "phase": "model", "provider": null, "model": null });
        if self.is_dispatched {
            data["completionSource"] = json!("reply-dispatch");
        }
        let mut payload = self.agent(seq, "lifecycle", data, now_ms);
        payload["sessionId"] = json!(self.session_id);
        payload["lane"] = json!(if self.is_heartbeat {
            "cron-nested"
        } else {
            "main"
        });
        event("agent", &payload)
    }

    /// `agent` on stream `assistant`.
    pub(crate) fn assistant(&self, seq: u64, text: &str, delta: &str, now_ms: i64) -> Out {
        let data =
            json!({ "text": text, "delta": delta, "itemId": format!("{}:1", self.session_id) });
        event("agent", &self.agent(seq, "assistant", data, now_ms))
    }

    /// `agent` on stream `usage`.
    pub(crate) fn usage(&self, seq: u64, now_ms: i64) -> Out {
        let data = json!({ "outputTokens": 20 });
        event("agent", &self.agent(seq, "usage", data, now_ms))
    }

    /// `chat` with `state:"delta"`.
    pub(crate) fn delta(&self, seq: u64, text: &str, delta: &str, now_ms: i64) -> Out {
        let mut payload = self.chat(seq, "delta");
        payload["deltaText"] = json!(delta);
        payload["message"] = message(text, now_ms);
        event("chat", &payload)
    }

    /// `chat` with `state:"final"`; without a text it says nothing was said.
    pub(crate) fn last_word(&self, seq: u64, text: Option<&str>, now_ms: i64) -> Out {
        let mut payload = self.chat(seq, "final");
        payload["stopReason"] = json!("stop");
        if let Some(text) = text {
            payload["message"] = message(text, now_ms);
        }
        if self.is_dispatched {
            remove(&mut payload, "agentId");
            if let Some(text) = text {
                payload["message"]["text"] = json!(text);
                payload["message"]["stopReason"] = json!("stop");
                payload["message"]["usage"] = json!({ "input": 0, "output": 0, "totalTokens": 0 });
            }
        }
        event("chat", &payload)
    }

    /// `chat` with `state:"aborted"` and what had been said by then.
    pub(crate) fn aborted(&self, seq: u64, reason: &str, text: &str, now_ms: i64) -> Out {
        let mut payload = self.chat(seq, "aborted");
        payload["stopReason"] = json!(reason);
        payload["message"] = message(text, now_ms);
        event("chat", &payload)
    }

    /// `chat` with `state:"error"`.
    pub(crate) fn error(&self, seq: u64, words: &str, kind: Option<&str>, detail: Value) -> Out {
        let mut payload = self.chat(seq, "error");
        payload["errorMessage"] = json!(words);
        if let Some(kind) = kind {
            payload["errorKind"] = json!(kind);
        }
        if !detail.is_null() {
            payload["errorDetail"] = detail;
        }
        event("chat", &payload)
    }

    /// The second `chat` error a real gateway sends, under sequence number 1 and without an agent.
    pub(crate) fn error_again(&self, words: &str) -> Out {
        let mut payload = self.chat(1, "error");
        remove(&mut payload, "agentId");
        payload["errorMessage"] = json!(words);
        event("chat", &payload)
    }

    fn chat(&self, seq: u64, state: &str) -> Value {
        json!({
            "runId": self.run_id,
            "sessionKey": self.session_key,
            "agentId": "main",
            "seq": seq,
            "state": state,
        })
    }

    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers make the data for this call"
    )]
    fn agent(&self, seq: u64, stream: &str, data: Value, now_ms: i64) -> Value {
        json!({
            "runId": self.run_id,
            "stream": stream,
            "data": data,
            "sessionKey": self.session_key,
            "agentId": "main",
            "seq": seq,
            "ts": now_ms,
            "isHeartbeat": self.is_heartbeat,
        })
    }

    /// What proves a run to have ended.
    pub(crate) fn receipt(&self, is_visible: bool, is_dispatched_as: &str) -> Value {
        let model = json!({ "provider": "openrouter", "model": "mock/model-1" });
        let mut effective = model.clone();
        effective["responseModel"] = json!("mock/model-1");
        json!({
            "runId": is_dispatched_as,
            "sessionId": self.session_id,
            "turnId": is_dispatched_as,
            "requested": model,
            "effective": effective,
            "successfulToolNames": [],
            "rerouted": false,
            "terminalDisposition": if is_visible { "visible" } else { "not-visible" },
        })
    }
}

/// The `final` of a message that was queued or absorbed: no text, no agent.
pub(crate) fn empty_final(run_id: &str, session_key: &str) -> Out {
    let payload = json!({
        "runId": run_id,
        "sessionKey": session_key,
        "seq": 1,
        "state": "final",
    });
    event("chat", &payload)
}

fn message(text: &str, now_ms: i64) -> Value {
    json!({
        "role": "assistant",
        "content": [{ "type": "text", "text": text }],
        "timestamp": now_ms,
    })
}

fn remove(payload: &mut Value, key: &str) {
    if let Value::Object(map) = payload {
        map.remove(key);
    }
}
