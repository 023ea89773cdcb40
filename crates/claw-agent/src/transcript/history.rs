use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Row, row::WireProvenance};
use crate::frame::lenient;

/// How far a transcript has been read. Opaque; may be stored for as long as we like.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    /// Wraps what was stored.
    pub fn new(cursor: impl Into<String>) -> Self {
        Self(cursor.into())
    }

    /// The cursor as the gateway wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cursor(…)")
    }
}

/// Rows of a session, oldest first, and what goes on in it at the moment of reading.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// Oldest first.
    pub rows: Vec<Row>,
    /// Where the next delta begins.
    pub cursor: Option<Cursor>,
    /// There are older rows than these.
    pub has_more: bool,
    /// What runs.
    pub activity: Activity,
}

/// What was appended since a cursor.
#[derive(Debug, Clone, PartialEq)]
pub enum HistorySince {
    /// These rows.
    Delta(History),
    /// It cannot be told (another session, an error in between, too many rows, a text that was
    /// cut): read a page.
    Reset,
}

/// What a session is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activity {
    /// Some run is active; not necessarily ours.
    pub is_active: bool,
    /// The runs known to be active. Often empty although the session is active.
    pub runs: Vec<String>,
    /// Inputs accepted but not in the transcript yet.
    pub pending: Vec<Pending>,
    /// The run that ended last; nothing while one is active, and after a restart.
    pub last_run: Option<String>,
    /// Whether that run ended well.
    pub last_run_is_done: bool,
    /// What the session's record says about a run that is not active any more.
    pub interruption: Interruption,
}

/// Whether a crash of the gateway cut a run off. The session's record is all that makes the gateway go on
/// with it after its next start (read in its code).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Interruption {
    /// By the record none was running.
    #[default]
    None,
    /// By the record one is running. With none active in fact it was cut off, and is marked for being
    /// taken up again soon after the gateway is ready.
    OnRecord,
    /// The gateway will take it up again.
    Marked,
}

/// An input the gateway holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The run it will become.
    pub run: Option<String>,
    /// It waits for its turn. Otherwise it was interrupted and nobody will take it up.
    pub is_queued: bool,
    /// It is the gateway's own request to go on after a restart.
    pub is_recovery: bool,
}

impl Activity {
    /// Whether this very run is active or waits for its turn.
    pub fn names(&self, run: &str) -> bool {
        self.runs.iter().any(|active| active == run)
            || self
                .pending
                .iter()
                .any(|input| input.is_queued && input.run.as_deref() == Some(run))
    }

    /// Whether nothing runs and nothing waits to: every row of what was begun is written.
    pub fn is_idle(&self) -> bool {
        !self.is_active && self.runs.is_empty() && !self.pending.iter().any(|input| input.is_queued)
    }

    /// Whether an interrupted turn is about to be taken up again.
    pub fn recovers(&self) -> bool {
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
    messages: Vec<&'a RawValue>,
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

/// A session as `sessionInfo` and `sessions.list` describe it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct WireSession {
    #[serde(deserialize_with = "lenient")]
    pub(crate) key: Option<String>,
    #[serde(deserialize_with = "lenient")]
    has_active_run: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    active_run_ids: Option<Vec<String>>,
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
    items: Vec<WirePending>,
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
    /// Reads the answer to `chat.history` without a cursor.
    pub(crate) fn read(raw: &RawValue) -> serde_json::Result<Self> {
        serde_json::from_str::<WireHistory<'_>>(raw.get()).map(Self::from_wire)
    }

    fn from_wire(wire: WireHistory<'_>) -> Self {
        let mut activity = wire.session_info.unwrap_or_default().activity();
        if let Some(in_flight) = wire.in_flight_run {
            activity.is_active = true;
            activity.runs.push(in_flight.run_id);
        }
        activity.pending = wire
            .pending_inputs
            .map(|inputs| inputs.items.into_iter().map(Pending::from_wire).collect())
            .unwrap_or_default();
        Self {
            rows: wire.messages.into_iter().filter_map(Row::read).collect(),
            cursor: wire.delta_cursor.map(Cursor),
            has_more: wire.has_more.unwrap_or(false),
            activity,
        }
    }
}

impl HistorySince {
    /// Reads the answer to `chat.history` with a cursor.
    pub(crate) fn read(raw: &RawValue) -> serde_json::Result<Self> {
        let wire: WireHistory<'_> = serde_json::from_str(raw.get())?;
        if wire.kind.as_deref() != Some("delta") {
            return Ok(Self::Reset);
        }
        let history = History::from_wire(wire);
        Ok(if history.rows.iter().any(|row| row.is_cut) {
            Self::Reset
        } else {
            Self::Delta(history)
        })
    }
}

impl WireSession {
    pub(crate) fn activity(self) -> Activity {
        Activity {
            is_active: self.has_active_run.unwrap_or(false),
            runs: self.active_run_ids.unwrap_or_default(),
            pending: Vec::new(),
            last_run: self.last_run_id,
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
    fn a_delta_with_a_cut_text_is_as_good_as_none() {
        let since = since(
            r#"{"kind":"delta","deltaCursor":"c","messages":[{"message":{"role":"assistant",
            "content":[{"type":"text","text":"long"}],"__openclaw":{"id":"a","truncated":true}}}]}"#,
        );

        assert_eq!(since, HistorySince::Reset);
    }

    #[test]
    fn an_unknown_kind_of_delta_means_reading_a_page() {
        assert_eq!(since(r#"{"kind":"else"}"#), HistorySince::Reset);
    }

    fn since(json: &str) -> HistorySince {
        HistorySince::read(&RawValue::from_string(json.to_owned()).unwrap()).unwrap()
    }
}
