use std::{fmt, str::FromStr};

/// A template that Meta has approved, the only thing that passes when a person has not written for a day.
/// Its body has exactly one parameter, which says what is to be said: "Your assistant writes: {{1}}".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pub(super) name: String,
    pub(super) language: String,
}

/// Longest name Meta gives a template.
const NAME_LIMIT: usize = 512;

/// A text that names no template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// One of the two parts is missing.
    #[error("it has to be <name>:<language code>, such as assistant_writes:en_US")]
    NoLanguage,
    /// Meta gives no template such a name.
    #[error("the name before the colon has to be of lower-case letters, digits and underscores")]
    Name,
    /// Meta has no such code.
    #[error(
        "the language code after the colon has to be one of Meta's, such as en, en_US or pt_BR"
    )]
    Language,
}

impl FromStr for Template {
    type Err = TemplateError;

    /// Reads `<name>:<language code>`, as the two stand in WhatsApp Manager.
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

/// `en`, `fil`, `en_US`: a wrong one of this form is refused by Meta, and told then.
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
    fn a_template_is_named_by_name_and_language() {
        for text in ["assistant_writes:en", "a1:pt_BR", "x:fil"] {
            let template: Template = text.parse().unwrap();
            assert_eq!(template.to_string(), text);
        }
    }

    #[test]
    fn what_is_wrong_with_the_setting_is_said() {
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
