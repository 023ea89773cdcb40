use std::collections::HashSet;

use claw_agent::{History, proactive};
use claw_domain::{ReplyId, ReplySource, ReplyText, SandboxId};

/// A message the assistant wrote unprompted: a heartbeat's alert, or a reminder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ProactiveText {
    /// Derived from the transcript row, so that the message is sent once.
    pub(crate) id: ReplyId,
    pub(crate) text: ReplyText,
    pub(crate) source: ReplySource,
    /// The id of the transcript row.
    pub(crate) row: String,
}

/// The proactive messages in a transcript, in order.
pub(crate) fn proactive_texts(history: &History, sandbox: SandboxId) -> Vec<ProactiveText> {
    let rows = proactive(&history.rows).into_iter();
    rows.map(|row| ProactiveText {
        id: ReplyId::derived_from(&format!("row:{sandbox}:{}", row.id)),
        text: row.text.into(),
        source: if row.is_automation {
            ReplySource::Cron
        } else {
            ReplySource::Heartbeat
        },
        row: row.id,
    })
    .collect()
}

/// Divides proactive messages into those before the transcript row `answer`, and the rest.
pub(crate) fn around(
    history: &History,
    answer: Option<&str>,
    texts: Vec<ProactiveText>,
) -> (Vec<ProactiveText>, Vec<ProactiveText>) {
    let ids = history.rows.iter().map(|row| row.id.as_str());
    let Some(answer) = answer.and_then(|answer| ids.clone().position(|id| id == answer)) else {
        return (texts, Vec::new());
    };
    let after: HashSet<&str> = ids.skip(answer).collect();
    texts
        .into_iter()
        .partition(|text| !after.contains(text.row.as_str()))
}
