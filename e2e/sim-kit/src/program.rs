//! The program around a simulator: `--help`, telemetry, settings from the environment.

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use anyhow::bail;
use claw_runtime::{Env, process};

/// Prints `help` if `--help` was given, otherwise runs `simulate` with the settings of this process. Any
/// other argument is an error: settings are environment variables.
pub async fn run<Config, Error: Into<anyhow::Error>>(
    name: &'static str,
    help: &str,
    read: impl FnOnce(&Env) -> Result<Config, Error>,
    simulate: impl AsyncFnOnce(Config) -> anyhow::Result<()>,
) -> ExitCode {
    match asks_for_help(name, std::env::args_os().skip(1)) {
        Ok(false) => process::run(name, read, simulate).await,
        Ok(true) => {
            let printed = io::stdout().write_all(help.as_bytes());
            ExitCode::from(u8::from(printed.is_err()))
        }
        Err(refusal) => {
            eprintln!("{refusal}");
            ExitCode::from(2)
        }
    }
}

fn asks_for_help(
    name: &str,
    mut arguments: impl Iterator<Item = OsString>,
) -> anyhow::Result<bool> {
    match arguments.next() {
        None => Ok(false),
        Some(argument) if argument == "--help" || argument == "-h" => Ok(true),
        Some(argument) => bail!(
            "{name} takes no argument `{}`: its settings are environment variables, see {name} --help",
            argument.display()
        ),
    }
}

/// For tests: asserts that `help` names every environment variable and every path of the control API that
/// is a string literal in `sources`.
///
/// # Panics
///
/// If `help` lacks one of them, or if `sources` contain none.
pub fn assert_help_is_complete(help: &str, sources: &[&str]) {
    let is_variable = |literal: &&str| {
        literal.contains('_')
            && literal
                .chars()
                .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
    };
    let literals = sources.iter().flat_map(|source| source.split('"'));
    let expected: Vec<&str> = literals
        .filter(|literal| is_variable(literal) || literal.starts_with("/sim"))
        .collect();
    assert!(!expected.is_empty(), "the sources name no settings");
    for literal in expected {
        let is_named = help
            .split_whitespace()
            .any(|word| word.trim_end_matches(',') == literal);
        assert!(is_named, "--help does not mention {literal}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_printed_when_asked_for_and_other_arguments_are_refused() {
        let asks = |argument: &str| asks_for_help("sim-meta", [argument.into()].into_iter());

        assert!(asks("--help").unwrap());
        assert!(!asks_for_help("sim-meta", std::iter::empty()).unwrap());
        let refusal = asks("--port=1").unwrap_err().to_string();
        assert!(refusal.contains("see sim-meta --help"), "{refusal}");
    }
}
