use claw_domain::Language;
use claw_events::Speech;
use claw_twilio::speech::{LONGEST_SPEECH_CHARS, beginning_in};

/// The part of a reply that is spoken on the phone, with phrases of `language` in place of links and code. A reply
/// with nothing to speak, such as an emoji, counts as cut, so that it goes to the chat.
pub(crate) fn speech_of(markdown: &str, language: Language) -> Speech {
    let (text, is_cut) = beginning_in(markdown, language, LONGEST_SPEECH_CHARS);
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
        let speech = speech_of("You had **two rotis** 🫓 today.", Language::EnglishUs);

        assert_eq!(speech.text.expose(), "You had two rotis today.");
        assert!(!speech.is_cut);
    }

    #[test]
    fn a_link_is_spoken_in_the_language_of_the_call() {
        let speech = speech_of("Mira https://a.example", Language::Spanish);

        assert_eq!(speech.text.expose(), "Mira un enlace");
    }

    #[test]
    fn a_long_reply_is_cut_after_a_sentence() {
        let speech = speech_of(
            &"This is one sentence of many. ".repeat(40),
            Language::EnglishUs,
        );

        assert!(speech.is_cut);
        assert!(speech.text.expose().ends_with("of many."));
        assert!(speech.text.expose().chars().count() <= LONGEST_SPEECH_CHARS);
    }

    #[test]
    fn a_reply_with_nothing_to_speak_counts_as_cut() {
        assert!(speech_of("👍", Language::EnglishUs).is_cut);
    }
}
