use claw_events::Speech;
use claw_twilio::speech::{LONGEST_SPEECH_CHARS, cut, speakable};

/// What is said of a reply on the phone. A reply of which nothing can be said (an emoji, say) counts as cut:
/// it is in the chat.
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
    fn a_short_answer_is_said_whole_and_without_notation() {
        let speech = speech_of("You had **two rotis** 🫓 today.");

        assert_eq!(speech.text.expose(), "You had two rotis today.");
        assert!(!speech.is_cut);
    }

    #[test]
    fn a_long_answer_ends_with_a_sentence() {
        let speech = speech_of(&"This is one sentence of many. ".repeat(40));

        assert!(speech.is_cut);
        assert!(speech.text.expose().ends_with("of many."));
        assert!(speech.text.expose().chars().count() <= LONGEST_SPEECH_CHARS);
    }

    #[test]
    fn what_cannot_be_said_is_in_the_chat() {
        assert!(speech_of("👍").is_cut);
    }
}
