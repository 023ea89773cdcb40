use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;

/// One entry of a transcript. Its JSON is made on request.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) content: Content,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) recorded_at_ms: i64,
    pub(crate) raw_seq: u64,
    seq: u64,
    at_ms: i64,
    source: Arc<str>,
}

/// The author and the text of a row.
#[derive(Debug)]
pub(crate) enum Content {
    /// A message of a client, or OpenClaw's own message to its agent after a kill (`is_recovery`).
    User {
        text: String,
        steered_into: Option<String>,
        is_recovery: bool,
    },
    /// A reply of the agent.
    Assistant {
        text: String,
        run_id: String,
        is_heartbeat: bool,
    },
    /// The result of a scheduled job that ran beside the session.
    Automation {
        text: String,
        job_id: String,
        run_id: String,
    },
    /// The agent's text so far when its run was aborted.
    Aborted { text: String, run_id: String },
    /// A text that a client stored with `chat.inject`.
    Injected { text: String },
}

/// A row without an id and sequence numbers, which `Session::append` gives it.
pub(crate) struct NewRow {
    pub(crate) content: Content,
    pub(crate) idempotency_key: Option<String>,
    /// When the message arrived or the reply ended, which can be earlier than `now_ms`.
    pub(crate) at_ms: i64,
    pub(crate) now_ms: i64,
}

impl NewRow {
    pub(crate) fn into_row(self, source: &Arc<str>, seq: u64, raw_seq: u64) -> Row {
        Row {
            id: Uuid::new_v4().to_string(),
            content: self.content,
            idempotency_key: self.idempotency_key,
            recorded_at_ms: self.now_ms,
            raw_seq,
            seq,
            at_ms: self.at_ms,
            source: Arc::clone(source),
        }
    }
}

impl Row {
    pub(crate) fn is_user(&self) -> bool {
        matches!(self.content, Content::User { .. })
    }

    pub(crate) fn seq(&self) -> u64 {
        self.seq
    }

    pub(crate) fn text(&self) -> &str {
        match &self.content {
            Content::User { text, .. }
            | Content::Assistant { text, .. }
            | Content::Automation { text, .. }
            | Content::Aborted { text, .. }
            | Content::Injected { text } => text,
        }
    }

    pub(crate) fn run_id(&self) -> Option<&str> {
        match &self.content {
            Content::Assistant { run_id, .. } | Content::Aborted { run_id, .. } => Some(run_id),
            Content::User { .. } | Content::Automation { .. } | Content::Injected { .. } => None,
        }
    }

    /// Whether the row is the text of a heartbeat or of a reminder.
    pub(crate) fn is_proactive(&self) -> bool {
        match &self.content {
            Content::Assistant { is_heartbeat, .. } => *is_heartbeat,
            Content::Automation { .. } => true,
            Content::User { .. } | Content::Aborted { .. } | Content::Injected { .. } => false,
        }
    }

    /// The row as `chat.history` returns it.
    pub(crate) fn json(&self) -> Value {
        let mut own = json!({
            "id": self.id,
            "recordTimestampMs": self.recorded_at_ms,
            "transcriptPosition": { "source": &*self.source, "rawSeq": self.raw_seq },
            "seq": self.seq,
        });
        let mut row = match &self.content {
            Content::User {
                text,
                steered_into,
                is_recovery,
            } => {
                own["senderIsOwner"] = json!(!is_recovery);
                if !is_recovery {
                    own["transport"] =
                        json!({ "clients": [{ "id": "gateway-client", "mode": "backend" }] });
                }
                if let Some(run_id) = steered_into {
                    own["steerTargetRunId"] = json!(run_id);
                }
                json!({ "role": "user", "content": text })
            }
            Content::Assistant {
                text,
                run_id,
                is_heartbeat,
            } => {
                own["runId"] = json!(run_id);
                if *is_heartbeat {
                    // The prompt of a heartbeat is hidden, so its turn begins with the answer.
                    own["turnBoundary"] = json!(true);
                }
                assistant(text, "openai-completions", "openrouter", "mock/model-1")
            }
            Content::Automation {
                text,
                job_id,
                run_id,
            } => {
                let mut row = openclaw_row(text, "openclaw-transcript", "automation-result");
                row["openclawAutomation"] =
                    json!({ "kind": "cron", "jobId": job_id, "runId": run_id });
                row
            }
            Content::Aborted { text, run_id } => {
                own["runId"] = json!(run_id);
                let mut row = injected(text);
                row["openclawAbort"] = json!({ "aborted": true, "origin": "rpc", "runId": run_id });
                row
            }
            Content::Injected { text } => injected(text),
        };
        if matches!(
            &self.content,
            Content::User {
                is_recovery: true,
                ..
            }
        ) {
            row["provenance"] = json!({
                "kind": "internal_system",
                "sourceSessionKey": "agent:main:main",
                "sourceTool": "main_session_restart_recovery",
            });
        }
        row["timestamp"] = json!(self.at_ms);
        if let Some(key) = &self.idempotency_key {
            row["idempotencyKey"] = json!(key);
            own["idempotencyKey"] = json!(key);
        }
        row["__openclaw"] = own;
        row
    }
}

fn assistant(text: &str, api: &str, provider: &str, model: &str) -> Value {
    json!({
        "role": "assistant",
        "content": [{ "type": "text", "text": text }],
        "api": api,
        "provider": provider,
        "model": model,
        "usage": {
            "input": 90, "output": 20, "totalTokens": 120, "cacheRead": 10, "cacheWrite": 0,
            "cost": { "input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0, "total": 0.00042 },
        },
        "stopReason": "stop",
        "responseId": "gen-simulated",
    })
}

fn injected(text: &str) -> Value {
    openclaw_row(text, "openai-responses", "gateway-injected")
}

/// A row that OpenClaw wrote without a model.
fn openclaw_row(text: &str, api: &str, model: &str) -> Value {
    json!({
        "role": "assistant",
        "content": [{ "type": "text", "text": text }],
        "api": api,
        "provider": "openclaw",
        "model": model,
        "usage": {
            "input": 0, "output": 0, "totalTokens": 0, "cacheRead": 0, "cacheWrite": 0,
            "cost": { "input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0, "total": 0 },
        },
        "stopReason": "stop",
    })
}
