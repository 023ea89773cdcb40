use std::ops::Range;

use pulldown_cmark::CodeBlockKind;

use super::{
    marks::Style,
    output::{Container, Gap},
    renderer::{Renderer, Row},
};

/// Written for a horizontal rule.
const RULE: &str = "———";

/// Language names that may follow a code fence; WhatsApp would show them as text. Anything else after a fence is the
/// first line of the code.
const LANGUAGES: [&str; 34] = [
    "bash",
    "c",
    "console",
    "cpp",
    "cs",
    "css",
    "csv",
    "diff",
    "go",
    "html",
    "ini",
    "java",
    "javascript",
    "js",
    "json",
    "kotlin",
    "markdown",
    "md",
    "php",
    "plaintext",
    "py",
    "python",
    "ruby",
    "rust",
    "sh",
    "shell",
    "sql",
    "swift",
    "text",
    "toml",
    "ts",
    "txt",
    "xml",
    "yaml",
];

impl Renderer<'_> {
    /// Writes a `#` heading in bold. A line underlined with dashes is not a heading: assistants usually mean a
    /// paragraph before a rule.
    pub(super) fn start_heading(&mut self, range: &Range<usize>) {
        self.output.space(self.gap_before(range.start));
        if self.is_hash_heading(range) {
            self.is_heading = true;
            self.marks.open(Style::Bold, &mut self.output);
        }
    }

    pub(super) fn end_heading(&mut self, range: &Range<usize>) {
        if self.is_hash_heading(range) {
            self.marks.close(&mut self.output);
            self.is_heading = false;
        } else if self.source[range.clone()].trim_end().ends_with('-') {
            self.output.space(Gap::Line);
            self.output.add(RULE);
        }
    }

    fn is_hash_heading(&self, range: &Range<usize>) -> bool {
        self.source[range.start..].starts_with('#')
    }

    pub(super) fn rule(&mut self, range: &Range<usize>) {
        self.output.space(self.gap_before(range.start));
        self.output.add(RULE);
    }

    pub(super) fn start_item(&mut self, range: &Range<usize>) {
        self.output.space(self.gap_before(range.start));
        let marker = match self.lists.last_mut() {
            Some(Some(number)) => {
                let marker = format!("{number}. ");
                *number = number.saturating_add(1);
                marker
            }
            Some(None) | None => "- ".to_owned(),
        };
        self.output.open(Container::item(marker));
    }

    pub(super) fn start_row(&mut self, is_head: bool) {
        self.output.space(Gap::Line);
        self.table = Some(Row {
            is_head,
            is_begun: false,
        });
    }

    pub(super) fn start_cell(&mut self) {
        let is_begun = self
            .table
            .as_mut()
            .is_some_and(|row| std::mem::replace(&mut row.is_begun, true));
        if is_begun {
            let bar = if self.output.is_line_begun() {
                " | "
            } else {
                "| "
            };
            self.output.add(bar);
        }
        if self.is_head() {
            self.marks.open(Style::Bold, &mut self.output);
        }
    }

    pub(super) fn is_head(&self) -> bool {
        self.table.as_ref().is_some_and(|row| row.is_head)
    }

    pub(super) fn start_code(&mut self, kind: &CodeBlockKind<'_>, range: &Range<usize>) {
        self.output.space(self.gap_before(range.start));
        self.is_code = true;
        match kind {
            CodeBlockKind::Indented => {
                self.output.add("    ");
            }
            CodeBlockKind::Fenced(info) => {
                self.output.write("```");
                self.output.write_lines("\n");
                if !LANGUAGES.contains(&info.to_ascii_lowercase().as_str()) {
                    self.output.write_lines(info);
                    self.output.end_line();
                }
            }
        }
    }

    pub(super) fn end_code(&mut self, range: &Range<usize>) {
        self.is_code = false;
        let fence = self.source[range.start..].trim_start();
        if fence.starts_with("```") || fence.starts_with("~~~") {
            self.output.end_line();
            self.output.write("```");
        }
    }
}
