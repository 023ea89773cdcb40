//! Phone calls: removes the note that our gateway puts before a caller's words, and answers the end of a
//! call.

use super::action::Action;

/// The start of the notes that only the model sees, before words that came by phone.
const NOTES: [&str; 2] = [
    "This was said to you on the phone",
    "The caller has hung up",
];

/// The text in the transcript at the end of a call.
const IS_OVER: &str = "(The phone call is over.)";

/// The text without a leading note.
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

/// Answers the end of a call with a message that quotes the user's last text.
pub(crate) fn follow_up(said_last: &str) -> Action {
    Action::Say(format!("After our call, in writing: \"{said_last}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_callers_words_are_found_after_the_note() {
        let spoken = "This was said to you on the phone, and your answer is read out.\n\nhello";

        assert_eq!(without_note(spoken), "hello");
        assert_eq!(without_note("This was\n\nmine"), "This was\n\nmine");
    }
}
