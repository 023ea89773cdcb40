use claw_domain::Sensitive;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::frame::{Content, lenient, present};

/// One line of a transcript.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Theirs, and stable: the key under which an answer is stored and sent once.
    pub id: String,
    /// What it is.
    pub kind: RowKind,
    /// What it says; empty for tool calls.
    pub text: Sensitive<String>,
    /// The gateway cut the text (a delta cuts at 8000 characters, a row over 128 KiB is replaced).
    pub is_cut: bool,
    /// A turn nobody asked for began here: its prompt (a heartbeat) is hidden from us.
    pub opens_turn: bool,
    /// When it was written, ms by the gateway's clock.
    pub at_ms: Option<u64>,
}

/// What a row is. Decided once, here; the rules about answers only look at this.
#[derive(Debug, Clone, PartialEq)]
pub enum RowKind {
    /// Somebody outside wrote it.
    Person {
        /// The run key it was sent with.
        run: Option<String>,
        /// It was fed into this run instead of getting its own.
        steered_into: Option<String>,
    },
    /// The gateway tells the assistant to go on after a restart. The person's question stands.
    Recovery,
    /// The gateway asked the assistant for something: cron, a sub-agent, a system event.
    Prompt,
    /// The model spoke or called tools.
    Assistant {
        /// The run it belongs to.
        run: Option<String>,
        /// Why the model stopped.
        stop: Stop,
    },
    /// A run ended in an error; what it shows is the gateway's text about that.
    Failed {
        /// Which run.
        run: Option<String>,
    },
    /// A run was stopped; the text is what had been said by then.
    Aborted {
        /// Which run.
        run: Option<String>,
    },
    /// The result of a cron job, put into this session. Nobody asked for it here.
    Automation,
    /// Nothing a person should hear: injected rows, mirrors, tool results, kinds unknown to us.
    Hidden,
}

