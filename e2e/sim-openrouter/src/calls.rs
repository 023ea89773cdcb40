//! Phone calls: what the gateway adds to what is said in one, and what is written after one.

use super::script::Act;

/// How the notes begin that the model alone is given before words that came by phone.
const NOTES: [&str; 2] = [
    "This was said to you on the phone",
    "The caller has hung up",
];

/// What the transcript says where a call ended.
const IS_OVER: &str = "(The phone call is over.)";

/// The words behind a note on how they came.
pub(crate) fn without_note(text: &str) -> &str {
    if NOTES.iter().any(|note| text.starts_with(note)) {
        text.split_once("\n\n").map_or("", |(_, words)| words)
    } else {
        text
    }
}

/// Whether a text with the role `user` says that a call has ended.
pub(crate) fn is_end(said: &str) -> bool {
    said == IS_OVER
}

/// Writes what was said last, if anything was.
pub(crate) fn follow_up(said_last: &str) -> Act {
    Act::Say(format!("After our call, in writing: \"{said_last}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_behind_a_note() {
        let spoken = "This was said to you on the phone, and your answer is read out.\n\nhello";

        assert_eq!(without_note(spoken), "hello");
        assert_eq!(without_note("This was\n\nmine"), "This was\n\nmine");
    }
}
