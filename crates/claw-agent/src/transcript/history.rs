use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Row, row::WireProvenance};
use crate::frame::{First, id, lenient};

/// Most rows of an answer: twice as many as OpenClaw returns at once.
const MOST_ROWS: usize = 2_000;

/// Most runs and inputs of a session that are looked at.
const MOST_RUNS: usize = 64;

/// The longest cursor. Real ones have some 200 bytes.
const LONGEST_CURSOR_BYTES: usize = 4 * 1024;

/// A position in a transcript. Opaque; it does not expire.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    /// Wraps a cursor from storage.
    pub fn new(cursor: impl Into<String>) -> Self {
        Self(cursor.into())
    }

    /// The cursor as OpenClaw wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cursor(…)")
    }
}

/// Rows of a session's transcript, and the activity of the session when they were read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// The rows that were read, oldest first.
    pub rows: Vec<Row>,
    /// The position after the last row.
    pub cursor: Option<Cursor>,
    /// Whether the transcript has older rows than these.
    pub has_more: bool,
    /// The activity of the session.
    pub activity: Activity,
}

/// The answer to a request for the rows since a cursor.
#[derive(Debug, Clone, PartialEq)]
pub enum HistorySince {
    /// The rows appended since the cursor.
    Delta(History),
    /// OpenClaw cannot tell (the cursor is of another session, an error occurred in between, there
    /// are too many rows, or a text was cut), or there are more than 2,000 rows: read a page instead.
    Reset,
}

/// Why an answer with rows cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HistoryError {
    /// It does not have the shape of such an answer.
    Unreadable,
    /// It has many more rows than were asked for.
    TooManyRows,
}

/// The activity of a session.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activity {
    /// Whether a run is active; not necessarily ours.
    pub(super) is_active: bool,
    /// The runs known to be active. Often empty although the session is active.
    pub(super) runs: Vec<String>,
    /// Inputs that were accepted but are not in the transcript yet.
    pub(super) pending: Vec<Pending>,
    /// The run that ended last. `None` while a run is active, and after a restart.
    pub(super) last_run: Option<String>,
    /// Whether that run succeeded.
    pub(super) last_run_is_done: bool,
    /// Whether a crash interrupted a run, according to the session's record.
    pub interruption: Interruption,
}

/// Whether a crash of OpenClaw interrupted a run. OpenClaw resumes the run after its next start only
/// if the session's record says so (read in its code).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Interruption {
    /// The record names no running run.
    #[default]
    None,
    /// The record names a running run. If no run is active, that run was interrupted; OpenClaw marks
    /// it for resumption soon after it is ready.
    OnRecord,
    /// The run is marked: OpenClaw will resume it.
    Marked,
}

/// An input that OpenClaw has accepted and not processed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    /// The run it will start.
    run: Option<String>,
    /// Whether it is queued. Otherwise it was interrupted and will not be resumed.
    is_queued: bool,
    /// Whether it is OpenClaw's own request to resume a run after a restart.
    is_recovery: bool,
}

impl Activity {
    /// Whether the run `run` is active or queued.
    pub(super) fn names(&self, run: &str) -> bool {
        self.runs.iter().any(|active| active == run)
            || self
                .pending
                .iter()
                .any(|input| input.is_queued && input.run.as_deref() == Some(run))
    }

    /// Whether no run is active or queued: all rows of earlier runs are written.
    pub fn is_idle(&self) -> bool {
        !self.is_active && self.runs.is_empty() && !self.pending.iter().any(|input| input.is_queued)
    }

