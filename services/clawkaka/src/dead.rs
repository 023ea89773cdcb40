use std::{collections::BTreeMap, fmt, io};

use anyhow::{Result, bail};
use claw_bus::{DeadLetters, StoredEvent, StoredLetter, StreamHistory, StreamPosition};
use claw_events::{DeadLetter, Stream};
use claw_runtime::Env;
use serde::Serialize;

use crate::{
    arguments::{ListLetters, ShowLetter},
    bus,
    output::{Format, remark, rfc3339, write_line},
};

/// Longest part of an error that a line of text shows, in characters; `show` and JSON have the rest.
const ERROR_LIMIT_CHARS: usize = 120;

/// The titles of the columns of [`LetterLine`].
const TITLES: &str = concat!(
    "    DEAD  time                  consumer              event                 ",
    "reason       tries  replayed as           error"
);

pub(crate) async fn list(env: &Env, command: ListLetters) -> Result<()> {
    let format = command.output.format();
    let consumer = command.consumer.as_deref();
    let letters = DeadLetters::open(&bus::connect(env).await?).await?;
    let newest = letters.newest(consumer, command.limit).await?;
    if newest.total == 0 {
        return remark(nothing_from(consumer));
    }
    format.print_if_text(TITLES)?;
    for letter in &newest.letters {
        let replayed_as = letters.latest_replay(letter).await?;
        format.print(&LetterLine::new(letter, replayed_as))?;
    }
    let left_out = newest.total - newest.letters.len();
    if left_out > 0 {
        remark(format_args!(
            "{left_out} older dead letters are not listed, see --limit"
        ))?;
    }
    Ok(())
}

pub(crate) async fn show(env: &Env, command: ShowLetter) -> Result<()> {
    let dead = StreamHistory::open(&bus::connect(env).await?, Stream::Dead).await?;
    let position = dead.position(command.sequence);
    let Some(letter) = dead.find(command.sequence).await? else {
        bail!("{position} is not stored: {}", dead.extent().await?);
    };
    if command.payload {
        remark(
            "the payload holds personal data (texts, names, numbers): keep it out of tickets and logs",
        )?;
    }
    let format = command.output.format();
    format.print(&ShownLetter::new(&letter, command.payload))?;
    match format {
        // The payload may be anything, so its bytes are printed as they are.
        Format::Text if command.payload => {
            write_line(io::stdout(), b"")?;
            write_line(io::stdout(), &letter.payload)
        }
        Format::Text | Format::Json => Ok(()),
    }
}

/// Says that `DEAD` holds no letter of this consumer, or none at all.
pub(crate) fn nothing_from(consumer: Option<&str>) -> String {
    match consumer {
        Some(consumer) => format!("DEAD holds nothing from a consumer named {consumer}"),
        None => "DEAD is empty".to_owned(),
    }
}

/// One dead letter in a list, without anything a user wrote.
#[derive(Serialize)]
struct LetterLine<'a> {
    sequence: u64,
    time: String,
    consumer: Option<&'a str>,
    event: Option<String>,
    subject: Option<&'a str>,
    reason: Option<&'a str>,
    attempts: Option<u64>,
    replayed_as: Option<String>,
    error: Option<&'a str>,
}

impl<'a> LetterLine<'a> {
    fn new(letter: &'a StoredLetter, replayed_as: Option<StreamPosition>) -> Self {
        Self {
            sequence: letter.sequence,
            time: rfc3339(letter.time),
            consumer: letter.consumer(),
            event: letter.event().map(|position| position.to_string()),
            subject: letter.header(DeadLetter::SUBJECT),
            reason: letter.header(DeadLetter::REASON),
            attempts: letter
                .header(DeadLetter::ATTEMPTS)
                .and_then(|attempts| attempts.parse().ok()),
            replayed_as: replayed_as.map(|position| position.to_string()),
            error: letter.header(DeadLetter::ERROR),
        }
    }
}

impl fmt::Display for LetterLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unknown = |text: Option<&'_ str>| text.unwrap_or("?").to_owned();
        let event = self.event.clone().unwrap_or_else(|| unknown(self.subject));
        let attempts = self.attempts.map(|attempts| attempts.to_string());
        write!(
            f,
            "{:>8}  {}  {:<20}  {event:<20}  {:<11}  {:>5}  {:<20}  {:.ERROR_LIMIT_CHARS$}",
            self.sequence,
            self.time,
            unknown(self.consumer),
            unknown(self.reason),
            unknown(attempts.as_deref()),
            self.replayed_as.as_deref().unwrap_or("-"),
            unknown(self.error),
        )
    }
}

/// One dead letter with its headers. Its payload is here in JSON only: text prints the bytes themselves.
#[derive(Serialize)]
struct ShownLetter<'a> {
    position: String,
    subject: &'a str,
    time: String,
    headers: BTreeMap<&'a str, &'a str>,
    payload_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
}

impl<'a> ShownLetter<'a> {
    fn new(letter: &'a StoredEvent, with_payload: bool) -> Self {
        Self {
            position: letter.position.to_string(),
            subject: &letter.subject,
            time: rfc3339(letter.time),
            headers: letter.headers().into_iter().collect(),
            payload_bytes: letter.payload.len(),
            payload: with_payload.then(|| String::from_utf8_lossy(&letter.payload).into_owned()),
        }
    }
}

impl fmt::Display for ShownLetter<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.position, self.subject)?;
        writeln!(f, "stored at {}", self.time)?;
        for (name, value) in &self.headers {
            writeln!(f, "{name}: {value}")?;
        }
        write!(f, "{} bytes of payload", self.payload_bytes)
    }
}
