//! The event frames of a turn, with every field recorded from a real OpenClaw.

use serde_json::{Value, json};

use super::frame::{Outgoing, event};

/// Identifies the run and the session of an event.
#[derive(Debug, Clone)]
pub(crate) struct RunName {
    pub(crate) run_id: String,
    pub(crate) session_key: String,
    pub(crate) session_id: String,
    /// Whether the turn was queued behind another; some fields of its events differ.
    pub(crate) is_dispatched: bool,
    pub(crate) is_heartbeat: bool,
}

impl RunName {
    pub(crate) fn status(&self, seq: u64, phase: &str) -> Outgoing {
        let mut payload = self.chat(seq, "status");
        payload["phase"] = json!(phase);
        event("chat", &payload)
    }

    pub(crate) fn run_status(&self, seq: u64, phase: &str, now_ms: i64) -> Outgoing {
        let payload = self.agent(seq, "run_status", json!({ "phase": phase }), now_ms);
        event("agent", &payload)
    }

    pub(crate) fn lifecycle(&self, seq: u64, mut data: Value, now_ms: i64) -> Outgoing {
        if self.is_dispatched {
            data["completionSource"] = json!("reply-dispatch");
        }
        let mut payload = self.agent(seq, "lifecycle", data, now_ms);
        payload["sessionId"] = json!(self.session_id);
        event("agent", &payload)
    }

    /// The lifecycle event that tells that the model has finished.
    pub(crate) fn model_released(&self, seq: u64, now_ms: i64) -> Outgoing {
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

    /// The `agent` event with the text so far and the latest piece of it.
    pub(crate) fn assistant(&self, seq: u64, text: &str, delta: &str, now_ms: i64) -> Outgoing {
        let data =
            json!({ "text": text, "delta": delta, "itemId": format!("{}:1", self.session_id) });
        event("agent", &self.agent(seq, "assistant", data, now_ms))
    }

    pub(crate) fn usage(&self, seq: u64, now_ms: i64) -> Outgoing {
        let data = json!({ "outputTokens": 20 });
        event("agent", &self.agent(seq, "usage", data, now_ms))
    }

    /// The `chat` event with the text so far and the latest piece of it.
    pub(crate) fn delta(&self, seq: u64, text: &str, delta: &str, now_ms: i64) -> Outgoing {
        let mut payload = self.chat(seq, "delta");
        payload["deltaText"] = json!(delta);
        payload["message"] = message(text, now_ms);
        event("chat", &payload)
    }

    /// The `chat` event that ends a run; it has no message if `text` is absent.
    pub(crate) fn final_event(&self, seq: u64, text: Option<&str>, now_ms: i64) -> Outgoing {
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

    /// The `chat` event that ends an aborted run, with the text so far.
    pub(crate) fn aborted(&self, seq: u64, reason: &str, text: &str, now_ms: i64) -> Outgoing {
        let mut payload = self.chat(seq, "aborted");
        payload["stopReason"] = json!(reason);
        payload["message"] = message(text, now_ms);
        event("chat", &payload)
    }

    /// The `chat` event that ends a failed run.
    pub(crate) fn error(
        &self,
        seq: u64,
        message: &str,
        kind: Option<&str>,
        detail: Value,
    ) -> Outgoing {
        let mut payload = self.chat(seq, "error");
        payload["errorMessage"] = json!(message);
        if let Some(kind) = kind {
            payload["errorKind"] = json!(kind);
        }
        if !detail.is_null() {
            payload["errorDetail"] = detail;
        }
        event("chat", &payload)
    }

    /// The second `chat` error that OpenClaw sends for a failed run, with sequence number 1 and no agent.
    pub(crate) fn second_error(&self, message: &str) -> Outgoing {
        let mut payload = self.chat(1, "error");
        remove(&mut payload, "agentId");
        payload["errorMessage"] = json!(message);
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

    /// The `terminalReceipt` in the last lifecycle event and in the answer to `agent.wait`.
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

/// The `final` event for a message that was queued or steered into another run: no text, no agent.
pub(crate) fn empty_final(run_id: &str, session_key: &str) -> Outgoing {
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
