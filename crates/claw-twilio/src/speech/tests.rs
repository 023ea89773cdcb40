use proptest::prelude::*;

use super::{SpeechStream, beginning_in, cut, speakable_in};
use crate::voices::Language;

const CASES: [(&str, &str); 49] = [
    ("", ""),
    ("  Hello \n\n", "Hello"),
    (
        "**bold** and __bold__ and *it* and _it_",
        "bold and bold and it and it",
    ),
    ("***both*** ~~gone~~ `code`", "both gone code"),
    ("**two words**, then", "two words, then"),
    ("snake_case_name", "snake case name"),
    ("2 * 3 and 2*3", "2 × 3 and 2×3"),
    ("\\*not italic\\* costs \\$5", "not italic costs $5"),
    ("# Today\nMilk", "Today. Milk"),
    ("## Plan for **Monday**!\nGo", "Plan for Monday! Go"),
    ("#hashtag is text", "#hashtag is text"),
    (
        "Buy:\n- milk\n- bread\n\nThat is all",
        "Buy: milk. bread. That is all",
    ),
    ("* one\n* two.\n+ three", "one. two. three"),
    ("• one\n• two", "one. two"),
    ("1. one\n2. two\n10) ten", "1. one. 2. two. 10) ten"),
    ("- [ ] open\n- [x] done", "open. done"),
    ("2026 was good\n3.5 liters", "2026 was good 3.5 liters"),
    ("one\ntwo", "one two"),
    ("one\n\ntwo", "one. two"),
    ("one,\n\ntwo", "one, two"),
    (
        "Hi there!\r\n\r\nHow are you?\r\n",
        "Hi there! How are you?",
    ),
    ("> said\n> twice", "said twice"),
    ("> - a\n> - b", "a. b"),
    ("a\n---\nb", "a. b"),
    ("Title\n=====\nText", "Title. Text"),
    (
        "see [the page](https://a.example/x) now",
        "see the page now",
    ),
    ("[two words](https://a.example \"A title\").", "two words."),
    ("[**bold** label](https://a.example)", "bold label"),
    ("[https://a.example](https://a.example)", "a link"),
    ("![a cat](https://a.example/cat.png)", "a cat"),
    ("[![a cat](c.png)](https://a.example)", "a cat"),
    ("as said[^1] in [the book][1]", "as said in the book"),
    ("see https://a.example/x?y=1.", "see a link."),
    ("(see https://a.example/x)", "(see a link)"),
    (
        "<https://a.example> and www.b.example, ok",
        "a link and, ok",
    ),
    ("write to <me@a.example>", "write to me@a.example"),
    ("https://a.example https://b.example! x", "a link! x"),
    ("a<br>b <b>c</b>", "a b c"),
    ("if 1 < 2 and a > b", "if 1 < 2 and a > b"),
    ("Good morning ☀️! 👍🏽 👨‍👩‍👧", "Good morning!"),
    ("✅ done 🎉", "done"),
    ("1️⃣ first 🇩🇪 ™", "1 first"),
    ("Berlin → Munich", "Berlin Munich"),
    ("yes — or no", "yes, or no"),
    (
        "Run:\n```sh\nrm -rf *\n```\nDone",
        "Run: There is some code here that I am not reading out. Done",
    ),
    (
        "~~~\na\n```\nb\n~~~\nx\n```\nopen",
        "There is some code here that I am not reading out. x",
    ),
    ("```one``` line", "one line"),
    (
        "| Item | Price | Stock |\n|---|:-:|--:|\n| Tea | 2 € | 5 |\n| | 3 € | |\nEnd",
        "Tea: Price 2 €, Stock 5. Price 3 €. End",
    ),
    ("| Tea | 2 |\n| Milk | **3** |", "Tea, 2. Milk, 3"),
];

#[test]
fn markdown_becomes_speech() {
    for (written, expected) in CASES {
        assert_eq!(speakable(written), expected, "{written:?}");
    }
}

#[test]
fn splitting_a_text_in_two_does_not_change_its_speech() {
    for (written, expected) in CASES {
        let borders = written.char_indices().map(|(at, _)| at);
        for border in borders {
            let (first, second) = written.split_at(border);
            assert_eq!(
                streamed([first, second]),
                expected,
                "{first:?} + {second:?}"
            );
        }
    }
}

#[test]
fn a_text_that_arrives_letter_by_letter_has_the_same_speech() {
    for (written, expected) in CASES {
        let letters = written
            .char_indices()
            .map(|(at, c)| &written[at..at + c.len_utf8()]);
        assert_eq!(streamed(letters), expected, "{written:?}");
    }
}

#[test]
fn words_are_spoken_as_soon_as_they_are_complete() {
    let mut stream = SpeechStream::in_language(Language::EnglishUs);

    assert_eq!(stream.push("Good mor"), "Good");
    assert_eq!(stream.push("ning, see [the"), " morning, see");
    assert_eq!(stream.push(" page](https://a.example/"), "");
    assert_eq!(stream.push("x) now"), " the page");
    assert_eq!(stream.finish(), " now");
}

