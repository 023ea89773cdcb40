use std::{
    fmt::Display,
    io::{self, Write},
};

use anyhow::{Context, Result};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text for an operator at a terminal.
    Text,
    /// One JSON object per line.
    Json,
}

impl Format {
    /// Prints one result on stdout.
    pub(crate) fn print(self, result: &(impl Display + Serialize)) -> Result<()> {
        let line = match self {
            Self::Text => result.to_string(),
            Self::Json => serde_json::to_string(result)?,
        };
        write_line(io::stdout(), line.as_bytes())
    }

    /// Prints on stdout a line that JSON does not have, such as the titles of columns.
    pub(crate) fn print_if_text(self, line: &str) -> Result<()> {
        match self {
            Self::Text => write_line(io::stdout(), line.as_bytes()),
            Self::Json => Ok(()),
        }
    }
}

/// Prints a remark on stderr, whatever the format of the results.
pub(crate) fn remark(text: impl Display) -> Result<()> {
    write_line(io::stderr(), text.to_string().as_bytes())
}

/// Writes bytes as they are, and a line break after them.
pub(crate) fn write_line(mut to: impl Write, bytes: &[u8]) -> Result<()> {
    let written = to.write_all(bytes).and_then(|()| to.write_all(b"\n"));
    written.context("writing the output")
}

/// A time in UTC and whole seconds, such as `2026-01-02T03:04:05Z`.
pub(crate) fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
