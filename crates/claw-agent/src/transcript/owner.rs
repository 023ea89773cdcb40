use std::collections::HashSet;

use claw_domain::Sensitive;

use super::{Row, RowKind, Stop};

/// Something the assistant said.
#[derive(Debug, Clone, PartialEq)]
pub struct AssistantRow {
    /// The transcript's id: say it once.
    pub id: String,
    /// What it said.
    pub text: Sensitive<String>,
    /// The gateway cut the text.
    pub is_cut: bool,
    /// A cron job put it there: a reminder, usually.
    pub is_automation: bool,
}

/// For whom a row of the assistant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner<'a> {
    /// For whoever asked with this run key.
    Person(&'a str),
    /// For nobody who asked.
    Nobody,
    /// Not a row of the assistant, or a question without a key.
    None,
}

/// Every row with its owner. `also_asked` is a run whose question may lie before the rows.
pub(super) fn with_owners<'a>(
    rows: &'a [Row],
    also_asked: Option<&'a str>,
) -> Vec<(&'a Row, Owner<'a>)> {
    let asked: HashSet<&str> = rows
        .iter()
        .filter_map(asked_run)
        .chain(also_asked)
        .collect();
    let mut turn = Turn {
        owner: Owner::None,
        is_answered: false,
    };
    rows.iter()
        .map(|row| (row, turn.take(row, &asked)))
        .collect()
}

/// Whose turn it is while a transcript is read from top to bottom.
struct Turn<'a> {
    owner: Owner<'a>,
    is_answered: bool,
}

impl<'a> Turn<'a> {
    fn take(&mut self, row: &'a Row, asked: &HashSet<&'a str>) -> Owner<'a> {
        match &row.kind {
            RowKind::Person { run, .. } => {
                self.begin(run.as_deref().map_or(Owner::None, Owner::Person));
                Owner::None
            }
            // The crash came between the answer and the end of its turn: whatever the assistant adds now
            // would be a second answer. (Or it came in a heartbeat, which will come again.)
            RowKind::Recovery => {
                if self.is_answered {
                    self.begin(Owner::None);
                }
                Owner::None
            }
            RowKind::Prompt => {
                self.begin(Owner::Nobody);
                Owner::None
            }
            RowKind::Automation => Owner::Nobody,
            RowKind::Hidden => Owner::None,
            RowKind::Assistant { .. } | RowKind::Failed { .. } | RowKind::Aborted { .. } => {
                self.spoken_by(row, asked)
            }
        }
    }

    fn begin(&mut self, owner: Owner<'a>) {
        self.owner = owner;
        self.is_answered = false;
    }

    fn spoken_by(&mut self, row: &'a Row, asked: &HashSet<&'a str>) -> Owner<'a> {
        if let Some(run) = row.run().filter(|run| asked.contains(run)) {
            self.is_answered |= self.owner == Owner::Person(run) && is_done(row);
            return Owner::Person(run);
        }
        if row.opens_turn {
            self.begin(Owner::Nobody);
        }
        self.is_answered |= is_done(row);
        self.owner
    }
}

/// The model was done where this row ends.
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
        RowKind::Person { run, .. } => run.as_deref(),
        RowKind::Recovery
        | RowKind::Prompt
        | RowKind::Assistant { .. }
        | RowKind::Failed { .. }
        | RowKind::Aborted { .. }
        | RowKind::Automation
        | RowKind::Hidden => None,
    }
}

/// The row as something said to a person; `None` for tool calls, errors and control words.
pub(super) fn said(row: &Row) -> Option<AssistantRow> {
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

/// What the assistant says to say nothing. The gateway usually hides such rows itself.
const CONTROL_WORDS: [&str; 2] = ["NO_REPLY", "HEARTBEAT_OK"];
