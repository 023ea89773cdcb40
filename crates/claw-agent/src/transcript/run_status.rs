use claw_domain::Sensitive;

use super::{
    Activity, AssistantRow, History, Interruption, Row, RowKind,
    owner::{Owner, is_done, spoken, with_owners},
};

/// The status of one of our runs, judged by a transcript.
#[derive(Debug, Clone, PartialEq)]
pub enum RunStatus {
    /// OpenClaw never accepted the message: sending it is safe.
    Unknown,
    /// The run is active or queued. Do not send the message again.
    Running,
    /// The message was accepted, has no answer, and no run is active: OpenClaw crashed during the run
    /// and resumes it soon after its next start. Do not send the message again: that would give a
    /// second answer.
    Interrupted,
    /// OpenClaw crashed before the model began, and will not resume the run. Sending the message
    /// again under the same key gives one answer.
    Abandoned,
    /// The answer, oldest row first; [`whole_text`] equals the text of the run's final event.
    Answered(Vec<AssistantRow>),
    /// The run ended without a text, or another run answered its message.
    Silent,
    /// The run failed or was stopped.
    Failed,
}

/// An answer as one text: its rows joined by empty lines, as OpenClaw does in `chat` final events.
pub fn whole_text(answer: &[AssistantRow]) -> Sensitive<String> {
    let texts: Vec<&str> = answer
        .iter()
        .map(|row| row.text.expose().as_str())
        .collect();
    texts.join("\n\n").into()
}

/// The status of the run `run`. The rows must reach back to before the message was first sent (a page,
/// or all rows since the cursor stored then).
///
/// An assistant row answers the run it names, if the question of that run is in the transcript;
/// otherwise it answers the question before it. That covers the two cases in which OpenClaw answers
/// under a run id of its own: a run resumed after a restart, and a run that was queued.
pub fn run_status(history: &History, run: &str) -> RunStatus {
    let answer = Answer::of(run, &history.rows);
    if answer.is_complete() || answer.went_into_another(&history.rows) {
        return ended(&answer);
    }
    let activity = &history.activity;
    if !answer.was_asked && answer.rows.is_empty() {
        return never_seen(activity, run);
    }
    let may_be_running = activity.is_active || activity.recovers();
    if activity.names(run) || (may_be_running && answer.is_open) {
        return RunStatus::Running;
    }
    if activity.last_run.as_deref() == Some(run) {
        return if activity.last_run_is_done {
            ended(&answer)
        } else {
            RunStatus::Failed
        };
    }
    match answer.rows.last().map(|row| &row.kind) {
        Some(RowKind::Failed { .. } | RowKind::Aborted { .. }) => RunStatus::Failed,
        Some(_) => RunStatus::Interrupted,
        None => interrupted(activity),
    }
}

/// The status of a run that has no rows while no run is active. OpenClaw resumes it only if its record
/// says that the model had begun.
const fn interrupted(activity: &Activity) -> RunStatus {
    match activity.interruption {
        Interruption::OnRecord | Interruption::Marked => RunStatus::Interrupted,
        Interruption::None => RunStatus::Abandoned,
    }
}

/// The assistant's proactive texts, which answer no message of a user: heartbeats, reminders, cron
/// results. Oldest first. The first row of a delta may be misjudged if its question precedes the delta.
pub fn proactive(rows: &[Row]) -> Vec<AssistantRow> {
    with_owners(rows, None)
        .into_iter()
        .filter(|(_, owner)| *owner == Owner::Proactive)
        .filter_map(|(row, _)| spoken(row))
        .collect()
}

fn never_seen(activity: &Activity, run: &str) -> RunStatus {
    if activity.names(run) {
        RunStatus::Running
    } else if activity.last_run.as_deref() == Some(run) {
        interrupted(activity)
    } else {
        RunStatus::Unknown
    }
}

fn ended(answer: &Answer<'_>) -> RunStatus {
    let texts: Vec<_> = answer.rows.iter().filter_map(|row| spoken(row)).collect();
    if texts.is_empty() {
        RunStatus::Silent
    } else {
        RunStatus::Answered(texts)
    }
}

/// The rows that belong to one run.
struct Answer<'a> {
    rows: Vec<&'a Row>,
    /// Whether the question is in the transcript.
    was_asked: bool,
    /// Whether more rows may come: no later question and no other run has begun.
    is_open: bool,
    /// The run that absorbed the question.
    steered_into: Option<&'a str>,
}

impl<'a> Answer<'a> {
    /// Collects rows up to the first complete answer. A key that was sent again after a restart has
    /// two answers, and only the first may have been delivered.
    fn of(run: &'a str, rows: &'a [Row]) -> Self {
        let mut answer = Self {
            rows: Vec::new(),
            was_asked: false,
            is_open: false,
            steered_into: None,
        };
        for (row, owner) in with_owners(rows, Some(run)) {
            if owner == Owner::Run(run) {
                if answer.is_complete() && !answer.goes_on_with(row) {
                    break;
                }
                answer.rows.push(row);
            } else if let RowKind::User {
                run: asked,
                steered_into,
            } = &row.kind
            {
                let is_ours = asked.as_deref() == Some(run);
                if is_ours {
                    answer.was_asked = true;
                    answer.steered_into = steered_into.as_deref().filter(|other| *other != run);
                }
                answer.is_open = is_ours || steered_into.as_deref() == Some(run);
            } else if owner == Owner::Proactive && row.kind != RowKind::Automation {
                answer.is_open = false;
            }
        }
        answer
    }

    /// An answer without a text is not complete: OpenClaw asks the model once more.
    fn is_complete(&self) -> bool {
        self.rows
            .last()
            .is_some_and(|row| is_done(row) && !row.text.expose().trim().is_empty())
    }

    fn went_into_another(&self, rows: &'a [Row]) -> bool {
        self.steered_into
            .is_some_and(|run| Answer::of(run, rows).is_complete())
    }

    /// A complete answer continues only if a message was steered into the run and no other run spoke.
    fn goes_on_with(&self, row: &Row) -> bool {
        self.is_open && self.rows.last().is_some_and(|last| last.run() == row.run())
    }
}
