use std::borrow::Cow;

/// Most quotes and list items that one line may open. A chat shows no more than two or three.
const MOST_MARKERS: usize = 8;

/// Most columns by which a line may be indented. Each level of a list takes at least two, so with [`MOST_MARKERS`] this
/// also limits the levels that lines open one after the other. The parser's time for a line grows with its levels.
const MOST_COLUMNS: usize = 64;

/// Most columns of a tab.
const TAB_COLUMNS: usize = 4;

/// Escapes the markers of quotes and lists that are nested too deeply, so that they are text, and shortens indentation
/// that is too deep.
pub(super) fn with_limited_nesting(markdown: &str) -> Cow<'_, str> {
    let mut limited = String::new();
    let mut copied = 0;
    let mut start = 0;
    for line in markdown.split_inclusive(['\n', '\r']) {
        for change in changes(line) {
            let (kept_to, go_on_at, insert) = match change {
                Change::Remove { from, to } => (start + from, start + to, ""),
                Change::Escape { at } => (start + at, start + at, "\\"),
            };
            limited.push_str(&markdown[copied..kept_to]);
            limited.push_str(insert);
            copied = go_on_at;
        }
        start += line.len();
    }
    if copied == 0 && limited.is_empty() {
        return Cow::Borrowed(markdown);
    }
    limited.push_str(&markdown[copied..]);
    Cow::Owned(limited)
}

/// A change to a line, with positions in it.
enum Change {
    Remove { from: usize, to: usize },
    Escape { at: usize },
}

/// The changes to a line, in order.
fn changes(line: &str) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut at = 0;
    let mut columns = 0;
    let mut markers = 0;
    loop {
        let indent = line[at..]
            .bytes()
            .take_while(|byte| matches!(byte, b' ' | b'\t'));
        for byte in indent {
            columns += if byte == b'\t' { TAB_COLUMNS } else { 1 };
            at += 1;
            if columns > MOST_COLUMNS {
                let to = line.len() - line[at..].trim_start_matches([' ', '\t']).len();
                changes.push(Change::Remove { from: at - 1, to });
                at = to;
                break;
            }
        }
        let Some(marker) = marker_of(&line[at..]) else {
            return changes;
        };
        if markers == MOST_MARKERS {
            // The last character of a marker is the one that may be escaped.
            changes.push(Change::Escape {
                at: at + marker - 1,
            });
            return changes;
        }
        markers += 1;
        at += marker;
        // The space after a marker separates it and does not indent.
        if line[at..].starts_with([' ', '\t']) {
            at += 1;
        }
    }
}

/// The length of the marker of a quote or list item with which `text` begins.
fn marker_of(text: &str) -> Option<usize> {
    let first = text.bytes().next()?;
    let length = match first {
        b'>' => return Some(1),
        b'-' | b'+' | b'*' if !is_rule(text, first) => 1,
        b'0'..=b'9' => {
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            let is_marker = digits <= 9 && text[digits..].starts_with(['.', ')']);
            is_marker.then_some(digits + 1)?
        }
        _ => return None,
    };
    let is_separate = text[length..]
        .bytes()
        .next()
        .is_none_or(|byte| byte.is_ascii_whitespace());
    is_separate.then_some(length)
}

/// Whether the rest of a line is a horizontal rule, such as `* * *`.
fn is_rule(text: &str, mark: u8) -> bool {
    let is_only_marks = text
        .bytes()
        .all(|byte| byte == mark || byte.is_ascii_whitespace());
    mark != b'+' && is_only_marks && text.bytes().filter(|byte| *byte == mark).count() >= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_nesting_stays_as_it_is() {
        for text in [
            "> > said\n> - one\n>   1. two",
            "- one\n  - two\n    - three\n      - four",
            "* * * * * * * * * *",
            "- - - - - - - - - - - -\n",
            "1. 2. 3. 4. 5.",
            "    let x = 1;",
        ] {
            assert!(
                matches!(with_limited_nesting(text), Cow::Borrowed(_)),
                "{text}"
            );
        }
    }

    #[test]
    fn deeper_markers_become_text() {
        for (text, expected) in [
            (">>>>>>>>>>a\r> b", ">>>>>>>>\\>>a\r> b"),
            ("- - - - - - - - - - a", "- - - - - - - - \\- - a"),
            (
                "1. 2. 3. 4. 5. 6. 7. 8. 9. 10.",
                "1. 2. 3. 4. 5. 6. 7. 8. 9\\. 10.",
            ),
        ] {
            assert_eq!(with_limited_nesting(text), expected);
        }
    }

    #[test]
    fn deeper_indentation_is_shortened() {
        let text = format!("{}- a\n{}b", " ".repeat(100), "\t".repeat(30));

        let limited = with_limited_nesting(&text);

        assert_eq!(
            limited,
            format!("{}- a\n{}b", " ".repeat(64), "\t".repeat(16))
        );
    }
}
