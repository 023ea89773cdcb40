use claw_events::Speech;
use claw_twilio::speech::{LONGEST_SPEECH_CHARS, cut, speakable};

/// The part of a reply that is spoken on the phone. A reply with nothing to speak, such as an emoji, counts as cut,
/// so that it goes to the chat.
pub(crate) fn speech_of(markdown: &str) -> Speech {
    let whole = speakable(markdown);
    let (text, is_cut) = cut(&whole, LONGEST_SPEECH_CHARS);
    Speech {
        is_cut: is_cut || text.is_empty(),
        text: text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_reply_is_spoken_whole_and_without_markdown() {
        let speech = speech_of("You had **two rotis** 🫓 today.");

        assert_eq!(speech.text.expose(), "You had two rotis today.");
        assert!(!speech.is_cut);
    }

    #[test]
    fn a_long_reply_is_cut_after_a_sentence() {
        let speech = speech_of(&"This is one sentence of many. ".repeat(40));

        assert!(speech.is_cut);
        assert!(speech.text.expose().ends_with("of many."));
        assert!(speech.text.expose().chars().count() <= LONGEST_SPEECH_CHARS);
    }

    #[test]
    fn a_reply_with_nothing_to_speak_counts_as_cut() {
        assert!(speech_of("👍").is_cut);
    }
}
