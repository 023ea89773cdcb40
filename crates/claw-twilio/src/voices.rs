//! The voice of each language on the phone.

pub use claw_domain::Language;

/// The voice for `<Say>`: a neural voice of Amazon Polly, from Twilio's list of voices.
pub const fn voice(language: Language) -> &'static str {
    match language {
        Language::EnglishUs => "Polly.Joanna-Neural",
        Language::EnglishGb => "Polly.Amy-Neural",
        Language::German => "Polly.Vicki-Neural",
        Language::Spanish => "Polly.Lucia-Neural",
        Language::French => "Polly.Lea-Neural",
        Language::Italian => "Polly.Bianca-Neural",
        Language::PortugueseBr => "Polly.Camila-Neural",
        Language::Dutch => "Polly.Laura-Neural",
        Language::Hindi => "Polly.Kajal-Neural",
    }
}

/// The same voice for `ConversationRelay`, which takes the provider in a separate attribute.
pub fn relay_voice(language: Language) -> &'static str {
    let voice = voice(language);
    voice.strip_prefix("Polly.").unwrap_or(voice)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_language_has_a_voice_of_its_own() {
        let mut voices = HashSet::new();
        for &language in Language::ALL {
            assert!(voices.insert(voice(language)));
            assert_eq!(format!("Polly.{}", relay_voice(language)), voice(language));
        }
    }
}
