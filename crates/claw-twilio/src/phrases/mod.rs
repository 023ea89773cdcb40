//! The fixed phrases that we say on the phone, in each language: short and friendly.

mod dutch;
mod english;
mod french;
mod german;
mod hindi;
mod italian;
mod portuguese;
mod spanish;

use crate::voices::Language;

/// The phrases in one language. They are fields so that no language can lack one.
#[derive(Debug, PartialEq, Eq)]
pub struct Phrases {
    /// Said first when the assistant listens: invites the caller to speak.
    pub greeting: &'static str,
    /// Said to a new caller: what this is, and that they have to speak or press a key to get an assistant. Names the
    /// key 1 as the one that asks for a WhatsApp message.
    pub welcome: &'static str,
    /// The assistant of a first-time caller is being set up.
    pub setting_up: &'static str,
    /// The assistant is still being set up.
    pub still_setting_up: &'static str,
    /// The setup takes too long for a call.
    pub will_write_when_ready: &'static str,
    /// The same to a caller to whom we may not write.
    pub call_again_later: &'static str,
    /// Said while the caller waits for an answer.
    pub fillers: [&'static str; 6],
    /// Nothing was understood: the first request to repeat, and the later ones.
    pub did_not_hear: [&'static str; 2],
    /// Said last, before a call ends because the caller stayed silent.
    pub goodbye: &'static str,
    /// A fault on our side ends the call.
    pub apology: &'static str,
    /// The assistant failed to answer.
    pub could_not_answer: &'static str,
    /// Asks the caller for their PIN.
    pub ask_pin: &'static str,
    /// The PIN was wrong.
    pub wrong_pin: &'static str,
    /// The caller cannot be identified, and there is no PIN to ask for. Says how to set one.
    pub set_pin_in_chat: &'static str,
    /// The operator has suspended the user.
    pub suspended: &'static str,
    /// The number is hidden: asks the caller to key it in.
    pub ask_number: &'static str,
    /// The rest of a long answer goes to the chat.
    pub rest_on_whatsapp: &'static str,
    /// The answer takes too long for a call.
    pub answer_on_whatsapp: &'static str,
    /// An answer was too long for a caller to whom we may not write.
    pub write_for_rest: &'static str,
    /// An answer takes too long for a caller to whom we may not write.
    pub write_for_answer: &'static str,
    /// The `ConversationRelay` session broke and the call goes on.
    pub line_was_broken: &'static str,
    /// Said in place of a web address.
    pub a_link: &'static str,
    /// Said in place of a block of code.
    pub code_left_out: &'static str,
}

impl Phrases {
    /// The phrases for this language; British and American English share theirs.
    pub const fn of(language: Language) -> &'static Self {
        match language {
            Language::EnglishUs | Language::EnglishGb => &english::PHRASES,
            Language::German => &german::PHRASES,
            Language::Spanish => &spanish::PHRASES,
            Language::French => &french::PHRASES,
            Language::Italian => &italian::PHRASES,
            Language::PortugueseBr => &portuguese::PHRASES,
            Language::Dutch => &dutch::PHRASES,
            Language::Hindi => &hindi::PHRASES,
        }
    }

    /// The filler for this index. Every index has one, and consecutive ones differ.
    pub const fn filler(&self, index: usize) -> &'static str {
        self.fillers[index % self.fillers.len()]
    }

    /// The request to repeat, where 0 is the first one.
    pub const fn did_not_hear(&self, index: usize) -> &'static str {
        if index == 0 {
            self.did_not_hear[0]
        } else {
            self.did_not_hear[1]
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// About ten seconds of speech.
    const LONGEST_CHARS: usize = 180;

    #[test]
    fn every_phrase_is_short_and_ends_a_sentence() {
        for &language in Language::ALL {
            for phrase in all(Phrases::of(language)) {
                assert!(
                    phrase.ends_with(['.', '!', '?', '।']),
                    "{language:?}: {phrase}"
                );
                assert!(
                    phrase.chars().count() <= LONGEST_CHARS,
                    "{language:?}: {phrase}"
                );
            }
        }
    }

    #[test]
    fn the_phrases_of_a_language_differ() {
        for &language in Language::ALL {
            let mut seen = HashSet::new();
            for phrase in all(Phrases::of(language)) {
                assert!(seen.insert(phrase), "{language:?}: {phrase}");
            }
        }
    }

    #[test]
    fn consecutive_fillers_differ() {
        let phrases = Phrases::of(Language::German);
        for index in 0..20 {
            assert_ne!(phrases.filler(index), phrases.filler(index + 1));
        }
    }

    #[test]
    fn the_request_to_repeat_changes_once() {
        let phrases = Phrases::of(Language::EnglishUs);
        assert_ne!(phrases.did_not_hear(0), phrases.did_not_hear(1));
        assert_eq!(phrases.did_not_hear(1), phrases.did_not_hear(7));
    }

    fn all(phrases: &Phrases) -> Vec<&'static str> {
        let mut all = vec![
            phrases.greeting,
            phrases.welcome,
            phrases.setting_up,
            phrases.still_setting_up,
            phrases.will_write_when_ready,
            phrases.call_again_later,
            phrases.goodbye,
            phrases.apology,
            phrases.could_not_answer,
            phrases.ask_pin,
            phrases.wrong_pin,
            phrases.set_pin_in_chat,
            phrases.suspended,
            phrases.ask_number,
            phrases.rest_on_whatsapp,
            phrases.answer_on_whatsapp,
            phrases.write_for_rest,
            phrases.write_for_answer,
            phrases.line_was_broken,
            phrases.code_left_out,
        ];
        all.extend(phrases.fillers);
        all.extend(phrases.did_not_hear);
        all
    }
}
