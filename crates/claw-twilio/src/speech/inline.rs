/// Whether this text ends with an unfinished link or tag, which must not be spoken yet.
pub(super) fn is_open(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find(['[', '<']) {
        rest = &rest[at..];
        match construct(rest) {
            Construct::Unfinished => return true,
            Construct::None => rest = &rest[1..],
            Construct::Link { length, .. } | Construct::Tag { length, .. } => {
                rest = &rest[length..];
            }
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
    let mut rest = text;
    while let Some(at) = rest.find(['[', '<']) {
        let (before, bracket) = rest.split_at(at);
        match construct(bracket) {
            Construct::Link { label, length } => {
                // An image is spoken as its description, so its `!` is dropped.
                plain.push_str(before.strip_suffix('!').unwrap_or(before));
                let is_footnote = label.starts_with('^');
                let is_box = matches!(label, " " | "x" | "X");
                if !is_footnote && !is_box && depth < MAX_DEPTH {
                    write_plain(label, plain, depth + 1);
                }
                rest = &bracket[length..];
            }
            Construct::Tag { inside, length } => {
                plain.push_str(before);
                if is_address(inside) {
                    plain.push_str(inside);
                } else if is_break(inside) {
                    plain.push(' ');
                }
                rest = &bracket[length..];
            }
            Construct::Unfinished | Construct::None => {
                plain.push_str(before);
                plain.push_str(&bracket[..1]);
                rest = &bracket[1..];
            }
        }
    }
    plain.push_str(rest);
}

fn construct(text: &str) -> Construct<'_> {
    if let Some(inside) = text.strip_prefix('<') {
        return tag(inside);
    }
    let Some(label_ends) = closing(text, '[', ']') else {
        return Construct::Unfinished;
    };
    let label = &text[1..label_ends];
    let rest = &text[label_ends + 1..];
    let target_ends = match rest.chars().next() {
        // The text ends after the label, so there is no target yet.
        None => {
            return Construct::Link {
                label,
                length: text.len(),
            };
        }
        Some('(') => closing(rest, '(', ')'),
        Some('[') => closing(rest, '[', ']'),
        Some(_) => {
            return Construct::Link {
                label,
                length: label_ends + 1,
            };
        }
    };
    match target_ends {
        Some(ends) => Construct::Link {
            label,
            length: label_ends + 1 + ends + 1,
        },
        None => Construct::Unfinished,
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

/// The position of the bracket that closes the first one of `text`.
fn closing(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, character) in text.char_indices() {
        if character == open {
            depth += 1;
        } else if character == close {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

fn is_address(inside: &str) -> bool {
    inside.contains("://") || (inside.contains('@') && !inside.contains(' '))
}

/// Whether a tag separates words. Other tags may stand inside a word.
fn is_break(inside: &str) -> bool {
    let name = inside.trim_matches(['/', ' ']).to_ascii_lowercase();
    matches!(name.as_str(), "br" | "p" | "li" | "div" | "td" | "tr")
}
