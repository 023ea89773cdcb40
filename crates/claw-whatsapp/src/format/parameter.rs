use super::split::{end_of_last_grapheme, fits, prefix_of};

/// Longest parameter of a template. Meta allows a template's body 1024 characters, parameters included (code 132005
/// beyond that; <https://www.twilio.com/docs/api/errors/63021> says the same), which leaves the rest for the
/// template's own text.
pub const PARAMETER_LIMIT_UTF16: usize = 900;

/// Ends a text that was cut. One UTF-16 unit.
const ELLIPSIS: char = '…';

/// Converts a text to the parameter of a template: on one line, and cut after a word if it is too long. Meta refuses
/// parameters with line breaks, tabs or more than four consecutive spaces (code 132018; its details read "Param text
/// cannot have new-line/tab characters or more than 4 consecutive spaces").
pub fn to_parameter(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    if fits(&line, PARAMETER_LIMIT_UTF16) {
        return line;
    }
    let window = prefix_of(&line, PARAMETER_LIMIT_UTF16 - ELLIPSIS.len_utf16());
    let cut = window
        .rfind(' ')
        // A word that fills more than half of the window is not worth keeping whole.
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
    fn all_whitespace_becomes_single_spaces() {
        let text = " You have:\n\n- milk\n-\tbread\r\n      - eggs\u{a0}\u{2028}";

        assert_eq!(to_parameter(text), "You have: - milk - bread - eggs");
    }

    #[test]
    fn a_long_text_is_cut_after_a_word() {
        let text = to_parameter(&"word ".repeat(1_000));

        assert!(text.ends_with(" word…"), "{text}");
        assert!(units(&text) > PARAMETER_LIMIT_UTF16 - 10);
    }

    #[test]
    fn a_text_that_fits_is_not_cut() {
        let text = "x".repeat(PARAMETER_LIMIT_UTF16);

        assert_eq!(to_parameter(&text), text);
        assert!(to_parameter(&format!("{text}x")).ends_with("x…"));
    }

    proptest! {
        #[test]
        fn every_parameter_meets_metas_rules(text in "(\\PC{0,20}|[ \n\t]{1,9}|🇩🇪|👨‍👩‍👧){0,200}") {
            let parameter = to_parameter(&text);

            prop_assert!(units(&parameter) <= PARAMETER_LIMIT_UTF16);
            prop_assert!(!parameter.contains(['\n', '\r', '\t']));
            prop_assert!(!parameter.contains("  "));
            prop_assert_eq!(parameter.is_empty(), text.trim().is_empty());
        }
    }
}
