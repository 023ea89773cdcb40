//! The settings that the services read, and the files that tell an operator about them: the tables of
//! docs/operations.md, .env.example, docker-compose.yml and the secret files of `./dev secrets`.
//!
//! The settings are taken from the source code, so that a setting is not listed a second time here.

mod compose;
mod containers;
mod example;
mod manual;
mod programs;
mod secret_files;

use std::{fs, path::PathBuf};

/// The root of the repository.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text_of(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("reading {path}: {error}"))
}

/// Whether the text is spelled like the name of a variable.
fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_uppercase()) && text.chars().all(is_part_of_name)
}

fn is_part_of_name(character: char) -> bool {
    character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_'
}

#[track_caller]
fn assert_none(problems: &[String]) {
    assert!(problems.is_empty(), "\n  {}\n", problems.join("\n  "));
}
