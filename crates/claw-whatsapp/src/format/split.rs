/// Longest text of one WhatsApp message. Meta counts characters; we count UTF-16 units, which are never fewer.
pub const TEXT_LIMIT_UTF16: usize = 4096;

/// Least length of a piece that ends at a paragraph, line or sentence.
const WORTHWHILE_UTF16: usize = TEXT_LIMIT_UTF16 / 2;

const FENCE: &str = "```";

/// The space for one fence that opens a piece and one that closes it.
const FENCES_UTF16: usize = 2 * (FENCE.len() + 1);

/// How far before the limit a cut looks for the end of a grapheme.
const LONGEST_GRAPHEME_CHARS: usize = 64;

/// Splits a text into pieces that each fit into one message. A piece ends with a paragraph if one ends in its second
/// half, otherwise with a line, a sentence or a word, and never inside a grapheme. A code block that is split is
/// closed and opened again. No piece is blank; a blank text has no pieces.
pub fn split(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text.trim();
    let mut is_code = false;
    // Looked for once: the search takes time for the whole text.
    let is_cut_with_code = !fits(text, TEXT_LIMIT_UTF16) && text.contains(FENCE);
    let limit = if is_cut_with_code {
        TEXT_LIMIT_UTF16 - FENCES_UTF16
    } else {
        TEXT_LIMIT_UTF16
    };
    while !rest.is_empty() {
        let opening = if is_code { "```\n" } else { "" };
        let (piece, remainder) = first_piece(rest, limit);
        let ends_in_code = is_code != is_odd(piece.matches(FENCE).count());
        let closing = if ends_in_code && !remainder.is_empty() {
            "\n```"
        } else {
            ""
        };
        pieces.push(format!("{opening}{piece}{closing}"));
        is_code = ends_in_code;
        rest = remainder;
    }
    pieces
}

/// The first piece of at most `limit` UTF-16 units, and the rest, both trimmed.
fn first_piece(text: &str, limit: usize) -> (&str, &str) {
    if fits(text, limit) {
        return (text, "");
    }
    let window = prefix_of(text, limit);
    let cut = cut_of(text, window);
    let (piece, rest) = text.split_at(cut);
    (
        piece.trim_end(),
        rest.trim_start_matches(['\n', '\r', ' ']).trim_end(),
    )
}

/// The position at which to cut a text of which only `window` fits.
fn cut_of(text: &str, window: &str) -> usize {
    let worthwhile = prefix_of(window, WORTHWHILE_UTF16).len();
    let late = |cut: &usize| *cut >= worthwhile;
    window
        .rfind("\n\n")
        .filter(late)
        .or_else(|| window.rfind('\n').filter(late))
        .or_else(|| end_of_last_sentence(window).filter(late))
        .or_else(|| window.rfind(char::is_whitespace))
        .filter(|cut| *cut > 0)
        .unwrap_or_else(|| end_of_last_grapheme(text, window.len()))
}

fn end_of_last_sentence(window: &str) -> Option<usize> {
    let ends = window.char_indices().zip(window.chars().skip(1));
    let spaced = ends.filter(|((_, end), next)| ".!?…:".contains(*end) && next.is_whitespace());
    let spaced = spaced.map(|((at, end), _)| at + end.len_utf8()).last();
    let full_width = window
        .rfind(['。', '！', '？'])
        .map(|at| at + '。'.len_utf8());
    spaced.max(full_width)
}

/// The last position up to `limit` that is not inside a grapheme, or `limit` if there is none nearby.
pub(super) fn end_of_last_grapheme(text: &str, limit: usize) -> usize {
    let candidates = text[..limit].char_indices().rev().map(|(at, _)| at);
    std::iter::once(limit)
        .chain(candidates)
        .take(LONGEST_GRAPHEME_CHARS)
        .take_while(|at| *at > 0)
        .find(|at| !is_inside_grapheme(text, *at))
        .unwrap_or(limit)
}

fn is_inside_grapheme(text: &str, at: usize) -> bool {
    let (before, after) = text.split_at(at);
    let (Some(last), Some(next)) = (before.chars().next_back(), after.chars().next()) else {
        return false;
    };
    let flags_before = before
        .chars()
        .rev()
        .take_while(|c| is_flag_half(*c))
        .count();
    last == ZERO_WIDTH_JOINER
        || continues_grapheme(next)
        || (is_flag_half(next) && is_odd(flags_before))
}

const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// Whether this is a regional indicator; flags are pairs of them.
fn is_flag_half(c: char) -> bool {
    ('\u{1f1e6}'..='\u{1f1ff}').contains(&c)
}

