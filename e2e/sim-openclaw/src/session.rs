use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::row::{NewRow, Row};

/// Hidden entries that a session's transcript has after its first row. They take raw sequence numbers.
const HIDDEN_AFTER_FIRST_ROW: u64 = 2;

/// One conversation. Its transcript survives restarts; its active run and waiting messages do not.
pub(crate) struct Session {
    pub(crate) key: String,
    pub(crate) id: String,
    pub(crate) active: Option<ActiveRun>,
    pub(crate) waiting: VecDeque<Queued>,
    pub(crate) last_run_id: Option<String>,
    pub(crate) updated_at_ms: i64,
    pub(crate) aborted_last_run: bool,
    /// The message whose run a kill interrupted; the next start continues it.
    pub(crate) interrupted: Option<String>,
    generation: String,
    source: Arc<str>,
    rows: VecDeque<Arc<Row>>,
    stored_keys: HashSet<String>,
    forgotten: u64,
    hidden: u64,
    raw_seq: u64,
}

/// The run that occupies a session.
pub(crate) struct ActiveRun {
    pub(crate) run_id: String,
    pub(crate) message: String,
    pub(crate) started_at_ms: i64,
    pub(crate) text_so_far: String,
    pub(crate) is_user_row_stored: bool,
    pub(crate) is_heartbeat: bool,
    pub(crate) steered: Vec<Queued>,
    pub(crate) seq: u64,
    pub(crate) stop: CancellationToken,
}

/// A message for the agent that has not been answered yet.
#[derive(Debug, Clone)]
pub(crate) struct Queued {
    pub(crate) key: String,
    pub(crate) message: String,
    pub(crate) sent_at_ms: i64,
    pub(crate) is_collected: bool,
}

impl Session {
    pub(crate) fn new(key: &str, now_ms: i64) -> Self {
        let id = Uuid::new_v4().to_string();
        Self {
            key: key.to_owned(),
            source: URL_SAFE_NO_PAD.encode(Sha256::digest(&id)).into(),
            generation: Uuid::new_v4().simple().to_string(),
            id,
            active: None,
            waiting: VecDeque::new(),
            last_run_id: None,
            updated_at_ms: now_ms,
            aborted_last_run: false,
            interrupted: None,
            rows: VecDeque::new(),
            stored_keys: HashSet::new(),
            forgotten: 0,
            hidden: 0,
            raw_seq: 0,
        }
    }

    /// Appends a row and returns it; beyond `kept` rows the oldest is dropped.
    pub(crate) fn append(&mut self, new: NewRow, kept: usize) -> Arc<Row> {
        let seq = self.total_rows() + 1;
        let raw_seq = self.next_raw_seq();
        let row = Arc::new(new.into_row(&self.source, seq, raw_seq));
        self.updated_at_ms = row.recorded_at_ms;
        self.stored_keys.extend(row.idempotency_key.clone());
        self.rows.push_back(Arc::clone(&row));
        if self.rows.len() > kept
            && let Some(oldest) = self.rows.pop_front()
        {
            self.forgotten += 1;
            if let Some(key) = &oldest.idempotency_key {
                self.stored_keys.remove(key);
            }
        }
        row
    }

    /// Counts a row that is never shown: the prompt of a heartbeat, or an answer without text.
    pub(crate) fn append_hidden(&mut self) {
        self.next_raw_seq();
        self.hidden += 1;
    }

    fn next_raw_seq(&mut self) -> u64 {
        let is_first = self.raw_seq == 0;
        let next = self.raw_seq + 1;
        self.raw_seq = if is_first {
            next + HIDDEN_AFTER_FIRST_ROW
        } else {
            next
        };
        next
    }

    pub(crate) fn has_user_row(&self, key: &str) -> bool {
        self.stored_keys.contains(&format!("{key}:user"))
    }

    pub(crate) fn has_key(&self, idempotency_key: &str) -> bool {
        self.stored_keys.contains(idempotency_key)
    }

    pub(crate) fn rows(&self) -> impl DoubleEndedIterator<Item = &Arc<Row>> + ExactSizeIterator {
        self.rows.iter()
    }

    /// All rows of the session, including dropped and hidden ones.
    pub(crate) fn total_rows(&self) -> u64 {
        self.forgotten + self.hidden + u64::try_from(self.rows.len()).unwrap_or(u64::MAX)
    }

    /// An opaque cursor that points after the last row.
    pub(crate) fn cursor(&self) -> String {
        let cursor = json!({
            "agentId": "main",
            "generation": self.generation,
            "lastSeq": self.raw_seq,
            "sessionId": self.id,
            "version": 1,
        });
        URL_SAFE_NO_PAD.encode(cursor.to_string())
    }

    /// The rows after `cursor`; `None` if it is not a cursor of this session, or if rows after it were
    /// dropped.
    pub(crate) fn rows_after(&self, cursor: &str) -> Option<impl Iterator<Item = &Arc<Row>>> {
        let json = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let cursor: Value = serde_json::from_slice(&json).ok()?;
        let last_seq = cursor["lastSeq"].as_u64()?;
        let is_ours = cursor["generation"] == self.generation && cursor["sessionId"] == self.id;
        let nothing_missing = self.forgotten == 0
            || self
                .rows
                .front()
                .is_some_and(|first| first.raw_seq <= last_seq + 1);
        (is_ours && nothing_missing && last_seq <= self.raw_seq)
            .then(|| self.rows.iter().filter(move |row| row.raw_seq > last_seq))
    }

    /// Whether a run occupies the session.
    pub(crate) fn is_busy(&self) -> bool {
        self.active.is_some()
    }

    /// `sessionInfo`, with the fields that clients read.
    pub(crate) fn info(&self, queue_mode: &str) -> Value {
        let mut info = json!({
            "key": self.key,
            "sessionId": self.id,
            "updatedAt": self.updated_at_ms,
            "hasActiveRun": self.is_busy(),
            "status": if self.is_busy() { "running" } else { "done" },
            "effectiveQueueMode": queue_mode,
            "isMain": self.key == MAIN_KEY,
            "kind": "direct",
            "abortedLastRun": self.aborted_last_run,
        });
        match &self.active {
            Some(run) => info["activeRunIds"] = json!([run.run_id]),
            None => info["activeRunIds"] = json!([]),
        }
        if let Some(run_id) = &self.last_run_id {
            info["lastRunId"] = json!(run_id);
        }
        info
    }
}

/// The session of the user's messages, heartbeats and results of reminders.
pub(crate) const MAIN_KEY: &str = "agent:main:main";

/// The canonical form of a session key; `None` for an agent that does not exist.
pub(crate) fn canonical_key(key: &str) -> Option<String> {
    let key = key.to_lowercase();
    match key.strip_prefix("agent:") {
        Some(rest) => rest.starts_with("main:").then_some(key),
        None if key == "global" || key == "main" => Some(MAIN_KEY.to_owned()),
        None => Some(format!("agent:main:{key}")),
    }
}
