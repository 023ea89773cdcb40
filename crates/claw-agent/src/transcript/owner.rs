use std::collections::HashSet;

use claw_domain::Sensitive;

use super::{Row, RowKind, Stop};

/// A text of the assistant.
#[derive(Debug, Clone, PartialEq)]
pub struct AssistantRow {
    /// The row's id in the transcript. Send the text once per id.
    pub id: String,
    /// The assistant's text, in Markdown.
    pub text: Sensitive<String>,
    /// Whether OpenClaw cut the text.
    pub is_cut: bool,
    /// Whether a cron job wrote it; usually a reminder.
    pub is_automation: bool,
}

/// The question that a row of the assistant answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner<'a> {
    /// The question sent with this run key.
    Run(&'a str),
    /// No question: the assistant spoke proactively.
    Proactive,
    /// Not applicable: the row is not the assistant's, or its question has no key.
    None,
}

/// Every row with its owner. `also_asked` is a run whose question may precede the rows.
pub(super) fn with_owners<'a>(
    rows: &'a [Row],
    also_asked: Option<&'a str>,
) -> Vec<(&'a Row, Owner<'a>)> {
    let asked: HashSet<&str> = rows
        .iter()
        .filter_map(asked_run)
        .chain(also_asked)
        .collect();
    let mut scan = Scan {
        owner: Owner::None,
        is_answered: false,
    };
    rows.iter()
        .map(|row| (row, scan.owner_of(row, &asked)))
        .collect()
}

/// The state while a transcript is read from the oldest row to the newest.
struct Scan<'a> {
    /// The owner of assistant rows that name no known run.
    owner: Owner<'a>,
    is_answered: bool,
}

impl<'a> Scan<'a> {
    fn owner_of(&mut self, row: &'a Row, asked: &HashSet<&'a str>) -> Owner<'a> {
        match &row.kind {
            RowKind::User { run, .. } => {
                self.begin(run.as_deref().map_or(Owner::None, Owner::Run));
                Owner::None
            }
            // If the question is answered, OpenClaw crashed between the answer and the end of its run,
            // so later rows would be a second answer. (Or it crashed in a heartbeat, which will be repeated.)
            RowKind::Recovery => {
                if self.is_answered {
                    self.begin(Owner::None);
                }
                Owner::None
            }
            RowKind::Prompt => {
                self.begin(Owner::Proactive);
                Owner::None
            }
            RowKind::Automation => Owner::Proactive,
            RowKind::Hidden => Owner::None,
            RowKind::Assistant { .. } | RowKind::Failed { .. } | RowKind::Aborted { .. } => {
                self.owner_of_text(row, asked)
            }
        }
    }

    fn begin(&mut self, owner: Owner<'a>) {
        self.owner = owner;
        self.is_answered = false;
    }

    fn owner_of_text(&mut self, row: &'a Row, asked: &HashSet<&'a str>) -> Owner<'a> {
        if let Some(run) = row.run().filter(|run| asked.contains(run)) {
            self.is_answered |= self.owner == Owner::Run(run) && is_done(row);
            return Owner::Run(run);
        }
        if row.opens_turn {
            self.begin(Owner::Proactive);
        }
        self.is_answered |= is_done(row);
        self.owner
    }
}

/// Whether the model was done at the end of this row.
pub(super) fn is_done(row: &Row) -> bool {
    matches!(
        row.kind,
        RowKind::Assistant {
            stop: Stop::Done,
            ..
        }
    )
}

fn asked_run(row: &Row) -> Option<&str> {
    match &row.kind {
        RowKind::User { run, .. } => run.as_deref(),
        RowKind::Recovery
        | RowKind::Prompt
        | RowKind::Assistant { .. }
        | RowKind::Failed { .. }
        | RowKind::Aborted { .. }
        | RowKind::Automation
        | RowKind::Hidden => None,
    }
}

/// The text of a row as a user may see it; `None` for tool calls, errors and control words.
pub(super) fn spoken(row: &Row) -> Option<AssistantRow> {
    let is_spoken = matches!(row.kind, RowKind::Assistant { .. } | RowKind::Automation);
    let text = row.text.expose().trim();
    if !is_spoken || text.is_empty() || CONTROL_WORDS.contains(&text) {
        return None;
    }
    Some(AssistantRow {
        id: row.id.clone(),
        text: row.text.clone(),
        is_cut: row.is_cut,
        is_automation: row.kind == RowKind::Automation,
    })
}

/// The texts by which the assistant says nothing. OpenClaw usually hides such rows itself.
const CONTROL_WORDS: [&str; 2] = ["NO_REPLY", "HEARTBEAT_OK"];
