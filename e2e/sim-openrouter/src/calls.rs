//! Phone calls: what our gateway adds to a caller's words, and what the assistant writes after a call.

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

/// Writes to the user what they said last.
pub(crate) fn follow_up(said_last: &str) -> Action {
    Action::Say(format!("After our call, in writing: \"{said_last}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_after_a_note() {
        let spoken = "This was said to you on the phone, and your answer is read out.\n\nhello";

        assert_eq!(without_note(spoken), "hello");
        assert_eq!(without_note("This was\n\nmine"), "This was\n\nmine");
    }
}
