use std::collections::HashSet;

use super::{
    lines::Lines,
    marks::Marks,
    output::{Gap, Output},
};

/// How much longer than its source a text may become, per byte: all prefixes, marks and repeated addresses. Ordinary
/// texts add less than half a byte.
const MOST_ADDED_PER_BYTE: usize = 2;

/// What even the shortest text may add, for example the address of a link.
const ALWAYS_ADDED_BYTES: usize = 512;

/// The state of a conversion while the parser's events go by.
pub(super) struct Renderer<'a> {
    pub source: &'a str,
    lines: Lines,
    pub output: Output,
    pub marks: Marks,
    /// The next number of each open list; `None` for a bulleted one.
    pub lists: Vec<Option<u64>>,
    pub links: Vec<Link>,
    /// The addresses that were written.
    pub shown: HashSet<String>,
    pub is_code: bool,
    pub is_heading: bool,
    pub table: Option<Row>,
}

/// A link whose text is being written.
pub(super) struct Link {
    pub url: String,
    pub title: String,
    /// Whether the address stands elsewhere in the source, where many links may refer to it.
    pub is_reference: bool,
    /// Where its text begins in the output.
    pub start: usize,
}

/// The table row that is being written.
pub(super) struct Row {
    pub is_head: bool,
    pub is_begun: bool,
}

impl<'a> Renderer<'a> {
    pub fn new(source: &'a str) -> Self {
        Self {
            source,
            lines: Lines::of(source),
            output: Output::new(MOST_ADDED_PER_BYTE * source.len() + ALWAYS_ADDED_BYTES),
            marks: Marks::default(),
            lists: Vec::new(),
            links: Vec::new(),
            shown: HashSet::new(),
            is_code: false,
            is_heading: false,
            table: None,
        }
    }

    /// The space before `start` in the source: a line end, or one blank line for any number of them.
    pub fn gap_before(&self, start: usize) -> Gap {
        self.lines.gap_before(start)
    }
}
