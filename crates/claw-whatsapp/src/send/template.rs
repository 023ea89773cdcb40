use std::{fmt, str::FromStr};

/// The name and language of a template approved by Meta. Its body has exactly one parameter, which is the message:
/// "Your assistant writes: {{1}}".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub(super) name: String,
    pub(super) language: String,
}

/// Longest template name at Meta.
const NAME_LIMIT: usize = 512;

/// The text does not name a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// There is no colon.
    #[error("expected `<name>:<language code>`, such as assistant_writes:en_US")]
    NoLanguage,
    /// The name is not one that Meta allows.
    #[error("expected a name of lowercase letters, digits and underscores before the colon")]
    Name,
    /// The language code does not have the form of Meta's codes.
    #[error("expected one of Meta's language codes after the colon, such as en, en_US or pt_BR")]
    Language,
}

impl FromStr for Template {
    type Err = TemplateError;

    /// Reads `<name>:<language code>`, both spelled as in WhatsApp Manager.
    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let (name, language) = text.split_once(':').ok_or(TemplateError::NoLanguage)?;
        if !is_name(name) {
            return Err(TemplateError::Name);
        }
        if !is_language(language) {
            return Err(TemplateError::Language);
        }
        Ok(Self {
            name: name.to_owned(),
            language: language.to_owned(),
        })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.language)
    }
}

fn is_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (1..=NAME_LIMIT).contains(&name.len()) && name.chars().all(is_allowed)
}

/// Whether this has the form of a code, such as `en`, `fil` or `en_US`. Meta refuses an unknown code at the first
/// send.
fn is_language(code: &str) -> bool {
    let (language, region) = match code.split_once('_') {
        Some((language, region)) => (language, Some(region)),
        None => (code, None),
    };
    let is_region = |region: &str| {
        (2..=8).contains(&region.len()) && region.chars().all(|c| c.is_ascii_alphanumeric())
    };
    (2..=3).contains(&language.len())
        && language.chars().all(|c| c.is_ascii_lowercase())
        && region.is_none_or(is_region)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_parsed_from_name_and_language() {
        for text in ["assistant_writes:en", "a1:pt_BR", "x:fil"] {
            let template: Template = text.parse().unwrap();
            assert_eq!(template.to_string(), text);
        }
    }

    #[test]
    fn the_error_tells_which_part_is_invalid() {
        for (text, error) in [
            ("assistant_writes", TemplateError::NoLanguage),
            (":en", TemplateError::Name),
            ("Assistant Writes:en", TemplateError::Name),
            ("assistant_writes:", TemplateError::Language),
            ("assistant_writes:English", TemplateError::Language),
            ("assistant_writes:en-US", TemplateError::Language),
            ("assistant_writes:en_", TemplateError::Language),
            ("assistant_writes:en:US", TemplateError::Language),
        ] {
            assert_eq!(text.parse::<Template>(), Err(error), "{text}");
        }
    }
}
