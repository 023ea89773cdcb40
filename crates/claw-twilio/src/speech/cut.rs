/// Longest spoken answer, about forty seconds. The rest is in the chat.
pub const LONGEST_SPEECH_CHARS: usize = 600;

/// The marks that end a sentence, in Latin scripts, Hindi and Chinese.
const ENDS: [char; 6] = ['.', '!', '?', '…', '।', '。'];

/// The marks that may stand between the end of a sentence and the space after it.
const CLOSERS: [char; 6] = [')', ']', '"', '\'', '”', '»'];

/// Words whose full stop does not end a sentence.
const ABBREVIATIONS: [&str; 22] = [
    "Dr", "Mr", "Mrs", "Ms", "Prof", "St", "Sr", "Sra", "Jr", "vs", "No", "Nr", "bzw", "ca", "Str",
    "approx", "Mme", "Dott", "Dhr", "Mevr", "e.g", "z.B",
];

/// The beginning of a text, at most `max_chars` characters long, and whether anything was left out. A cut text ends
/// with a sentence, or with a word if no sentence fits, or inside a word if no word fits.
pub fn cut(text: &str, max_chars: usize) -> (&str, bool) {
    let text = text.trim();
    let end = fitting(text, |so_far| so_far.chars > max_chars);
    (text[..end].trim_end(), end < text.len())
}

/// The complete sentences at the beginning of a growing text, at most `max_chars` characters long. A sentence is
/// complete once the space after it is there.
pub fn whole_sentences(text: &str, max_chars: usize) -> &str {
    let limit = text.char_indices().nth(max_chars);
    let limit = limit.map_or(text.len(), |(at, _)| at);
    last_sentence_end(text, limit).map_or("", |end| &text[..end])
}

/// Splits a text into pieces within both limits, each ending like a text of [`cut`]. Only whitespace between the
/// pieces is lost.
pub fn pieces(text: &str, max_chars: usize, max_encoded_bytes: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let end = fitting(rest, |so_far| {
            so_far.chars > max_chars || so_far.encoded_bytes > max_encoded_bytes
        });
        // A piece has at least one character, even if that exceeds a limit.
        let end = end.max(rest.chars().next().map_or(1, char::len_utf8));
        let (piece, others) = rest.split_at(end);
        pieces.push(piece.trim_end());
        rest = others.trim_start();
    }
    pieces
}

#[derive(Clone, Copy, Default)]
struct Size {
    chars: usize,
    encoded_bytes: usize,
}

/// The end of the longest beginning of whole sentences, or else words, that is not too long.
fn fitting(text: &str, is_too_long: impl Fn(Size) -> bool) -> usize {
    let mut size = Size::default();
    let mut limit = text.len();
    for (at, character) in text.char_indices() {
        size.chars += 1;
        size.encoded_bytes += encoded_bytes(character);
        if is_too_long(size) {
            limit = at;
            break;
        }
    }
    if limit == text.len() {
        return limit;
    }
    last_sentence_end(text, limit)
        .or_else(|| last_word_end(text, limit))
        .unwrap_or(limit)
}

fn encoded_bytes(character: char) -> usize {
    if character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '_' | '~') {
        1
    } else {
        3 * character.len_utf8()
    }
}

fn last_sentence_end(text: &str, limit: usize) -> Option<usize> {
    spaces(text, limit)
        .filter(|at| is_sentence_end(&text[..*at]))
        .last()
}

fn last_word_end(text: &str, limit: usize) -> Option<usize> {
    spaces(text, limit).last().filter(|at| *at > 0)
}

/// The positions of whitespace up to `limit`, inclusive.
fn spaces(text: &str, limit: usize) -> impl Iterator<Item = usize> {
    text.char_indices()
        .take_while(move |(at, _)| *at <= limit)
        .filter(|(_, character)| character.is_whitespace())
        .map(|(at, _)| at)
}

fn is_sentence_end(before: &str) -> bool {
    let sentence = before.trim_end_matches(CLOSERS);
    if !sentence.ends_with(ENDS) {
        return false;
    }
    let Some(stopped) = sentence.strip_suffix('.') else {
        return true;
    };
    let word = stopped
        .rsplit(char::is_whitespace)
        .next()
        .unwrap_or_default();
    let is_initial = word.chars().count() == 1;
    // The number of a list item, or part of a date such as `3. 11.`.
    let is_short_number = word.len() <= 2 && word.bytes().all(|byte| byte.is_ascii_digit());
    !(is_initial || is_short_number || ABBREVIATIONS.contains(&word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sentence_is_complete_once_the_space_after_it_is_there() {
        assert_eq!(whole_sentences("One. Two.", 99), "One.");
        assert_eq!(whole_sentences("One. Two. ", 99), "One. Two.");
        assert_eq!(whole_sentences("One. Two. ", 6), "One.");
        assert_eq!(whole_sentences("On and on", 99), "");
    }

    #[test]
    fn a_short_text_is_not_cut() {
        assert_eq!(cut(" Hello there. ", 12), ("Hello there.", false));
        assert_eq!(cut("", 5), ("", false));
    }

    #[test]
    fn a_long_text_ends_with_a_sentence() {
        for (text, max_chars, expected) in [
            ("One. Two and three. Four.", 20, "One. Two and three."),
            ("One. Two and three. Four.", 19, "One. Two and three."),
            ("One. Two and three. Four.", 18, "One."),
            ("Is it? (Yes!) No", 14, "Is it? (Yes!)"),
            (
                "We met Dr. Who there. And then",
                25,
                "We met Dr. Who there.",
            ),
            ("Well. See Dr. Who", 15, "Well."),
            ("It costs 3.50 euros. Cheap", 22, "It costs 3.50 euros."),
            ("यह एक है। यह दो है।", 15, "यह एक है।"),
        ] {
            assert_eq!(cut(text, max_chars), (expected, true), "{text:?}");
        }
    }

    #[test]
    fn a_text_without_a_fitting_sentence_is_cut_after_or_inside_a_word() {
        assert_eq!(cut("one two three", 9), ("one two", true));
        assert_eq!(cut("1. one two three", 12), ("1. one two", true));
        assert_eq!(cut("Donaudampfschiff", 5), ("Donau", true));
        assert_eq!(cut("äöü ß", 0), ("", true));
    }

    #[test]
    fn pieces_keep_both_limits() {
        assert_eq!(
            pieces("One. Two. Three.", 10, 1000),
            ["One. Two.", "Three."]
        );
        // A Hindi letter is nine bytes long when encoded.
        let hindi = "क".repeat(100);
        assert!(
            pieces(&hindi, 1000, 90)
                .iter()
                .all(|piece| piece.chars().count() == 10)
        );
    }

    proptest! {
        #[test]
        fn a_cut_is_a_beginning_within_the_limit(text in "\\PC{0,80}", max_chars in 0_usize..90) {
            let (spoken, was_cut) = cut(&text, max_chars);
            prop_assert!(text.trim().starts_with(spoken));
            prop_assert!(spoken.chars().count() <= max_chars);
            prop_assert_eq!(was_cut, spoken.len() < text.trim().len());
        }

        #[test]
        fn pieces_lose_only_whitespace(text in "([a-zé]{1,9}|\\. | |।)*", max_chars in 1_usize..40) {
            let together = pieces(&text, max_chars, 60).concat();
            let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(bare(&together), bare(&text));
        }
    }
}
