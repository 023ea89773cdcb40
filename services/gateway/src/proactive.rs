use claw_agent::{History, proactive};
use claw_domain::{ReplyId, ReplySource, SandboxId, Sensitive};

/// Something the assistant said that nobody asked for: a heartbeat's alert, a reminder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ProactiveText {
    /// Follows from the transcript row, so that it is said once.
    pub(crate) id: ReplyId,
    pub(crate) text: Sensitive<String>,
    pub(crate) source: ReplySource,
    /// The transcript's row.
    pub(crate) row: String,
}

/// What was said unasked, in order.
pub(crate) fn proactive_texts(history: &History, sandbox: SandboxId) -> Vec<ProactiveText> {
    let said = proactive(&history.rows).into_iter();
    said.map(|row| ProactiveText {
        id: ReplyId::derived_from(&format!("row:{sandbox}:{}", row.id)),
        text: row.text,
        source: if row.is_automation {
            ReplySource::Cron
        } else {
            ReplySource::Heartbeat
        },
        row: row.id,
    })
    .collect()
}

/// Divides what was said unasked into what comes before the transcript row `answer`, and the rest.
pub(crate) fn around(
    history: &History,
    answer: Option<&str>,
    texts: Vec<ProactiveText>,
) -> (Vec<ProactiveText>, Vec<ProactiveText>) {
    let place = |id: &str| history.rows.iter().position(|row| row.id == id);
    let Some(answer) = answer.and_then(place) else {
        return (texts, Vec::new());
    };
    texts
        .into_iter()
        .partition(|said| place(&said.row).is_none_or(|place| place < answer))
}
