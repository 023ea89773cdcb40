use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use super::{
    containers::{Container, Gap, Page},
    marks::{Marks, Style},
};

/// Writes Markdown the way WhatsApp shows it: `*bold*`, `_italic_`, `~struck~`, code, lists and quotes;
/// headings in bold, links as `text (address)`, tables as lines, pictures as their description.
///
/// One mark means different things in the two notations: `*x*` is italic in Markdown and bold in
/// WhatsApp. Assistants who write it usually mean WhatsApp, and a text may already be formatted, so
/// `*x*` stays as it is; `_x_` is italic in both. Single line ends are kept, as in a chat.
pub fn to_whatsapp(markdown: &str) -> String {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let events = Parser::new_ext(markdown, options).into_offset_iter();
    let mut definitions: Vec<_> = events
        .reference_definitions()
        .iter()
        .map(|(_, definition)| (definition.span.clone(), definition.dest.to_string()))
        .collect();
    definitions.sort_by_key(|(span, _)| span.start);

    let mut renderer = Renderer::new(markdown);
    for (event, range) in events {
        renderer.event(event, &range);
    }
    renderer.append_unused(&definitions);
    let text = renderer.page.into_text();
    let is_lost = text.trim().is_empty();
    if is_lost {
        markdown.trim().to_owned()
    } else {
        text.trim_matches(['\n', '\r']).trim_end().to_owned()
    }
}

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

struct Link {
    url: String,
    title: String,
    /// Where its text begins on the page.
    start: usize,
}

struct Renderer<'a> {
    source: &'a str,
    page: Page,
    marks: Marks,
    /// The next number of each open list; `None` for bullets.
    lists: Vec<Option<u64>>,
    links: Vec<Link>,
    is_code: bool,
    is_heading: bool,
    table: Option<Row>,
}

/// The row of a table that is being written.
struct Row {
    is_head: bool,
    is_begun: bool,
}

impl<'a> Renderer<'a> {
    fn new(source: &'a str) -> Self {
        Self {
            source,
            page: Page::new(),
            marks: Marks::default(),
            lists: Vec::new(),
            links: Vec::new(),
            is_code: false,
            is_heading: false,
            table: None,
        }
    }

