use super::split::{end_of_last_grapheme, fits, prefix_of};

/// Longest text we put into a template. Meta allows its body 1024 characters, those of the parameter
/// included (code 132005 past that; <https://www.twilio.com/docs/api/errors/63021> says the same); the
/// template's own words may take what is left.
pub const PARAMETER_LIMIT_UTF16: usize = 900;

/// Ends what was cut. One UTF-16 unit.
const ELLIPSIS: char = '…';

/// A text as the parameter of a template: in one line, since Meta refuses parameters with line breaks,
/// tabs or more than four blanks in a row (code 132018; its details read "Param text cannot have
/// new-line/tab characters or more than 4 consecutive spaces"), and cut at a word where it is too long.
pub fn to_parameter(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    if fits(&line, PARAMETER_LIMIT_UTF16) {
        return line;
    }
    let window = prefix_of(&line, PARAMETER_LIMIT_UTF16 - ELLIPSIS.len_utf16());
    let cut = window
        .rfind(' ')
        // A word that fills half of it is an address, or no word.
        .filter(|cut| *cut > window.len() / 2)
        .unwrap_or_else(|| end_of_last_grapheme(&line, window.len()));
    format!("{}{ELLIPSIS}", window[..cut].trim_end())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn units(text: &str) -> usize {
        text.encode_utf16().count()
    }

    #[test]
    fn lines_tabs_and_blanks_become_single_blanks() {
        let text = " You have:\n\n- milk\n-\tbread\r\n      - eggs\u{a0}\u{2028}";

        assert_eq!(to_parameter(text), "You have: - milk - bread - eggs");
    }

    #[test]
    fn what_is_too_long_is_cut_at_a_word() {
        let text = to_parameter(&"word ".repeat(1_000));

        assert!(text.ends_with(" word…"), "{text}");
        assert!(units(&text) > PARAMETER_LIMIT_UTF16 - 10);
    }

    #[test]
    fn what_fits_is_whole() {
        let text = "x".repeat(PARAMETER_LIMIT_UTF16);

        assert_eq!(to_parameter(&text), text);
        assert!(to_parameter(&format!("{text}x")).ends_with("x…"));
    }

    proptest! {
        #[test]
        fn whatever_is_said_meta_takes(text in "(\\PC{0,20}|[ \n\t]{1,9}|🇩🇪|👨‍👩‍👧){0,200}") {
            let parameter = to_parameter(&text);

            prop_assert!(units(&parameter) <= PARAMETER_LIMIT_UTF16);
            prop_assert!(!parameter.contains(['\n', '\r', '\t']));
            prop_assert!(!parameter.contains("  "));
            prop_assert_eq!(parameter.is_empty(), text.trim().is_empty());
        }
    }
}
