use claw_domain::Sensitive;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::frame::{Content, id, lenient, present};

/// One row of a transcript.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// OpenClaw's stable id of the row. A reply made from the row is stored and sent once under it.
    pub id: String,
    pub(crate) kind: RowKind,
    /// The text; empty for tool calls.
    pub(crate) text: Sensitive<String>,
    /// Whether OpenClaw cut the text (a delta cuts at 8000 characters; a row over 128 KiB is
    /// replaced).
    pub(crate) is_cut: bool,
    /// Whether an unprompted run begins here; its prompt (a heartbeat) is hidden from us.
    pub(crate) opens_turn: bool,
}

/// The kind of a row, classified once; the rules about answers depend only on it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum RowKind {
    User {
        /// The run key the message was sent with.
        run: Option<String>,
        /// The run that absorbed the message, if it did not get a run of its own.
        steered_into: Option<String>,
    },
    /// OpenClaw's request to resume after a restart. The user's question stays open.
    Recovery,
    /// OpenClaw's own prompt to the assistant: from cron, a sub-agent or a system event.
    Prompt,
    /// A text or a tool call of the model.
    Assistant { run: Option<String>, stop: Stop },
    /// The end of a failed run. The text is OpenClaw's error message.
    Failed { run: Option<String> },
    /// The end of a stopped run. The text is the part of the answer produced by then.
    Aborted { run: Option<String> },
    /// The result of a cron job that ran elsewhere, put into this session.
    Automation,
    /// A row no user should see: injected rows, mirrors, tool results, unknown kinds.
    Hidden,
}

/// Why the model stopped at the end of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The model was done, or reached its length limit. The run ends here unless another message is
    /// steered into it.
    Done,
    /// The model called a tool: more rows follow.
    ToolUse,
    /// The row does not say.
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
    /// Decodes a row of a page or of a delta (where `message` wraps it). `None` if it is not a row.
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
            id: meta.id.clone().and_then(id)?,
            is_cut: meta.truncated.unwrap_or(false),
            opens_turn: meta.turn_boundary.unwrap_or(false),
            kind: kind(wire, meta, content.is_plain),
            text: content.text.into(),
        })
    }

    /// The run that produced the row; `None` for rows that are not the assistant's.
    pub(crate) fn run(&self) -> Option<&str> {
        match &self.kind {
            RowKind::Assistant { run, .. } | RowKind::Failed { run } | RowKind::Aborted { run } => {
                run.as_deref()
            }
            RowKind::User { .. }
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
            _ => RowKind::User {
                run: wire.idempotency_key.as_deref().and_then(run_of_user_row),
                steered_into: meta.steer_target_run_id,
            },
        },
        Some("assistant") if wire.openclaw_abort => RowKind::Aborted { run },
        Some("assistant") if wire.openclaw_automation => RowKind::Automation,
        // Cron writes its prompt into the transcript as a plain string with the assistant's role.
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
    /// Whether OpenClaw asks the assistant to resume after a restart.
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

/// OpenClaw stores the question of a run under the key `<run>:user`.
fn run_of_user_row(key: &str) -> Option<String> {
    key.strip_suffix(":user").map(ToOwned::to_owned)
}

/// Whether OpenClaw wrote the row with the assistant's role: `chat.inject`, or the copy of a text it
/// sent to a channel.
fn is_mirror(provider: Option<&str>, model: Option<&str>) -> bool {
    provider == Some("openclaw") && matches!(model, Some("gateway-injected" | "delivery-mirror"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_an_id_is_ignored() {
        assert_eq!(read(r#"{"role":"assistant","content":"x"}"#), None);
        assert_eq!(read("7"), None);
    }

    #[test]
    fn a_row_of_a_delta_is_decoded_like_the_same_row_of_a_page() {
        let row = r#"{"role":"assistant","content":[{"type":"text","text":"hi"}],
            "stopReason":"stop","__openclaw":{"id":"a","runId":"k"}}"#;

        assert_eq!(
            read(&format!(r#"{{"sessionKey":"s","message":{row}}}"#)),
            read(row)
        );
    }

    #[test]
    fn a_row_injected_by_an_operator_is_hidden() {
        let row = read(
            r#"{"role":"assistant","content":[{"type":"text","text":"hi"}],"provider":"openclaw",
            "model":"gateway-injected","stopReason":"stop","__openclaw":{"id":"a"}}"#,
        );

        assert_eq!(row.unwrap().kind, RowKind::Hidden);
    }

    #[test]
    fn the_error_message_of_openclaw_is_not_a_text_of_the_assistant() {
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
