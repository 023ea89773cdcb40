use claw_domain::Language;

use super::{Command, argument_of};

/// "language de", "language: british english", "my language is Deutsch". A text with a word that belongs
/// to no language ("language german lessons") is meant for the assistant.
pub(super) fn language_command(words: &str) -> Option<Command> {
    let words = words.strip_prefix("my ").unwrap_or(words);
    let named = argument_of(words.strip_prefix("language")?)?;
    let named = named.strip_prefix("is ").unwrap_or(named);
    let names_nothing_else = named
        .split(' ')
        .all(|word| Language::parse(word.trim_matches(['(', ')'])).is_some());
    match Language::parse(named) {
        Some(language) if names_nothing_else => Some(Command::SetLanguage(language)),
        None if !named.contains(' ') => Some(Command::UnknownLanguage),
        Some(_) | None => None,
    }
}
