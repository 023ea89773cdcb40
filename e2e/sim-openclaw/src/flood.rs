//! A hostile sandbox: one that sends more than any OpenClaw does.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{sync::Notify, time::sleep};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::{
    sandbox::{Sandbox, State},
    session::MAIN_KEY,
};

/// Pause between two announcements of new rows.
const ANNOUNCEMENT_PAUSE: Duration = Duration::from_millis(10);

/// What a hostile sandbox sends on every connection until it is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flood {
    /// Long frames without a pause: ends of runs with long texts, and beginnings of runs with long ids, in turn.
    Frames {
        /// The length of each text and id.
        bytes: usize,
    },
    /// The end of a run, again and again.
    Finals {
        /// The time between two of them; 0 for no pause.
        pause_ms: u64,
    },
    /// So many new reminders in each answer to `chat.history`, and an announcement of new rows every 10 ms.
    Rows {
        /// The number of rows.
        count: usize,
    },
}

/// The flood of one sandbox.
#[derive(Default)]
pub(crate) struct Flooding {
    flood: Option<Flood>,
    /// The frames to send in turn; made once, because they may be long.
    frames: Vec<Utf8Bytes>,
    next: usize,
    next_row: usize,
    changed: Arc<Notify>,
}

/// Makes a sandbox flood its clients, or stop.
pub(crate) fn set(sandbox: &Sandbox, flood: Option<Flood>) {
    let mut state = sandbox.state();
    let flooding = &mut state.flooding;
    flooding.flood = flood;
    flooding.frames = flood.map(frames).unwrap_or_default();
    flooding.changed.notify_waiters();
}

/// The next frame of the flood; waits for ever if there is no flood.
pub(crate) async fn next_frame(sandbox: &Sandbox) -> Utf8Bytes {
    loop {
        let changed = Arc::clone(&sandbox.state().flooding.changed);
        let change = changed.notified();
        let flood = sandbox.state().flooding.flood;
        let pause = match flood {
            Some(Flood::Frames { .. }) => Duration::ZERO,
            Some(Flood::Finals { pause_ms }) => Duration::from_millis(pause_ms),
            Some(Flood::Rows { .. }) => ANNOUNCEMENT_PAUSE,
            None => {
                change.await;
                continue;
            }
        };
        if !pause.is_zero() {
            sleep(pause).await;
        }
        if let Some(frame) = sandbox.state().next_frame() {
            return frame;
        }
    }
}

/// The response to a `chat.history` request, if the sandbox floods its clients with rows. Written as text, because the
/// simulator shares the machine.
pub(crate) fn history_response(sandbox: &Sandbox, request_id: &str) -> Option<String> {
    let flooding = &mut sandbox.state().flooding;
    let Some(Flood::Rows { count }) = flooding.flood else {
        return None;
    };
    let first = flooding.next_row;
    flooding.next_row += count;
    let rows: Vec<String> = (first..first + count)
        .map(|number| {
            format!(
                r#"{{"role":"assistant","content":[{{"type":"text","text":"flood {number}"}}],"openclawAutomation":{{}},"__openclaw":{{"id":"flood-{number}"}}}}"#
            )
        })
        .collect();
    let payload = format!(
        r#"{{"kind":"delta","messages":[{}],"deltaCursor":"flood-{first}","sessionInfo":{{"hasActiveRun":false,"status":"done"}}}}"#,
        rows.join(",")
    );
    let id = json!(request_id);
    Some(format!(
        r#"{{"type":"res","id":{id},"ok":true,"payload":{payload}}}"#
    ))
}

impl State {
    fn next_frame(&mut self) -> Option<Utf8Bytes> {
        let flooding = &mut self.flooding;
        let frame = flooding
            .frames
            .get(flooding.next % flooding.frames.len().max(1));
        flooding.next += 1;
        let frame = frame.cloned();
        self.stats.flood_frames += u64::from(frame.is_some());
        frame
    }
}

fn frames(flood: Flood) -> Vec<Utf8Bytes> {
    let event = |name: &str, payload: Value| {
        let frame = json!({ "type": "event", "event": name, "payload": payload });
        Utf8Bytes::from(frame.to_string())
    };
    let ended = |text: &str| {
        let message = json!({ "role": "assistant", "content": [{ "type": "text", "text": text }] });
        let payload = json!({
            "runId": "flood", "sessionKey": MAIN_KEY, "state": "final", "message": message,
        });
        event("chat", payload)
    };
    match flood {
        Flood::Frames { bytes } => {
            let long = "a".repeat(bytes);
            let began = json!({
                "runId": long, "sessionKey": MAIN_KEY, "stream": "lifecycle",
                "data": { "phase": "start" },
            });
            vec![ended(&long), event("agent", began)]
        }
        Flood::Finals { .. } => vec![ended("flood")],
        Flood::Rows { .. } => vec![event("session.message", json!({ "sessionKey": MAIN_KEY }))],
    }
}
