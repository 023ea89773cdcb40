/// Whether this text ends with an unfinished link or tag, which must not be spoken yet.
pub(super) fn is_open(text: &str) -> bool {
    let brackets = Brackets::of(text);
    let mut from = 0;
    while let Some(at) = brackets.next(from) {
        match brackets.construct(at) {
            Construct::Unfinished => return true,
            Construct::None => from = at + 1,
            Construct::Link { length, .. } | Construct::Tag { length, .. } => from = at + length,
        }
    }
    false
}

/// The words of a text, with labels in place of links and without tags. Other markup stays.
pub(super) fn to_words(text: &str) -> Vec<String> {
    let mut plain = String::with_capacity(text.len());
    write_plain(text, &mut plain, 0);
    plain.split_whitespace().map(str::to_owned).collect()
}

/// A construct that begins with a bracket. Lengths are in bytes.
enum Construct<'a> {
    /// `[label](target)`, `[label][reference]`, or `[label]`.
    Link { label: &'a str, length: usize },
    /// `<tag>` or `<https://…>`.
    Tag { inside: &'a str, length: usize },
    /// A construct whose end is not there yet.
    Unfinished,
    /// A bracket that begins no construct and is text.
    None,
}

/// Deepest nesting of links that is read, such as an image inside a link.
const MAX_DEPTH: usize = 3;

fn write_plain(text: &str, plain: &mut String, depth: usize) {
    let brackets = Brackets::of(text);
    let mut from = 0;
    while let Some(at) = brackets.next(from) {
        let before = &text[from..at];
        match brackets.construct(at) {
            Construct::Link { label, length } => {
                // An image is spoken as its description, so its `!` is dropped.
                plain.push_str(before.strip_suffix('!').unwrap_or(before));
                let is_footnote = label.starts_with('^');
                let is_box = matches!(label, " " | "x" | "X");
                if !is_footnote && !is_box && depth < MAX_DEPTH {
                    write_plain(label, plain, depth + 1);
                }
                from = at + length;
            }
            Construct::Tag { inside, length } => {
                plain.push_str(before);
                if is_address(inside) {
                    plain.push_str(inside);
                } else if is_break(inside) {
                    plain.push(' ');
                }
                from = at + length;
            }
            Construct::Unfinished | Construct::None => {
                plain.push_str(before);
                plain.push_str(&text[at..=at]);
                from = at + 1;
            }
        }
    }
    plain.push_str(&text[from..]);
}

/// A text with the pairs of its brackets. Looking for the end of each bracket anew would take quadratic time for a text
/// of open ones.
struct Brackets<'a> {
    text: &'a str,
    /// The positions of each opening bracket that is closed, and of the one that closes it, in order.
    pairs: Vec<(usize, usize)>,
}

impl<'a> Brackets<'a> {
    fn of(text: &'a str) -> Self {
        let mut pairs = Vec::new();
        if text.contains('[') {
            let (mut square, mut round) = (Vec::new(), Vec::new());
            for (at, byte) in text.bytes().enumerate() {
                let opened = match byte {
                    b'[' => {
                        square.push(at);
                        None
                    }
                    b'(' => {
                        round.push(at);
                        None
                    }
                    b']' => square.pop(),
                    b')' => round.pop(),
                    _ => None,
                };
                pairs.extend(opened.map(|opened| (opened, at)));
            }
            pairs.sort_unstable();
        }
        Self { text, pairs }
    }

    /// The next bracket with which a construct may begin.
    fn next(&self, from: usize) -> Option<usize> {
        self.text[from..].find(['[', '<']).map(|at| from + at)
    }

    /// The position of the bracket that closes the one at `at`.
    fn closing(&self, at: usize) -> Option<usize> {
        let index = self.pairs.binary_search_by_key(&at, |(open, _)| *open);
        index.ok().map(|index| self.pairs[index].1)
    }

    /// The construct that begins with the bracket at `at`.
    fn construct(&self, at: usize) -> Construct<'a> {
        let text = self.text;
        if let Some(inside) = text[at..].strip_prefix('<') {
            return tag(inside);
        }
        let Some(label_ends) = self.closing(at) else {
            return Construct::Unfinished;
        };
        let label = &text[at + 1..label_ends];
        let ends = match text[label_ends + 1..].bytes().next() {
            // At the end of the text the target may still be missing.
            Some(b'(' | b'[') => self.closing(label_ends + 1),
            Some(_) | None => Some(label_ends),
        };
        match ends {
            Some(ends) => Construct::Link {
                label,
                length: ends + 1 - at,
            },
            None => Construct::Unfinished,
        }
    }
}

fn tag(inside: &str) -> Construct<'_> {
    let Some(first) = inside.chars().next() else {
        return Construct::None;
    };
    if !(first.is_ascii_alphabetic() || matches!(first, '/' | '!')) {
        return Construct::None;
    }
    match inside.find(['>', '<']) {
        Some(at) if inside[at..].starts_with('>') => Construct::Tag {
            inside: &inside[..at],
            length: at + 2,
        },
        Some(_) => Construct::None,
        None => Construct::Unfinished,
    }
}

fn is_address(inside: &str) -> bool {
    inside.contains("://") || (inside.contains('@') && !inside.contains(' '))
}

/// Whether a tag separates words. Other tags may stand inside a word.
fn is_break(inside: &str) -> bool {
    let name = inside.trim_matches(['/', ' ']).to_ascii_lowercase();
    matches!(name.as_str(), "br" | "p" | "li" | "div" | "td" | "tr")
}
