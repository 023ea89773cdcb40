mod client;
mod handshakes;
mod jobs;
mod overlaps;
mod proactive;
mod processes;
mod recorded;
mod restarts;
mod turns;

use serde_json::{Value, json};

use super::*;
use client::Client;

async fn sim(config: SimOpenClawConfig) -> SimOpenClaw {
    SimOpenClaw::start(config).await.unwrap()
}

async fn plain() -> SimOpenClaw {
    sim(SimOpenClawConfig::default()).await
}

fn send(key: &str, message: &str) -> Value {
    json!({ "sessionKey": "main", "message": message, "idempotencyKey": key })
}

fn roles_and_texts(rows: &[TranscriptRow]) -> Vec<(&str, &str)> {
    rows.iter()
        .map(|row| (row.role.as_str(), row.text.as_str()))
        .collect()
}