/// Why the model stopped where a row ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It was done, or out of room: the run ends here, unless somebody steers it further.
    Done,
    /// It called a tool: more follows.
    ToolUse,
    /// Not said.
    Unknown,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireRow {
    #[serde(deserialize_with = "lenient")]
    role: Option<String>,
    #[serde(deserialize_with = "lenient")]
    content: Option<Content>,
    #[serde(deserialize_with = "lenient")]
    idempotency_key: Option<String>,
    #[serde(deserialize_with = "lenient")]
    stop_reason: Option<String>,
    #[serde(deserialize_with = "lenient")]
    provider: Option<String>,
    #[serde(deserialize_with = "lenient")]
    model: Option<String>,
    #[serde(deserialize_with = "lenient")]
    custom_type: Option<String>,
    #[serde(deserialize_with = "lenient")]
    timestamp: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    provenance: Option<WireProvenance>,
    #[serde(deserialize_with = "present")]
    openclaw_abort: bool,
    #[serde(deserialize_with = "present")]
    openclaw_automation: bool,
    #[serde(rename = "__openclaw", deserialize_with = "lenient")]
    meta: Option<WireMeta>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WireMeta {
    #[serde(deserialize_with = "lenient")]
    id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    run_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    turn_boundary: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    steer_target_run_id: Option<String>,
    #[serde(deserialize_with = "lenient")]
    truncated: Option<bool>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct WireProvenance {
    #[serde(deserialize_with = "lenient")]
    kind: Option<String>,
    #[serde(deserialize_with = "lenient")]
    source_tool: Option<String>,
}

impl Row {
    /// Reads a row of a page, of a delta (wrapped in `message`) or of an event. `None` for what is
    /// no row.
    pub(crate) fn read(raw: &RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        struct Wrapped<'a> {
            #[serde(borrow)]
            message: &'a RawValue,
        }
        let inner =
            serde_json::from_str::<Wrapped<'_>>(raw.get()).map_or(raw, |wrapped| wrapped.message);
        let mut wire: WireRow = serde_json::from_str(inner.get()).ok()?;
        let meta = wire.meta.take().unwrap_or_default();
        let content = wire.content.take().unwrap_or_default();
        Some(Self {
            id: meta.id.clone()?,
            is_cut: meta.truncated.unwrap_or(false),
            opens_turn: meta.turn_boundary.unwrap_or(false),
            at_ms: wire.timestamp,
            kind: kind(wire, meta, content.is_plain),
            text: content.text.into(),
        })
    }

    /// The run a row of the assistant belongs to.
    pub(crate) fn run(&self) -> Option<&str> {
        match &self.kind {
            RowKind::Assistant { run, .. } | RowKind::Failed { run } | RowKind::Aborted { run } => {
                run.as_deref()
            }
            RowKind::Person { .. }
            | RowKind::Recovery
            | RowKind::Prompt
            | RowKind::Automation
            | RowKind::Hidden => None,
        }
    }
}

fn kind(wire: WireRow, meta: WireMeta, is_plain: bool) -> RowKind {
    let run = meta.run_id;
    match wire.role.as_deref() {
        Some("user") => match wire.provenance.unwrap_or_default() {
            provenance if provenance.is_recovery() => RowKind::Recovery,
            provenance if provenance.is_internal() => RowKind::Prompt,
            _ => RowKind::Person {
                run: wire.idempotency_key.as_deref().and_then(run_of_user_row),
                steered_into: meta.steer_target_run_id,
            },
        },
        Some("assistant") if wire.openclaw_abort => RowKind::Aborted { run },
        Some("assistant") if wire.openclaw_automation => RowKind::Automation,
        // Cron puts its prompt into the transcript as a plain string in the assistant's name.
        Some("assistant") if is_plain && wire.provenance.is_some() => RowKind::Prompt,
        Some("assistant") if is_mirror(wire.provider.as_deref(), wire.model.as_deref()) => {
            RowKind::Hidden
        }
        Some("assistant") => match wire.stop_reason.as_deref() {
            Some("error") => RowKind::Failed { run },
            Some("aborted") => RowKind::Aborted { run },
            stop => RowKind::Assistant {
                run,
                stop: Stop::from_reason(stop),
            },
        },
        Some("custom") if wire.custom_type.as_deref() == Some("run-failed-before-reply") => {
            RowKind::Failed { run }
        }
        _ => RowKind::Hidden,
    }
}

impl WireProvenance {
    /// The gateway asks the assistant to go on after a restart.
    pub(super) fn is_recovery(&self) -> bool {
        self.source_tool.as_deref() == Some("main_session_restart_recovery")
    }

    fn is_internal(&self) -> bool {
        matches!(
            self.kind.as_deref(),
            Some("internal_system" | "inter_session")
        )
    }
}

impl Stop {
    fn from_reason(reason: Option<&str>) -> Self {
        match reason {
            Some("stop" | "length") => Self::Done,
            Some("toolUse") => Self::ToolUse,
            Some(_) | None => Self::Unknown,
        }
    }
}

/// `<run>:user` is the key of the row in which a run's question was stored.
fn run_of_user_row(key: &str) -> Option<String> {
    key.strip_suffix(":user").map(ToOwned::to_owned)
}

/// Rows the gateway wrote in the assistant's name: `chat.inject`, and copies of what a channel got.
fn is_mirror(provider: Option<&str>, model: Option<&str>) -> bool {
    provider == Some("openclaw") && matches!(model, Some("gateway-injected" | "delivery-mirror"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_an_id_is_no_row() {
        assert_eq!(read(r#"{"role":"assistant","content":"x"}"#), None);
        assert_eq!(read("7"), None);
    }

    #[test]
    fn a_row_of_a_delta_reads_like_the_same_row_of_a_page() {
        let row = r#"{"role":"assistant","content":[{"type":"text","text":"hi"}],
            "stopReason":"stop","__openclaw":{"id":"a","runId":"k"}}"#;

        assert_eq!(
            read(&format!(r#"{{"sessionKey":"s","message":{row}}}"#)),
            read(row)
        );
    }

    #[test]
    fn what_an_operator_injected_is_hidden() {
        let row = read(
            r#"{"role":"assistant","content":[{"type":"text","text":"hi"}],"provider":"openclaw",
            "model":"gateway-injected","stopReason":"stop","__openclaw":{"id":"a"}}"#,
        );

        assert_eq!(row.unwrap().kind, RowKind::Hidden);
    }

    #[test]
    fn the_text_the_gateway_shows_for_an_error_is_not_the_assistants() {
        let row = read(
            r#"{"role":"assistant","content":[{"type":"text","text":"The agent run failed"}],
            "stopReason":"error","__openclaw":{"id":"a","runId":"k"}}"#,
        );

        assert_eq!(
            row.unwrap().kind,
            RowKind::Failed {
                run: Some("k".to_owned())
            }
        );
    }

    fn read(json: &str) -> Option<Row> {
        Row::read(&RawValue::from_string(json.to_owned()).unwrap())
    }
}
