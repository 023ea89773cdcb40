/// Whether more text may make a link or a tag of what is here, so that it must not be spoken yet.
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

/// The words of a piece of text: links by their label, tags left out, marks still on them.
pub(super) fn to_words(text: &str) -> Vec<String> {
    let mut plain = String::with_capacity(text.len());
    write_plain(text, &mut plain, 0);
    plain.split_whitespace().map(str::to_owned).collect()
}

/// What begins with a bracket. Lengths are in bytes.
enum Construct<'a> {
    /// `[label](target)`, `[label][reference]`, or `[label]`.
    Link { label: &'a str, length: usize },
    /// `<tag>` or `<https://…>`.
    Tag { inside: &'a str, length: usize },
    /// Its end is not there yet.
    Unfinished,
    /// Just a bracket.
    None,
}

/// How deep links may stand in one another: a picture that is a link.
const MAX_DEPTH: usize = 3;

fn write_plain(text: &str, plain: &mut String, depth: usize) {
    let mut rest = text;
    while let Some(at) = rest.find(['[', '<']) {
        let (before, bracket) = rest.split_at(at);
        match construct(bracket) {
            Construct::Link { label, length } => {
                // A picture is its description.
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
        // A parenthesis or a bracket may still follow.
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

/// Where the bracket that `text` begins with is closed.
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

/// Tags that part words. Others stand inside them.
fn is_break(inside: &str) -> bool {
    let name = inside.trim_matches(['/', ' ']).to_ascii_lowercase();
    matches!(name.as_str(), "br" | "p" | "li" | "div" | "td" | "tr")
}
