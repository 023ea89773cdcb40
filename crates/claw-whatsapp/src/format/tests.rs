use proptest::prelude::*;

use super::to_whatsapp;

const CASES: [(&str, &str); 34] = [
    ("**bold** and __bold__", "*bold* and *bold*"),
    ("_italic_", "_italic_"),
    ("*bold already*", "*bold already*"),
    ("***both***", "_*both*_"),
    ("**bold *and* italic**", "*bold _and_ italic*"),
    ("**a **b** c**", "*a b c*"),
    ("~~gone~~ ~gone~", "~gone~ ~gone~"),
    ("`x = 1`", "`x = 1`"),
    ("``a ` b``", "```a ` b```"),
    ("# Title\nText", "*Title*\nText"),
    ("## A **bold** title", "*A bold title*"),
    ("Text\n---\nmore", "Text\n———\nmore"),
    ("a\n\n***\n\nb", "a\n\n———\n\nb"),
    ("* one\n* two", "- one\n- two"),
    (
        "Do:\n- one\n  - deeper\n- two\n\nEnd",
        "Do:\n- one\n  - deeper\n- two\n\nEnd",
    ),
    ("1. one\n2. two\n   - deeper", "1. one\n2. two\n   - deeper"),
    ("3) three\n3) four", "3. three\n4. four"),
    ("- one\n\n- two", "- one\n\n- two"),
    ("- [ ] open\n- [x] done", "- ☐ open\n- ☑ done"),
    ("> said\n> twice", "> said\n> twice"),
    ("[text](https://a.example/x)", "text (https://a.example/x)"),
    (
        "[https://a.example](https://a.example/)",
        "https://a.example",
    ),
    ("<https://a.example>", "https://a.example"),
    ("[](https://a.example)", "https://a.example"),
    ("[me](mailto:me@a.example)", "me (mailto:me@a.example)"),
    (
        "![a cat](https://a.example/cat.png)",
        "a cat (https://a.example/cat.png)",
    ),
    (
        "```rust\nlet x = 1;\n\nlet y;\n```",
        "```\nlet x = 1;\n\nlet y;\n```",
    ),
    ("```see here\ncode\n```", "```\nsee here\ncode\n```"),
    (
        "| Name | Price |\n|---|---|\n| Tea | 2 |\n| | 3 |",
        "*Name* | *Price*\nTea | 2\n| 3",
    ),
    ("**two\nlines**", "*two*\n*lines*"),
    ("a<br>b", "a\nb"),
    ("one\ntwo  \nthree", "one\ntwo\nthree"),
    (
        "2 * 3 * 4 and snake_case_name",
        "2 * 3 * 4 and snake_case_name",
    ),
    (
        "see [1]\n\n[2]: https://a.example",
        "see [1]\n\n[2]: https://a.example",
    ),
];

#[test]
fn markdown_is_converted_to_whatsapps_notation() {
    for (markdown, expected) in CASES {
        assert_eq!(to_whatsapp(markdown), expected, "{markdown:?}");
    }
}

#[test]
fn a_converted_text_stays_unchanged() {
    for (_, formatted) in CASES {
        assert_eq!(to_whatsapp(formatted), formatted);
    }
}

#[test]
fn a_text_in_whatsapps_notation_keeps_its_formatting() {
    let message = "*Today*\n- _Milk_\n- ~Bread~\n\n> ok\n\n```total 3```";
    let expected = "*Today*\n- _Milk_\n- ~Bread~\n\n> ok\n\n`total 3`";

    assert_eq!(to_whatsapp(message), expected);
}

#[test]
fn a_text_of_markup_only_is_kept() {
    assert_eq!(to_whatsapp("[]()"), "[]()");
    assert_eq!(to_whatsapp("  "), "");
}

#[test]
fn an_address_that_many_links_refer_to_is_not_written_for_each() {
    let address = format!("https://a.example/{}", "x".repeat(4_000));
    let markdown = format!("{}\n\n[a]: {address}", "[a] ".repeat(1_000));

    let rendered = to_whatsapp(&markdown);

    assert!(rendered.starts_with(&format!("a ({address})")));
    assert_eq!(rendered.matches(&address).count(), 4);
    assert!(is_bounded(&markdown));
}

#[test]
fn lines_inside_many_quotes_are_kept_without_their_prefixes() {
    let markdown = format!("{}{}", ">".repeat(8_192), "a\n".repeat(4_096));

    let rendered = to_whatsapp(&markdown);

    assert_eq!(rendered.matches('a').count(), 4_096);
    assert!(is_bounded(&markdown));
}

/// Whether a text becomes no longer than it may. The conversion itself must not be slow either, which the benchmark
/// `render` measures.
fn is_bounded(markdown: &str) -> bool {
    to_whatsapp(markdown).len() <= 4 * markdown.len() + 1_024
}

proptest! {
    #[test]
    fn no_letter_is_lost_or_moved(
        tokens in proptest::collection::vec(
            "([a-z]{1,5}|\\*|\\*\\*|_|~|`|```|\n|\n\n|- |> |# |1\\. | |\\||---|\\[|\\]\\(|\\)|!|<|>|    )",
            0..40,
        ),
    ) {
        let markdown = tokens.concat();
        let rendered = to_whatsapp(&markdown);
        let mut shown = rendered.chars();
        for letter in markdown.chars().filter(char::is_ascii_lowercase) {
            prop_assert!(shown.any(|s| s == letter), "{:?} -> {:?}", markdown, rendered);
        }
    }

    #[test]
    fn a_text_of_any_characters_becomes_at_most_four_times_as_long(markdown in "\\PC*") {
        prop_assert!(is_bounded(&markdown));
    }

    #[test]
    fn a_text_of_much_markup_becomes_at_most_four_times_as_long(
        tokens in proptest::collection::vec(
            "(a|\\*|\\*\\*|_|~|`|```|\n|\n\n|- |> |>|# |1\\. |999999999\\. | |\t|\\||\\|-\\||---|\\[a\\]|\\[|\\]\\(|\\)|!|<br>|<|>|&nGt;|\r|\u{0}|\\[a\\]: https://a\\.example/[a-z]{100})",
            1..40,
        ),
        times in 1_usize..400,
    ) {
        // A definition of a link stands between lines of its own.
        let markdown = format!("[a]: b{}\n\n{}", "c".repeat(times), tokens.concat().repeat(times));
        prop_assert!(is_bounded(&markdown));
    }
}
