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
    let position = |id: &str| history.rows.iter().position(|row| row.id == id);
    let Some(answer) = answer.and_then(position) else {
        return (texts, Vec::new());
    };
    texts
        .into_iter()
        .partition(|text| position(&text.row).is_none_or(|position| position < answer))
}
