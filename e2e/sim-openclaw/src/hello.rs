use serde_json::{Value, json};

/// Largest frame accepted after the handshake.
pub(crate) const MAX_PAYLOAD_BYTES: usize = 26_214_400;

const METHODS: [&str; 14] = [
    "health",
    "status",
    "sessions.list",
    "sessions.subscribe",
    "sessions.messages.subscribe",
    "chat.send",
    "chat.abort",
    "chat.history",
    "chat.inject",
    "agent.wait",
    "cron.list",
    "cron.runs",
    "last-heartbeat",
    "device.pair.list",
];

const EVENTS: [&str; 10] = [
    "connect.challenge",
    "agent",
    "chat",
    "session.message",
    "sessions.changed",
    "tick",
    "shutdown",
    "health",
    "heartbeat",
    "cron",
];

/// The values in `hello-ok` that depend on the connection.
pub(crate) struct Hello<'a> {
    pub(crate) boot_id: &'a str,
    pub(crate) connection_id: &'a str,
    pub(crate) scopes: &'a [String],
    pub(crate) device_token: Option<&'a str>,
    pub(crate) tick_ms: u64,
    pub(crate) uptime_ms: i64,
    pub(crate) now_ms: i64,
}

/// The payload of the response to a successful `connect`.
pub(crate) fn payload(hello: &Hello) -> Value {
    let mut auth = json!({
        "method": "token",
        "role": "operator",
        "scopes": hello.scopes,
        "recoveryScope": "recovery-scope-of-the-simulator",
        "recoveryMigrationAllowed": true,
    });
    if let Some(token) = hello.device_token {
        auth["deviceToken"] = json!(token);
        auth["issuedAtMs"] = json!(hello.now_ms);
    }
    json!({
        "type": "hello-ok",
        "protocol": 4,
        "server": {
            "version": "2026.9.6",
            "buildId": "2026.9.6-release-simulated",
            "bootId": hello.boot_id,
            "controlUiBuildSource": "bundled",
            "connId": hello.connection_id,
        },
        "features": {
            "methods": METHODS,
            "events": EVENTS,
            "capabilities": ["chat-send-routing-contract", "gateway-restart-target-safe-v1"],
        },
        "snapshot": snapshot(hello),
        "pluginSurfaceUrls": {},
        "auth": auth,
        "policy": {
            "maxPayload": MAX_PAYLOAD_BYTES,
            "maxBufferedBytes": 2 * MAX_PAYLOAD_BYTES,
            "tickIntervalMs": hello.tick_ms,
            "attachments": { "maxBytes": 19_464_192, "maxImageBytes": 6_291_456 },
            "allowedSessionVisibilities": ["shared", "read-only", "suggest", "draft"],
            "hasMultipleSessionSharingIdentities": false,
        },
    })
}

fn snapshot(hello: &Hello) -> Value {
    json!({
        "suspension": { "phase": "accepting" },
        "presence": [],
        "health": { "ok": true, "ts": hello.now_ms, "durationMs": 1, "defaultAgentId": "main" },
        "stateVersion": { "presence": 1, "health": 1 },
        "uptimeMs": hello.uptime_ms,
        "appliedConfigHash": "hmac-sha256:v1:simulated",
        "sessionDefaults": {
            "defaultAgentId": "main",
            "modelConfigured": true,
            "ownership": "sole",
            "selectionRequired": false,
            "mainKey": "main",
            "mainSessionKey": "agent:main:main",
            "scope": "per-sender",
        },
        "updateSchedule": { "channel": "stable", "autoEnabled": false },
        "configPath": "/home/node/.openclaw/openclaw.json",
        "stateDir": "/home/node/.openclaw",
        "authMode": "token",
    })
}
