use std::fmt;

use anyhow::{Result, bail};
use claw_bus::{DeadLetters, ReplayOutcome, Replayer, StreamHistory, StreamPosition};
use claw_events::Stream;
use claw_runtime::Env;
use serde::Serialize;

use crate::{
    arguments::{ReplayEvents, ReplayLetters},
    bus,
    dead::nothing_from,
    output::{Format, remark},
};

/// Replays the events of dead letters, one after the other.
pub(crate) async fn letters(env: &Env, command: ReplayLetters) -> Result<()> {
    let bus = bus::connect(env).await?;
    let letters = DeadLetters::open(&bus).await?;
    let consumer = command.consumer.as_deref();
    let sequences = if command.all {
        letters.sequences(consumer).await?
    } else {
        command.sequences
    };
    if sequences.is_empty() {
        remark(nothing_from(consumer))?;
    }
    let replayer = Replayer::new(&bus, command.options.ticket);
    let mut report = Report::new(command.options.output.format());
    for sequence in sequences {
        let position = StreamPosition {
            stream: Stream::Dead,
            sequence,
        };
        let outcome = replayer.replay_letter(&letters, sequence).await?;
        report.add(position, &outcome)?;
    }
    report.finish()
}

/// Replays a range of past events of a stream, in their order.
pub(crate) async fn events(env: &Env, command: ReplayEvents) -> Result<()> {
    let bus = bus::connect(env).await?;
    let history = StreamHistory::open(&bus, command.stream).await?;
    let sequences = command.sequences();
    // Checked before anything is published: a range that has partly aged out is a mistake.
    let extent = history.extent().await?;
    for sequence in [*sequences.start(), *sequences.end()] {
        if !extent.contains(sequence) {
            bail!("{} is not stored: {extent}", history.position(sequence));
        }
    }
    let replayer = Replayer::new(&bus, command.options.ticket);
    let mut report = Report::new(command.options.output.format());
    for sequence in sequences {
        let outcome = replayer.replay_event(&history, sequence).await?;
        report.add(history.position(sequence), &outcome)?;
    }
    report.finish()
}

/// Prints the outcome of each replay and counts those that were not made. One refusal stops no other replay.
struct Report {
    format: Format,
    refused: usize,
    total: usize,
}

impl Report {
    const fn new(format: Format) -> Self {
        Self {
            format,
            refused: 0,
            total: 0,
        }
    }

    fn add(&mut self, position: StreamPosition, outcome: &ReplayOutcome) -> Result<()> {
        let line = ReplayLine::new(position, outcome);
        self.total += 1;
        let is_refused = line.replayed_as.is_none();
        if is_refused {
            self.refused += 1;
        }
        // A script reads all outcomes in one place; text keeps refusals apart from results.
        if is_refused && self.format == Format::Text {
            remark(line)
        } else {
            self.format.print(&line)
        }
    }

    fn finish(self) -> Result<()> {
        if self.refused > 0 {
            bail!("{} of {} could not be replayed", self.refused, self.total);
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct ReplayLine {
    position: String,
    outcome: &'static str,
    replayed_as: Option<String>,
    #[serde(skip)]
    sentence: String,
}

impl ReplayLine {
    fn new(position: StreamPosition, outcome: &ReplayOutcome) -> Self {
        let (name, replayed_as) = match outcome {
            ReplayOutcome::Replayed(replayed) => ("replayed", Some(replayed)),
            ReplayOutcome::AlreadyReplayed(replayed) => ("already_replayed", Some(replayed)),
            ReplayOutcome::NotStored(_) => ("not_stored", None),
            ReplayOutcome::NotAnEvent(_) => ("not_an_event", None),
            ReplayOutcome::OriginalGone(_) => ("original_gone", None),
            ReplayOutcome::NotTheOriginal(_) => ("not_the_original", None),
        };
        Self {
            position: position.to_string(),
            outcome: name,
            replayed_as: replayed_as.map(ToString::to_string),
            sentence: outcome.to_string(),
        }
    }
}

impl fmt::Display for ReplayLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.sentence)
    }
}
