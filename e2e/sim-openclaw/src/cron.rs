//! The `cron` events of a scheduled job, with the fields that clients read.

use serde_json::{Value, json};

use super::frame::{Outgoing, event};

/// The id of the heartbeat job.
pub(crate) const HEARTBEAT_ID: &str = "91ab772f-01cb-4edd-8218-60f7e030d062";

/// One run of a scheduled job.
pub(crate) struct JobRun {
    job: Value,
    run_at_ms: i64,
}

impl JobRun {
    /// A run of the heartbeat job.
    pub(crate) fn heartbeat(run_at_ms: i64) -> Self {
        let job = json!({
            "id": HEARTBEAT_ID,
            "declarationKey": "heartbeat:main",
            "displayName": "Heartbeat (main)",
            "agentId": "main",
            "name": "heartbeat-main",
            "enabled": true,
            "schedule": { "kind": "every", "everyMs": 60_000 },
            "sessionTarget": "main",
            "wakeMode": "next-heartbeat",
            "payload": { "kind": "heartbeat" },
        });
        Self { job, run_at_ms }
    }

    /// A run of a one-shot job that the agent scheduled in this session with its tool.
    pub(crate) fn reminder(id: &str, session_key: &str, run_at_ms: i64) -> Self {
        let job = json!({
            "id": id,
            "owner": { "agentId": "main", "sessionKey": session_key, "accountId": "default" },
            "agentId": "main",
            "sessionKey": session_key,
            "name": "reminder",
            "enabled": true,
            "deleteAfterRun": true,
            "schedule": { "kind": "at" },
            "sessionTarget": "current",
            "wakeMode": "now",
            "payload": { "kind": "agentTurn", "message": "remind me" },
            "delivery": { "mode": "announce" },
        });
        Self { job, run_at_ms }
    }

    pub(crate) fn started(&self) -> Outgoing {
        let mut payload = self.event("started");
        payload["runAtMs"] = json!(self.run_at_ms);
        event("cron", &payload)
    }

    /// `summary` is the agent's text; for a heartbeat it is always the same sentence.
    pub(crate) fn finished(&self, summary: &str, delivery_status: &str, now_ms: i64) -> Outgoing {
        let mut payload = self.event("finished");
        payload["status"] = json!("ok");
        payload["completionStatus"] = json!("succeeded");
        payload["summary"] = json!(summary);
        payload["deliveryStatus"] = json!(delivery_status);
        if delivery_status == "delivered" {
            payload["delivered"] = json!(true);
        }
        payload["runAtMs"] = json!(self.run_at_ms);
        payload["durationMs"] = json!(now_ms - self.run_at_ms);
        event("cron", &payload)
    }

    pub(crate) fn removed(&self) -> Outgoing {
        event("cron", &self.event("removed"))
    }

    fn event(&self, action: &str) -> Value {
        json!({ "jobId": self.job["id"], "action": action, "job": self.job })
    }
}
