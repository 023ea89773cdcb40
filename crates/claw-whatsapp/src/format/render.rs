use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::{
    blocks::{Row, gap_before},
    containers::{Container, Gap, Page},
    links::Link,
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

/// What is open while the events of a text go by.
pub(super) struct Renderer<'a> {
    pub(super) source: &'a str,
    pub(super) page: Page,
    pub(super) marks: Marks,
    /// The next number of each open list; `None` for bullets.
    pub(super) lists: Vec<Option<u64>>,
    pub(super) links: Vec<Link>,
    pub(super) is_code: bool,
    pub(super) is_heading: bool,
    pub(super) table: Option<Row>,
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

    fn break_line(&mut self) {
        // One line of a heading or a table has to stay one.
        if self.is_heading || self.table.is_some() {
            self.page.write(" ");
        } else {
            self.marks
                .across(&mut self.page, |page| page.space(Gap::Line));
        }
    }
}

fn is_line_break(html: &str) -> bool {
    matches!(html, "<br>" | "<br/>" | "<br />")
}
