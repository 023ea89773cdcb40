use std::ops::Range;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::{
    marks::Style,
    nesting::with_limited_nesting,
    output::{Container, Gap},
    renderer::Renderer,
};

/// Converts Markdown to WhatsApp's notation: `*bold*`, `_italic_`, `~struck~`, code, lists and quotes; headings
/// become bold, links `text (address)`, tables lines, and images their description.
///
/// `*x*` is italic in Markdown and bold in WhatsApp. It stays as it is, because assistants usually mean WhatsApp and
/// a text may already be formatted; `_x_` is italic in both. Single line ends are kept, as in a chat.
///
/// The text comes from a stranger. Whatever it is, the time is linear in its length, and the result is at most 4 times as
/// long and 1 KiB: blocks nested too deeply are text, and a text that would need more prefixes, marks and repeated
/// addresses than that loses the last of them. So the caller limits the length of the text.
pub fn to_whatsapp(markdown: &str) -> String {
    let limited = with_limited_nesting(markdown);
    let markdown = &*limited;
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
    let text = renderer.output.into_text();
    let is_lost = text.trim().is_empty();
    if is_lost {
        markdown.trim().to_owned()
    } else {
        text.trim_matches(['\n', '\r']).trim_end().to_owned()
    }
}

impl Renderer<'_> {
    fn event(&mut self, event: Event<'_>, range: &Range<usize>) {
        match event {
            Event::Start(tag) => self.start(tag, range),
            Event::End(tag) => self.end(tag, range),
            Event::Text(text) if self.is_code => self.output.write_lines(&text),
            Event::Text(text) | Event::FootnoteReference(text) => self.output.write(&text),
            Event::Code(code) => self.code(&code),
            Event::InlineMath(text) | Event::DisplayMath(text) => self.output.write_lines(&text),
            Event::InlineHtml(html) if is_line_break(&html) => self.break_line(),
            Event::Html(html) | Event::InlineHtml(html) => self.output.write_lines(&html),
            Event::SoftBreak | Event::HardBreak => self.break_line(),
            Event::Rule => self.rule(range),
            Event::TaskListMarker(true) => self.output.write("☑ "),
            Event::TaskListMarker(false) => self.output.write("☐ "),
        }
    }

    fn start(&mut self, tag: Tag<'_>, range: &Range<usize>) {
        match tag {
            Tag::Heading { .. } => self.start_heading(range),
            Tag::BlockQuote(_) => {
                self.output.space(self.gap_before(range.start));
                self.output.open(Container::Quote);
            }
            Tag::CodeBlock(kind) => self.start_code(&kind, range),
            Tag::List(first) => {
                self.output.space(self.gap_before(range.start));
                self.lists.push(first);
            }
            Tag::Item => self.start_item(range),
            Tag::TableHead => self.start_row(true),
            Tag::TableRow => self.start_row(false),
            Tag::TableCell => self.start_cell(),
            Tag::Emphasis => {
                let style = self.style_of_emphasis(range);
                self.marks.open(style, &mut self.output);
            }
            Tag::Strong => self.marks.open(Style::Bold, &mut self.output),
            Tag::Strikethrough => self.marks.open(Style::Struck, &mut self.output),
            Tag::Link {
                link_type,
                dest_url,
                title,
                ..
            }
            | Tag::Image {
                link_type,
                dest_url,
                title,
                ..
            } => self.start_link(link_type, dest_url.into_string(), title.into_string()),
            Tag::Paragraph
            | Tag::HtmlBlock
            | Tag::Table(_)
            | Tag::FootnoteDefinition(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::MetadataBlock(_) => self.output.space(self.gap_before(range.start)),
            Tag::Superscript | Tag::Subscript => {}
        }
    }

    fn end(&mut self, tag: TagEnd, range: &Range<usize>) {
        match tag {
            TagEnd::Heading(_) => self.end_heading(range),
            TagEnd::BlockQuote(_) | TagEnd::Item => self.output.close(),
            TagEnd::CodeBlock => self.end_code(range),
            TagEnd::List(_) => drop(self.lists.pop()),
            TagEnd::Table => self.table = None,
            TagEnd::TableCell if self.is_head() => self.marks.close(&mut self.output),
            TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough => {
                self.marks.close(&mut self.output);
            }
            TagEnd::Link | TagEnd::Image => self.end_link(),
            TagEnd::HtmlBlock => self.output.end_line(),
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
        self.output.write(&format!("{fence}{code}{fence}"));
    }

    fn break_line(&mut self) {
        // A heading or a table row has to stay on one line.
        if self.is_heading || self.table.is_some() {
            self.output.write(" ");
        } else {
            self.marks
                .across(&mut self.output, |output| output.space(Gap::Line));
        }
    }
}

fn is_line_break(html: &str) -> bool {
    matches!(html, "<br>" | "<br/>" | "<br />")
}
