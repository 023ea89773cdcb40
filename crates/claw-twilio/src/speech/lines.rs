/// A line of Markdown while it is being read.
pub(super) enum Line {
    /// The first characters of a line whose kind is still unknown.
    Head(Head),
    /// A line that can only be read as a whole: a table row, a fence, or a line of code.
    Whole(String),
    /// A line whose text is spoken as it arrives.
    Text(LineKind),
}

/// The beginning of a line.
#[derive(Default)]
pub(super) struct Head {
    text: String,
    /// How long the text must be for its kind to be looked for again.
    look_at: usize,
}

/// Up to this length the kind is looked for at every character, and then whenever the length has doubled, so that a
/// line of a million dashes takes no quadratic time. Bytes.
const SHORT_HEAD: usize = 64;

impl Head {
    /// Takes a character, and returns the kind of the line if it is known now.
    pub(super) fn push(&mut self, character: char) -> Option<LineKind> {
        self.text.push(character);
        let length = self.text.len();
        if length < self.look_at {
            return None;
        }
        self.look_at = if length < SHORT_HEAD { 0 } else { 2 * length };
        kind_of(&self.text, false)
    }

    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }
}

/// The kind of a line. Markers are measured in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineKind {
    /// An empty line, which ends a paragraph.
    Blank,
    /// A heading or a list item, which is a sentence of its own.
    Block {
        marker: usize,
    },
    /// A quotation; another line follows its marker.
    Quote {
        marker: usize,
    },
    /// A row of a table, which begins with `|`.
    Row,
    /// The beginning or end of a code block.
    Fence,
    /// A horizontal rule, or the underline of a heading.
    Rule,
    Paragraph,
}

/// The fence of an open code block.
pub(super) struct Fence {
    mark: char,
    length: usize,
}

impl Line {
    pub(super) fn begun() -> Self {
        Self::Head(Head::default())
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Head(head) if head.text.is_empty())
    }
}

impl Fence {
    pub(super) fn opened_by(line: &str) -> Option<Self> {
        let line = line.trim_start();
        let mark = line.chars().next()?;
        let length = line.chars().take_while(|found| *found == mark).count();
        Some(Self { mark, length })
    }

    pub(super) fn is_closed_by(&self, line: &str) -> bool {
        let line = line.trim();
        line.chars().all(|found| found == self.mark) && line.chars().count() >= self.length
    }
}

/// The kind of the line that begins with `head`, or `None` if that needs more characters. At the end of the line
/// the kind is always known.
pub(super) fn kind_of(head: &str, is_at_end: bool) -> Option<LineKind> {
    let text = head.trim_start();
    let indent = head.len() - text.len();
    let Some(first) = text.chars().next() else {
        return is_at_end.then_some(LineKind::Blank);
    };
    match first {
        '>' => Some(LineKind::Quote { marker: indent + 1 }),
        '|' => Some(LineKind::Row),
        '#' => heading(text, is_at_end, indent),
        '`' | '~' => fence(text, first, is_at_end),
        '-' | '*' | '+' | '_' | '=' => bullet_or_rule(text, first, is_at_end, indent),
        '•' | '◦' | '▪' | '‣' => Some(LineKind::Block {
            marker: indent + first.len_utf8(),
        }),
        '0'..='9' => numbered(text, is_at_end),
        _ => Some(LineKind::Paragraph),
    }
}

fn heading(text: &str, is_at_end: bool, indent: usize) -> Option<LineKind> {
    let marks = text.len() - text.trim_start_matches('#').len();
    match text[marks..].chars().next() {
        None if is_at_end => Some(LineKind::Blank),
        None => None,
        Some(' ' | '\t') if marks <= 6 => Some(LineKind::Block {
            marker: indent + marks,
        }),
        Some(_) => Some(LineKind::Paragraph),
    }
}

fn fence(text: &str, mark: char, is_at_end: bool) -> Option<LineKind> {
    let marks = text.len() - text.trim_start_matches(mark).len();
    let rest = &text[marks..];
    if marks < 3 {
        let is_undecided = rest.is_empty() && !is_at_end;
        return (!is_undecided).then_some(LineKind::Paragraph);
    }
    // Three backticks may also enclose code inside a sentence, which only the whole line tells.
    is_at_end.then(|| {
        if mark == '`' && rest.contains('`') {
            LineKind::Paragraph
        } else {
            LineKind::Fence
        }
    })
}

fn bullet_or_rule(text: &str, mark: char, is_at_end: bool, indent: usize) -> Option<LineKind> {
    let is_only_marks = text
        .chars()
        .all(|found| found == mark || found.is_whitespace());
    if is_only_marks {
        let marks = text.chars().filter(|found| *found == mark).count();
        return is_at_end.then_some(if marks == 1 && mark == '_' {
            LineKind::Paragraph
        } else {
            LineKind::Rule
        });
    }
    let is_bullet = matches!(mark, '-' | '*' | '+') && text[1..].starts_with([' ', '\t']);
    Some(if is_bullet {
        LineKind::Block { marker: indent + 1 }
    } else {
        LineKind::Paragraph
    })
}

/// A numbered list item keeps its number, because people refer to items by number.
fn numbered(text: &str, is_at_end: bool) -> Option<LineKind> {
    /// A longer number is a year or an amount.
    const MAX_DIGITS: usize = 3;
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if digits > MAX_DIGITS {
        return Some(LineKind::Paragraph);
    }
    let mut rest = text[digits..].chars();
    let kind = match (rest.next(), rest.next()) {
        (None, _) | (Some('.' | ')'), None) if !is_at_end => return None,
        (Some('.' | ')'), Some(' ' | '\t')) => LineKind::Block { marker: 0 },
        _ => LineKind::Paragraph,
    };
    Some(kind)
}
