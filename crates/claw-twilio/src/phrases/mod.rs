//! What we say ourselves on the phone, in each language: short, friendly, and good to hear.

mod dutch;
mod english;
mod french;
mod german;
mod hindi;
mod italian;
mod portuguese;
mod spanish;

use crate::voices::Language;

/// Our lines in one language. Having them as fields means that no language can lack one.
#[derive(Debug, PartialEq, Eq)]
pub struct Phrases {
    /// The call is taken and the assistant listens.
    pub greeting: &'static str,
    /// A first call: the assistant is being made.
    pub setting_up: &'static str,
    /// It still is.
    pub still_setting_up: &'static str,
    /// It takes too long for a call.
    pub will_write_when_ready: &'static str,
    /// While the assistant thinks.
    pub fillers: [&'static str; 6],
    /// Nothing was understood: first kindly, then more kindly.
    pub did_not_hear: [&'static str; 2],
    /// The end.
    pub goodbye: &'static str,
    /// Something is broken on our side.
    pub apology: &'static str,
    /// The assistant failed at what was asked.
    pub could_not_answer: &'static str,
    /// The caller is to prove who they are.
    pub ask_pin: &'static str,
    /// They did not.
    pub wrong_pin: &'static str,
    /// We cannot tell who calls, and there is no PIN to prove it.
    pub set_pin_in_chat: &'static str,
    /// The number is hidden: the caller is to key theirs.
    pub ask_number: &'static str,
    /// The answer was cut to what is good to hear.
    pub rest_on_whatsapp: &'static str,
    /// The answer takes too long for a call.
    pub answer_on_whatsapp: &'static str,
    /// The stream broke and the call goes on.
    pub line_was_broken: &'static str,
    /// In place of an address nobody wants read out.
    pub a_link: &'static str,
    /// In place of code nobody wants read out.
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

    /// The filler of this index; any index has one, and neighbours differ.
    pub const fn filler(&self, index: usize) -> &'static str {
        self.fillers[index % self.fillers.len()]
    }

    /// How to ask again, for the first time (0) and after.
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

    /// About ten seconds of speech; nobody listens to a machine for longer.
    const LONGEST_CHARS: usize = 180;

    #[test]
    fn every_line_is_a_whole_short_sentence() {
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
    fn no_line_of_a_language_is_another_one() {
        for &language in Language::ALL {
            let mut seen = HashSet::new();
            for phrase in all(Phrases::of(language)) {
                assert!(seen.insert(phrase), "{language:?}: {phrase}");
            }
        }
    }

    #[test]
    fn fillers_go_round_without_a_neighbour_alike() {
        let phrases = Phrases::of(Language::German);
        for index in 0..20 {
            assert_ne!(phrases.filler(index), phrases.filler(index + 1));
        }
    }

    #[test]
    fn asking_again_gets_kinder_once_and_stays_so() {
        let phrases = Phrases::of(Language::EnglishUs);
        assert_ne!(phrases.did_not_hear(0), phrases.did_not_hear(1));
        assert_eq!(phrases.did_not_hear(1), phrases.did_not_hear(7));
    }

    fn all(phrases: &Phrases) -> Vec<&'static str> {
        let mut all = vec![
            phrases.greeting,
            phrases.setting_up,
            phrases.still_setting_up,
            phrases.will_write_when_ready,
            phrases.goodbye,
            phrases.apology,
            phrases.could_not_answer,
            phrases.ask_pin,
            phrases.wrong_pin,
            phrases.set_pin_in_chat,
            phrases.ask_number,
            phrases.rest_on_whatsapp,
            phrases.answer_on_whatsapp,
            phrases.line_was_broken,
            phrases.code_left_out,
        ];
        all.extend(phrases.fillers);
        all.extend(phrases.did_not_hear);
        all
    }
}