    /// Whether an interrupted run is about to be resumed.
    pub(super) fn recovers(&self) -> bool {
        self.pending
            .iter()
            .any(|input| input.is_queued && input.is_recovery)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireHistory<'a> {
    #[serde(default, deserialize_with = "lenient")]
    kind: Option<String>,
    #[serde(borrow, default)]
    messages: First<&'a RawValue, { MOST_ROWS + 1 }>,
    #[serde(default, deserialize_with = "lenient")]
    delta_cursor: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    has_more: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    in_flight_run: Option<WireInFlight>,
    #[serde(default, deserialize_with = "lenient")]
    session_info: Option<WireSession>,
    #[serde(default, deserialize_with = "lenient")]
    pending_inputs: Option<WirePendingInputs>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireInFlight {
    run_id: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireSession {
    #[serde(deserialize_with = "lenient")]
    has_active_run: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    active_run_ids: Option<First<String, MOST_RUNS>>,
    #[serde(deserialize_with = "lenient")]
    last_run_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    status: Option<String>,
    #[serde(deserialize_with = "lenient")]
    aborted_last_run: Option<bool>,
}

#[derive(Deserialize)]
struct WirePendingInputs {
    #[serde(default)]
    items: First<WirePending, MOST_RUNS>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WirePending {
    #[serde(deserialize_with = "lenient")]
    run_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    state: Option<String>,
    #[serde(deserialize_with = "lenient")]
    message: Option<WirePendingMessage>,
}

#[derive(Deserialize)]
struct WirePendingMessage {
    #[serde(default, deserialize_with = "lenient")]
    provenance: Option<WireProvenance>,
}

impl History {
    /// Decodes the answer to `chat.history` without a cursor.
    pub(crate) fn read(raw: &RawValue) -> Result<Self, HistoryError> {
        WireHistory::read(raw)?
            .rows_within_limit()
            .map(Self::from_wire)
    }

    fn from_wire(wire: WireHistory<'_>) -> Self {
        let mut activity = wire.session_info.unwrap_or_default().activity();
        if let Some(in_flight) = wire.in_flight_run {
            activity.is_active = true;
            activity.runs.extend(id(in_flight.run_id));
        }
        activity.pending = wire
            .pending_inputs
            .map(|inputs| inputs.items.0.into_iter().map(Pending::from_wire).collect())
            .unwrap_or_default();
        Self {
            rows: wire.messages.0.into_iter().filter_map(Row::read).collect(),
            cursor: wire
                .delta_cursor
                .filter(|cursor| cursor.len() <= LONGEST_CURSOR_BYTES)
                .map(Cursor),
            has_more: wire.has_more.unwrap_or(false),
            activity,
        }
    }
}

impl HistorySince {
    /// Decodes the answer to `chat.history` with a cursor.
    pub(crate) fn read(raw: &RawValue) -> Result<Self, HistoryError> {
        let wire = WireHistory::read(raw)?;
        if wire.kind.as_deref() != Some("delta") {
            return Ok(Self::Reset);
        }
        let Ok(wire) = wire.rows_within_limit() else {
            return Ok(Self::Reset);
        };
        let history = History::from_wire(wire);
        Ok(if history.rows.iter().any(|row| row.is_cut) {
            Self::Reset
        } else {
            Self::Delta(history)
        })
    }
}

impl<'a> WireHistory<'a> {
    fn read(raw: &'a RawValue) -> Result<Self, HistoryError> {
        serde_json::from_str(raw.get()).map_err(|_| HistoryError::Unreadable)
    }

    fn rows_within_limit(self) -> Result<Self, HistoryError> {
        if self.messages.0.len() > MOST_ROWS {
            return Err(HistoryError::TooManyRows);
        }
        Ok(self)
    }
}

impl WireSession {
    fn activity(self) -> Activity {
        Activity {
            is_active: self.has_active_run.unwrap_or(false),
            runs: self.active_run_ids.unwrap_or_default().0,
            pending: Vec::new(),
            last_run: self.last_run_id.and_then(id),
            last_run_is_done: self.status.as_deref() == Some("done"),
            interruption: match (self.status.as_deref(), self.aborted_last_run) {
                (Some("running"), Some(true)) => Interruption::Marked,
                (Some("running"), _) => Interruption::OnRecord,
                _ => Interruption::None,
            },
        }
    }
}

impl Pending {
    fn from_wire(wire: WirePending) -> Self {
        Self {
            run: wire.run_id,
            is_queued: wire.state.as_deref() == Some("queued"),
            is_recovery: wire
                .message
                .and_then(|message| message.provenance)
                .is_some_and(|provenance| provenance.is_recovery()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delta_with_a_cut_text_is_a_reset() {
        let since = since(
            r#"{"kind":"delta","deltaCursor":"c","messages":[{"message":{"role":"assistant",
            "content":[{"type":"text","text":"long"}],"__openclaw":{"id":"a","truncated":true}}}]}"#,
        );

        assert_eq!(since, HistorySince::Reset);
    }

    #[test]
    fn an_unknown_kind_of_delta_is_a_reset() {
        assert_eq!(since(r#"{"kind":"else"}"#), HistorySince::Reset);
    }

    #[test]
    fn more_rows_than_openclaw_returns_at_once_are_refused_in_a_page_and_reset_a_delta() {
        let rows = |count| format!("[{}]", vec!["{}"; count].join(","));
        let page = |count| {
            let json = format!(r#"{{"messages":{}}}"#, rows(count));
            History::read(&RawValue::from_string(json).unwrap()).map(drop)
        };

        assert_eq!(page(2_000), Ok(()));
        assert_eq!(page(130_000), Err(HistoryError::TooManyRows));
        let delta = format!(r#"{{"kind":"delta","messages":{}}}"#, rows(130_000));
        assert_eq!(since(&delta), HistorySince::Reset);
    }

    fn since(json: &str) -> HistorySince {
        HistorySince::read(&RawValue::from_string(json.to_owned()).unwrap()).unwrap()
    }
}
