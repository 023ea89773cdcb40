use super::{
    marks::Marks,
    output::{Gap, Output},
};

/// The state of a conversion while the parser's events go by.
pub(super) struct Renderer<'a> {
    pub source: &'a str,
    pub output: Output,
    pub marks: Marks,
    /// The next number of each open list; `None` for a bulleted one.
    pub lists: Vec<Option<u64>>,
    pub links: Vec<Link>,
    pub is_code: bool,
    pub is_heading: bool,
    pub table: Option<Row>,
}

/// A link whose text is being written.
pub(super) struct Link {
    pub url: String,
    pub title: String,
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
            output: Output::new(),
            marks: Marks::default(),
            lists: Vec::new(),
            links: Vec::new(),
            is_code: false,
            is_heading: false,
            table: None,
        }
    }

    /// The space before `start` in the source: a line end, or one blank line for any number of them.
    pub fn gap_before(&self, start: usize) -> Gap {
        let Some((before, _)) = self.source[..start].rsplit_once('\n') else {
            return Gap::Line;
        };
        let line_before = before.rsplit('\n').next().unwrap_or_default();
        let is_blank = line_before
            .trim_matches(|c: char| c.is_whitespace() || c == '>')
            .is_empty();
        if is_blank { Gap::Blank } else { Gap::Line }
    }
}