#[test]
fn an_open_bracket_does_not_hold_back_the_rest() {
    let written = format!("[{}", "word ".repeat(300));
    let mut stream = SpeechStream::in_language(Language::EnglishUs);

    assert!(!stream.push(&written).is_empty());
}

#[test]
fn many_brackets_are_read_quickly() {
    let spoken = speakable(&format!("{} end", "[<a".repeat(40_000)));

    assert!(spoken.ends_with(" end"));
}

#[test]
fn the_names_of_a_table_are_not_repeated_for_ever() {
    let name = "x".repeat(3_000);
    let table = format!("|a|{name}|{name}|\n|-|-|-|\n{}", "|1|2|3|\n".repeat(2_000));

    let spoken = speakable(&table);

    assert!(spoken.starts_with(&format!("1: {name} 2, {name} 3. 1: ")));
    assert!(spoken.ends_with("1: 2, 3"));
    assert!(spoken.len() <= 4 * table.len());
}

#[test]
fn phrases_are_in_the_given_language() {
    assert_eq!(
        speakable_in("Schau auf https://a.example", Language::German),
        "Schau auf ein Link"
    );
}

#[test]
fn hindi_keeps_its_joiners_and_ends_its_sentences() {
    assert_eq!(speakable("क्\u{200D}ष है।\n\nठीक है"), "क्\u{200D}ष है। ठीक है");
    assert_eq!(speakable("- दूध\n- रोटी की\n- चाय"), "दूध. रोटी की. चाय");
}

#[test]
fn debug_output_hides_the_text() {
    let mut stream = SpeechStream::in_language(Language::EnglishUs);
    stream.push("secret");
    assert!(!format!("{stream:?}").contains("secret"));
}

proptest! {
    #[test]
    fn speech_does_not_depend_on_the_pieces(
        tokens in proptest::collection::vec(
            "([a-z]{1,4}|\\*|\\*\\*|_|~~|`|```|\n|\n\n|- |> |# |1\\. | |\\||\\|---\\||\\[|\\]\\(|\\]|\\)|!|<|>|br|https://a\\.b|☀|👍|\\.|,|\\\\|é|\r)",
            0..40,
        ),
    ) {
        let written = tokens.concat();
        let whole = speakable(&written);
        prop_assert_eq!(&streamed(tokens.iter().map(String::as_str)), &whole);
        let letters = written.char_indices().map(|(at, c)| &written[at..at + c.len_utf8()]);
        prop_assert_eq!(&streamed(letters), &whole);
    }

    #[test]
    fn a_beginning_is_the_cut_speech(
        lines in proptest::collection::vec("([a-z]{1,9}[.,]? |\\| [a-z]{1,9} \\| b \\| c \\|\n|\\|-\\|-\\|-\\|\n|- |\n|☀|\\[|```)", 0..400),
        max_chars in 0_usize..400,
    ) {
        let written = lines.concat();
        let whole = speakable(&written);
        let (expected, is_cut) = cut(&whole, max_chars);
        let beginning = beginning_in(&written, Language::EnglishUs, max_chars);
        prop_assert_eq!(beginning, (expected.to_owned(), is_cut));
    }

    #[test]
    fn speech_is_at_most_four_times_as_long_as_its_text(
        tokens in proptest::collection::vec(
            "(a|1|\\*|\\*\\*|_|`|```\n|\n|\n\n|- |> |# |1\\. | |\\||\\|-\\|-\\|-\\|\n|\\| a{100} \\| b{100} \\| c{100} \\|\n|\\|1\\|1\\|1\n|\\[|\\]\\(|\\)|!|<br>|<|>|www\\.a|☀)",
            1..40,
        ),
        times in 1_usize..200,
    ) {
        let written = tokens.concat().repeat(times);
        prop_assert!(speakable(&written).len() <= 4 * written.len() + 1_024);
    }

    #[test]
    fn speech_has_single_spaces_and_no_markup(written in "\\PC{0,60}") {
        let spoken = speakable(&written);
        prop_assert_eq!(spoken.trim(), spoken.as_str());
        prop_assert!(!spoken.contains("  "), "{:?}", spoken);
        prop_assert!(!spoken.contains(['*', '`', '~']), "{:?}", spoken);
    }
}

fn speakable(written: &str) -> String {
    speakable_in(written, Language::EnglishUs)
}

fn streamed<'a>(pieces: impl IntoIterator<Item = &'a str>) -> String {
    let mut stream = SpeechStream::in_language(Language::EnglishUs);
    let mut spoken: String = pieces.into_iter().map(|piece| stream.push(piece)).collect();
    spoken.push_str(&stream.finish());
    spoken
}