/// Whether this modifies the character before: accents, vowel signs, skin tones, emoji variants, tags.
fn continues_grapheme(c: char) -> bool {
    matches!(c,
        '\u{0300}'..='\u{036f}' | '\u{0483}'..='\u{0489}' | '\u{0591}'..='\u{05bd}'
        | '\u{064b}'..='\u{065f}' | '\u{0900}'..='\u{0903}' | '\u{093a}'..='\u{094f}'
        | '\u{0981}'..='\u{0983}' | '\u{09bc}'..='\u{09cd}' | '\u{0b82}'..='\u{0bcd}'
        | '\u{0e31}' | '\u{0e34}'..='\u{0e3a}' | '\u{0e47}'..='\u{0e4e}'
        | '\u{1160}'..='\u{11ff}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}'
        | '\u{200c}' | '\u{200d}' | '\u{20d0}'..='\u{20ff}' | '\u{3099}' | '\u{309a}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}' | '\u{1f3fb}'..='\u{1f3ff}'
        | '\u{e0020}'..='\u{e007f}' | '\u{e0100}'..='\u{e01ef}')
}

/// The longest prefix of at most `limit` UTF-16 units.
pub(super) fn prefix_of(text: &str, limit: usize) -> &str {
    let mut units = 0;
    let end = text
        .char_indices()
        .find(|(_, c)| {
            units += c.len_utf16();
            units > limit
        })
        .map_or(text.len(), |(at, _)| at);
    &text[..end]
}

pub(super) fn fits(text: &str, limit: usize) -> bool {
    prefix_of(text, limit).len() == text.len()
}

fn is_odd(count: usize) -> bool {
    count % 2 == 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn units(text: &str) -> usize {
        text.encode_utf16().count()
    }

    fn visible(text: &str) -> String {
        text.chars().filter(|c| !c.is_whitespace()).collect()
    }

    #[test]
    fn a_short_text_is_one_piece_and_a_blank_one_none() {
        assert_eq!(split(" Hello.\n"), ["Hello."]);
        assert_eq!(split(&"x".repeat(4096)).len(), 1);
        assert!(split(" \n\t ").is_empty());
    }

    #[test]
    fn a_long_text_is_split_between_paragraphs() {
        let first = "First. ".repeat(400);
        let second = "Second. ".repeat(400);

        let pieces = split(&format!("{first}\n\n{second}"));

        assert_eq!(pieces, [first.trim(), second.trim()]);
    }

    #[test]
    fn a_long_paragraph_is_split_between_sentences_and_a_long_sentence_between_words() {
        let sentences = split(&"One two three four. ".repeat(300));
        let words = split(&"word ".repeat(1500));

        assert!(sentences.iter().all(|piece| piece.ends_with("four.")));
        assert!(words.iter().all(|piece| piece.ends_with("word")));
    }

    #[test]
    fn graphemes_stay_whole() {
        for grapheme in ["👨‍👩‍👧‍👦", "🇩🇪", "e\u{301}", "👍🏽", "❤️"]
        {
            // The extra character moves the limit into a grapheme.
            let text = format!("x{}", grapheme.repeat(5000));
            for piece in split(&text) {
                let whole = piece.trim_start_matches('x').replace(grapheme, "");
                assert_eq!(whole, "", "{grapheme}");
            }
        }
    }

    #[test]
    fn a_split_code_block_is_closed_and_opened_again() {
        let text = format!("Look:\n```\n{}```\nDone.", "let x = 1;\n".repeat(600));

        let pieces = split(&text);

        assert!(pieces.len() > 1);
        for piece in &pieces {
            assert!(!is_odd(piece.matches(FENCE).count()), "{piece}");
            assert!(units(piece) <= TEXT_LIMIT_UTF16);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn pieces_fit_are_not_blank_and_lose_nothing(
            words in proptest::collection::vec("(\\PC{1,300}|[a-z]{1,12}[.!?]?|\n\n|\n|🇩🇪|👨‍👩‍👧|[äöü]{400})", 0..400),
            blank in "[ \n]",
        ) {
            let text = words.join(&blank).replace('`', "'");
            let pieces = split(&text);
            for piece in &pieces {
                prop_assert!(units(piece) <= TEXT_LIMIT_UTF16);
                prop_assert!(!piece.trim().is_empty());
            }
            prop_assert_eq!(visible(&pieces.concat()), visible(&text));
        }

        #[test]
        fn texts_with_code_keep_every_character_in_order(
            words in proptest::collection::vec("(```|[a-z]{1,12}\n?|`)", 0..2000),
        ) {
            let text = words.join(" ");
            let joined = visible(&split(&text).concat());
            let mut said = joined.chars();
            for c in visible(&text).chars() {
                prop_assert!(said.any(|s| s == c));
            }
            prop_assert!(split(&text).iter().all(|piece| units(piece) <= TEXT_LIMIT_UTF16));
        }
    }
}