    fn event(&mut self, event: Event<'_>, range: &Range<usize>) {
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(tag) => self.end(tag, range),
            Event::Text(text) if self.is_code => self.page.write_lines(&text),
            Event::Text(text) | Event::FootnoteReference(text) => self.page.write(&text),
            Event::Code(code) => self.code(&code),
            Event::InlineMath(text) | Event::DisplayMath(text) => self.page.write_lines(&text),
            Event::InlineHtml(html) if is_line_break(&html) => self.break_line(),
            Event::Html(html) | Event::InlineHtml(html) => self.page.write_lines(&html),
            Event::SoftBreak | Event::HardBreak => self.break_line(),
            Event::Rule => self.rule(range),
            Event::TaskListMarker(true) => self.page.write("☑ "),
            Event::TaskListMarker(false) => self.page.write("☐ "),
        }
    }

    fn start(&mut self, tag: Tag<'_>, range: &Range<usize>) {
        let gap = gap_before(self.source, range.start);
        match tag {
            Tag::Heading { .. } => self.start_heading(range),
            Tag::BlockQuote(_) => {
                self.page.space(gap);
                self.page.open(Container::Quote);
            }
            Tag::CodeBlock(kind) => self.start_code(&kind, range),
            Tag::List(first) => {
                self.page.space(gap);
                self.lists.push(first);
            }
            Tag::Item => self.start_item(range),
            Tag::TableHead => self.start_row(true),
            Tag::TableRow => self.start_row(false),
            Tag::TableCell => self.start_cell(),
            Tag::Emphasis => {
                let style = self.style_of_emphasis(range);
                self.marks.open(style, &mut self.page);
            }
            Tag::Strong => self.marks.open(Style::Bold, &mut self.page),
            Tag::Strikethrough => self.marks.open(Style::Struck, &mut self.page),
            Tag::Link {
                dest_url, title, ..
            }
            | Tag::Image {
                dest_url, title, ..
            } => self.start_link(dest_url.into_string(), title.into_string()),
            Tag::Paragraph
            | Tag::HtmlBlock
            | Tag::Table(_)
            | Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::MetadataBlock(_) => self.page.space(gap),
            Tag::Superscript | Tag::Subscript => {}
        }
    }

    fn end(&mut self, tag: TagEnd, range: &Range<usize>) {
        match tag {
            TagEnd::Heading(_) => self.end_heading(range),
            TagEnd::BlockQuote(_) | TagEnd::Item => self.page.close(),
            TagEnd::CodeBlock => self.end_code(range),
            TagEnd::List(_) => drop(self.lists.pop()),
            TagEnd::Table => self.table = None,
            TagEnd::TableCell if self.is_head() => self.marks.close(&mut self.page),
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => {
                self.marks.close(&mut self.page);
            }
            TagEnd::Link | TagEnd::Image => self.end_link(),
            TagEnd::HtmlBlock => self.page.end_line(),
            TagEnd::Paragraph
            | TagEnd::FootnoteDefinition
            | TagEnd::DefinitionList
            | TagEnd::DefinitionListTitle
            | TagEnd::DefinitionListDefinition
            | TagEnd::TableHead
            | TagEnd::TableRow
            | TagEnd::TableCell
            | TagEnd::Superscript
            | TagEnd::Subscript
            | TagEnd::MetadataBlock(_) => {}
        }
    }

    /// A heading with `#` is bold. A line underlined with dashes is more often a paragraph before a
    /// rule, in the way assistants write.
    fn start_heading(&mut self, range: &Range<usize>) {
        self.page.space(gap_before(self.source, range.start));
        if self.is_hash_heading(range) {
            self.is_heading = true;
            self.marks.open(Style::Bold, &mut self.page);
        }
    }

    fn end_heading(&mut self, range: &Range<usize>) {
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

    fn rule(&mut self, range: &Range<usize>) {
        self.page.space(gap_before(self.source, range.start));
        self.page.write(RULE);
    }

    fn start_item(&mut self, range: &Range<usize>) {
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

    fn start_row(&mut self, is_head: bool) {
        self.page.space(Gap::Line);
        self.table = Some(Row {
            is_head,
            is_begun: false,
        });
    }

    fn start_cell(&mut self) {
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

    fn is_head(&self) -> bool {
        self.table.as_ref().is_some_and(|row| row.is_head)
    }

    fn style_of_emphasis(&self, range: &Range<usize>) -> Style {
        let source = &self.source[range.start..];
        let is_bold_too = source.starts_with("***") || self.marks.has(Style::Bold);
        if source.starts_with('*') && !is_bold_too {
            Style::Bold
        } else {
            Style::Italic
        }
    }

    fn code(&mut self, code: &str) {
        let fence = if code.contains('`') { "```" } else { "`" };
        self.page.write(&format!("{fence}{code}{fence}"));
    }

    fn start_code(&mut self, kind: &CodeBlockKind<'_>, range: &Range<usize>) {
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

    fn end_code(&mut self, range: &Range<usize>) {
        self.is_code = false;
        let fence = self.source[range.start..].trim_start();
        if fence.starts_with("```") || fence.starts_with("~~~") {
            self.page.end_line();
            self.page.write("```");
        }
    }

    fn start_link(&mut self, url: String, title: String) {
        self.page.write("");
        let start = self.page.text().len();
        self.links.push(Link { url, title, start });
    }

    fn end_link(&mut self) {
        let Some(Link { url, title, start }) = self.links.pop() else {
            return;
        };
        // Inside the text, a mark without content may have been taken back.
        let text = self.page.text().get(start..).unwrap_or_default();
        let shown = if title.is_empty() {
            url.clone()
        } else {
            format!("{url}, {title}")
        };
        if text.is_empty() {
            self.page.write(&shown);
        } else if !shown.is_empty() && !is_same_address(text, &shown) {
            self.page.write(&format!(" ({shown})"));
        }
    }

    fn break_line(&mut self) {
        // One line of a heading or a table has to stay one.
        if self.is_heading || self.table.is_some() {
            self.page.write(" ");
        } else {
            self.marks
                .across(&mut self.page, |page| page.space(Gap::Line));
        }
    }

    /// Addresses defined at the end of a text but used nowhere are still something to read.
    fn append_unused(&mut self, definitions: &[(Range<usize>, String)]) {
        for (span, url) in definitions {
            if !self.page.text().contains(url.as_str()) {
                let definition = self.source[span.clone()].trim();
                self.page.space(gap_before(self.source, span.start));
                self.page.write_lines(definition);
            }
        }
    }
}

/// As much space as the author left before `start`, but no more than one blank line.
fn gap_before(source: &str, start: usize) -> Gap {
    let Some((before, _)) = source[..start].rsplit_once('\n') else {
        return Gap::Line;
    };
    let line_before = before.rsplit('\n').next().unwrap_or_default();
    let is_blank = line_before
        .trim_matches(|c: char| c.is_whitespace() || c == '>')
        .is_empty();
    if is_blank { Gap::Blank } else { Gap::Line }
}

fn is_line_break(html: &str) -> bool {
    matches!(html, "<br>" | "<br/>" | "<br />")
}

/// Whether a link's text is its address already, give or take the scheme and a final slash.
fn is_same_address(text: &str, url: &str) -> bool {
    let bare = |address: &str| {
        ["https://", "http://", "mailto:"]
            .into_iter()
            .fold(address, |rest, scheme| {
                rest.strip_prefix(scheme).unwrap_or(rest)
            })
            .trim_end_matches('/')
            .to_owned()
    };
    bare(text) == bare(url)
}
