use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// A language that calls can be held in. It is serialized as its BCP 47 tag.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr, VariantArray,
)]
#[serde(into = "String", try_from = "String")]
pub enum Language {
    /// American English, the default if no other language is known.
    #[strum(serialize = "en-US")]
    EnglishUs,
    /// British English; also used for Ireland, Australia, New Zealand, South Africa and India.
    #[strum(serialize = "en-GB")]
    EnglishGb,
    /// German as spoken in Germany, also for other `de` tags.
    #[strum(serialize = "de-DE")]
    German,
    /// European Spanish, also for other `es` tags.
    #[strum(serialize = "es-ES")]
    Spanish,
    /// French as spoken in France, also for other `fr` tags.
    #[strum(serialize = "fr-FR")]
    French,
    /// Italian as spoken in Italy, also for other `it` tags.
    #[strum(serialize = "it-IT")]
    Italian,
    /// Brazilian Portuguese, also for other `pt` tags.
    #[strum(serialize = "pt-BR")]
    PortugueseBr,
    /// Dutch as spoken in the Netherlands, also for Flemish.
    #[strum(serialize = "nl-NL")]
    Dutch,
    /// Hindi as spoken in India.
    #[strum(serialize = "hi-IN")]
    Hindi,
}

use Language::{
    Dutch, EnglishGb, EnglishUs, French, German, Hindi, Italian, PortugueseBr, Spanish,
};

impl Language {
    /// Every language, in the order of declaration.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The BCP 47 tag, such as `en-US`.
    pub fn tag(self) -> &'static str {
        self.into()
    }

    /// The English name of the language, without the country.
    pub const fn english_name(self) -> &'static str {
        match self {
            EnglishUs | EnglishGb => "English",
            German => "German",
            Spanish => "Spanish",
            French => "French",
            Italian => "Italian",
            PortugueseBr => "Portuguese",
            Dutch => "Dutch",
            Hindi => "Hindi",
        }
    }

    /// The name of the language in the language itself, without the country.
    pub const fn native_name(self) -> &'static str {
        match self {
            EnglishUs | EnglishGb => "English",
            German => "Deutsch",
            Spanish => "Español",
            French => "Français",
            Italian => "Italiano",
            PortugueseBr => "Português",
            Dutch => "Nederlands",
            Hindi => "हिन्दी",
        }
    }

    /// Parses a tag (`de`, `de-AT`, `pt_BR`), or a name in English or in the language itself. Case is ignored.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_lowercase().replace('_', "-");
        let by_name = Self::ALL.iter().copied().find(|language| {
            let names = [
                language.tag(),
                language.english_name(),
                language.native_name(),
            ];
            names.iter().any(|name| name.to_lowercase() == text)
        });
        by_name.or_else(|| Self::of_tag_or_spelling(&text))
    }

    fn of_tag_or_spelling(text: &str) -> Option<Self> {
        let mut words = text
            .split(['-', ' ', '(', ')', ','])
            .filter(|word| !word.is_empty());
        let first = words.next()?;
        let is_not_american = words.any(|word| {
            matches!(
                word,
                "gb" | "uk" | "ie" | "au" | "nz" | "za" | "in" | "british" | "britain"
            )
        });
        match first {
            "british" | "uk" => Some(EnglishGb),
            "en" | "english" if is_not_american => Some(EnglishGb),
            "en" | "english" | "american" => Some(EnglishUs),
            "de" | "german" | "deutsch" => Some(German),
            "es" | "spanish" | "español" | "espanol" | "castellano" => Some(Spanish),
            "fr" | "french" | "français" | "francais" => Some(French),
            "it" | "italian" | "italiano" => Some(Italian),
            "pt" | "portuguese" | "português" | "portugues" | "brazilian" => Some(PortugueseBr),
            "nl" | "dutch" | "nederlands" | "flemish" | "vlaams" => Some(Dutch),
            "hi" | "hindi" | "हिन्दी" | "हिंदी" => Some(Hindi),
            _ => None,
        }
    }
}

/// The text names no language that calls can be held in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text names no language that calls can be held in")]
pub struct LanguageError;

impl TryFrom<String> for Language {
    type Error = LanguageError;

    fn try_from(text: String) -> Result<Self, LanguageError> {
        Self::parse(&text).ok_or(LanguageError)
    }
}

impl From<Language> for String {
    fn from(language: Language) -> Self {
        language.tag().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_found_by_tag_and_by_name() {
        for (text, language) in [
            ("de", German),
            ("de-AT", German),
            (" DEUTSCH ", German),
            ("en", EnglishUs),
            ("en_GB", EnglishGb),
            ("English (UK)", EnglishGb),
            ("British English", EnglishGb),
            ("american english", EnglishUs),
            ("español", Spanish),
            ("es-MX", Spanish),
            ("Français", French),
            ("Brazilian Portuguese", PortugueseBr),
            ("pt-PT", PortugueseBr),
            ("हिन्दी", Hindi),
        ] {
            assert_eq!(Language::parse(text), Some(language), "{text}");
        }
        for text in ["", "-", "Klingon", "deu?", "ja-JP"] {
            assert_eq!(Language::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn every_language_is_serialized_as_its_tag_and_an_unknown_tag_is_refused() {
        for &language in Language::ALL {
            assert_eq!(Language::parse(language.tag()), Some(language));
            let json = serde_json::to_string(&language).unwrap();
            assert_eq!(json, format!("\"{}\"", language.tag()));
            assert_eq!(serde_json::from_str::<Language>(&json).unwrap(), language);
        }
        assert!(serde_json::from_str::<Language>("\"tlh\"").is_err());
    }
}
