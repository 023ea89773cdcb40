use claw_domain::Sensitive;

use super::{
    Activity, AssistantRow, History, Interruption, Row, RowKind,
    owner::{Owner, is_done, said, with_owners},
};

/// What a transcript says about one run key of ours.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// The gateway never took it: sending it is safe.
    Unknown,
    /// It is being answered, or waits for its turn. Do not send it again.
    Running,
    /// It was taken, has no answer, and nothing runs; the gateway crashed in the middle and takes the
    /// turn up again soon after it is ready. Do not send it again: that gave a second answer.
    Interrupted,
    /// As before, but the gateway crashed before the model had begun, and nothing will be taken up
    /// again. Sending it again, under the same key, makes one answer.
    Abandoned,
    /// The answer, oldest row first; [`whole_text`] is what the run's final event said.
    Answered(Vec<AssistantRow>),
    /// It was answered with silence, or within the answer to another question.
    Silent,
    /// It ended in an error or was stopped.
    Failed,
}

/// An answer as one text: rows joined by empty lines, as the gateway does in `chat` finals.
pub fn whole_text(answer: &[AssistantRow]) -> Sensitive<String> {
    let texts: Vec<&str> = answer
        .iter()
        .map(|row| row.text.expose().as_str())
        .collect();
    texts.join("\n\n").into()
}

/// How the run `run` stands, judged by rows that reach back to before it was first sent (a page, or
/// everything since the cursor stored then).
///
/// An assistant row answers the run whose id it carries, if that run's question is in the
/// transcript; otherwise the question before it. That covers the two cases in which the gateway
/// answers under an id of its own: a turn taken up after a restart, and a turn that had to queue.
pub fn standing(history: &History, run: &str) -> Standing {
    let answer = Answer::of(run, &history.rows);
    if answer.is_complete() || answer.went_into_another(&history.rows) {
        return ended(&answer, true);
    }
    let activity = &history.activity;
    if !answer.was_asked && answer.rows.is_empty() {
        return never_seen(activity, run);
    }
    let may_be_running = activity.is_active || activity.recovers();
    if activity.names(run) || (may_be_running && answer.is_open) {
        return Standing::Running;
    }
    if activity.last_run.as_deref() == Some(run) {
        return ended(&answer, activity.last_run_is_done);
    }
    match answer.rows.last().map(|row| &row.kind) {
        Some(RowKind::Failed { .. } | RowKind::Aborted { .. }) => Standing::Failed,
        Some(_) => Standing::Interrupted,
        None => interrupted(activity),
    }
}

/// Nothing was said yet and nothing runs. What counts is whether the gateway has it on record that
/// the model had begun: only then does it go on.
const fn interrupted(activity: &Activity) -> Standing {
    match activity.interruption {
        Interruption::OnRecord | Interruption::Marked => Standing::Interrupted,
        Interruption::None => Standing::Abandoned,
    }
}

/// What the assistant said without being asked by a person: heartbeats, reminders, cron results.
/// Oldest first. The first row of a delta may be misjudged if its question lies before the delta.
pub fn proactive(rows: &[Row]) -> Vec<AssistantRow> {
    with_owners(rows, None)
        .into_iter()
        .filter(|(_, owner)| *owner == Owner::Nobody)
        .filter_map(|(row, _)| said(row))
        .collect()
}

fn never_seen(activity: &Activity, run: &str) -> Standing {
    if activity.names(run) {
        Standing::Running
    } else if activity.last_run.as_deref() == Some(run) {
        interrupted(activity)
    } else {
        Standing::Unknown
    }
}

fn ended(answer: &Answer<'_>, well: bool) -> Standing {
    let spoken = answer.spoken();
    if !well {
        Standing::Failed
    } else if spoken.is_empty() {
        Standing::Silent
    } else {
        Standing::Answered(spoken)
    }
}

/// The rows that belong to one run.
struct Answer<'a> {
    rows: Vec<&'a Row>,
    /// The question is in the transcript.
    was_asked: bool,
    /// No later question and no other turn has begun since: more rows may come.
    is_open: bool,
    /// The run it was fed into.
    steered_into: Option<&'a str>,
}

impl<'a> Answer<'a> {
    /// Collects up to the first complete answer: a key that was sent again after a restart has two,
    /// and the first is the one that may have been delivered.
    fn of(run: &'a str, rows: &'a [Row]) -> Self {
        let mut answer = Self {
            rows: Vec::new(),
            was_asked: false,
            is_open: false,
            steered_into: None,
        };
        for (row, owner) in with_owners(rows, Some(run)) {
            if owner == Owner::Person(run) {
                if answer.is_complete() && !answer.goes_on_with(row) {
                    break;
                }
                answer.rows.push(row);
            } else if let RowKind::Person {
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
            } else if owner == Owner::Nobody && row.kind != RowKind::Automation {
                answer.is_open = false;
            }
        }
        answer
    }

    /// A model that stopped without a word is asked once more by the gateway: not complete yet.
    fn is_complete(&self) -> bool {
        self.rows
            .last()
            .is_some_and(|row| is_done(row) && !row.text.expose().trim().is_empty())
    }

    fn went_into_another(&self, rows: &'a [Row]) -> bool {
        self.steered_into
            .is_some_and(|run| Answer::of(run, rows).is_complete())
    }

    /// A run that was complete goes on only if something was fed into it, and nobody else spoke.
    fn goes_on_with(&self, row: &Row) -> bool {
        self.is_open && self.rows.last().is_some_and(|last| last.run() == row.run())
    }

    fn spoken(&self) -> Vec<AssistantRow> {
        self.rows.iter().filter_map(|row| said(row)).collect()
    }
}
