use std::ops::Range;

use pulldown_cmark::CodeBlockKind;

use super::{
    containers::{Container, Gap},
    marks::Style,
    render::Renderer,
};

/// What stands for a line across the page.
const RULE: &str = "———";

/// Names of languages after a code fence, which WhatsApp would show as text. Anything else there is
/// taken for the first line of the code.
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

/// The row of a table that is being written.
pub(super) struct Row {
    pub is_head: bool,
    pub is_begun: bool,
}

impl Renderer<'_> {
    /// A heading with `#` is bold. A line underlined with dashes is more often a paragraph before a
    /// rule, in the way assistants write.
    pub(super) fn start_heading(&mut self, range: &Range<usize>) {
        self.page.space(gap_before(self.source, range.start));
        if self.is_hash_heading(range) {
            self.is_heading = true;
            self.marks.open(Style::Bold, &mut self.page);
        }
    }

    pub(super) fn end_heading(&mut self, range: &Range<usize>) {
        if self.is_hash_heading(range) {
            self.marks.close(&mut self.page);
            self.is_heading = false;
        } else if self.source[range.clone()].trim_end().ends_with('-') {
            self.page.space(Gap::Line);
            self.page.write(RULE);
        }
    }

    fn is_hash_heading(&self, range: &Range<usize>) -> bool {
        self.source[range.start..].starts_with('#')
    }

    pub(super) fn rule(&mut self, range: &Range<usize>) {
        self.page.space(gap_before(self.source, range.start));
        self.page.write(RULE);
    }

    pub(super) fn start_item(&mut self, range: &Range<usize>) {
        self.page.space(gap_before(self.source, range.start));
        let marker = match self.lists.last_mut() {
            Some(Some(number)) => {
                let marker = format!("{number}. ");
                *number = number.saturating_add(1);
                marker
            }
            Some(None) | None => "- ".to_owned(),
        };
        self.page.open(Container::item(marker));
    }

    pub(super) fn start_row(&mut self, is_head: bool) {
        self.page.space(Gap::Line);
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
            let bar = if self.page.is_line_begun() {
                " | "
            } else {
                "| "
            };
            self.page.write(bar);
        }
        if self.is_head() {
            self.marks.open(Style::Bold, &mut self.page);
        }
    }

    pub(super) fn is_head(&self) -> bool {
        self.table.as_ref().is_some_and(|row| row.is_head)
    }

    pub(super) fn start_code(&mut self, kind: &CodeBlockKind<'_>, range: &Range<usize>) {
        self.page.space(gap_before(self.source, range.start));
        self.is_code = true;
        match kind {
            CodeBlockKind::Indented => self.page.write("    "),
            CodeBlockKind::Fenced(info) => {
                self.page.write("```");
                self.page.write_lines("\n");
                if !LANGUAGES.contains(&info.to_ascii_lowercase().as_str()) {
                    self.page.write_lines(info);
                    self.page.end_line();
                }
            }
        }
    }

    pub(super) fn end_code(&mut self, range: &Range<usize>) {
        self.is_code = false;
        let fence = self.source[range.start..].trim_start();
        if fence.starts_with("```") || fence.starts_with("~~~") {
            self.page.end_line();
            self.page.write("```");
        }
    }
}

/// As much space as the author left before `start`, but no more than one blank line.
pub(super) fn gap_before(source: &str, start: usize) -> Gap {
    let Some((before, _)) = source[..start].rsplit_once('\n') else {
        return Gap::Line;
    };
    let line_before = before.rsplit('\n').next().unwrap_or_default();
    let is_blank = line_before
        .trim_matches(|c: char| c.is_whitespace() || c == '>')
        .is_empty();
    if is_blank { Gap::Blank } else { Gap::Line }
}
