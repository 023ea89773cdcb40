//! What people do on the bus by hand, as the command `claw-bus`: looking at the events that could not
//! be handled, and replaying past ones. Nothing here keeps a place on the server.

mod command;
mod history;
mod letters;
mod replay;

use std::{
    fmt,
    io::{self, Write},
    ops::RangeInclusive,
};

use claw_events::Stream;

use crate::{Bus, BusError, PublishError, ensure};
pub use command::{Chosen, Command, Payload, USAGE, UsageError};
use history::History;
use letters::Letters;
pub use replay::Ticket;
use replay::{Outcome, Replayer};

/// Why a command could not do all it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// The bus could not be read or changed.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// A replay was not stored, or not known to be. The same command may be given again.
    #[error("replaying {of} (the same command again doubles nothing)")]
    Publish {
        /// What was to be replayed.
        of: Place,
        /// Why it was not.
        #[source]
        source: PublishError,
    },
    /// Nothing is stored there, or no longer.
    #[error("{0} is not there: {1}")]
    Absent(Place, Extent),
    /// Some were replayed, and these could not be; each was named.
    #[error("{refused} of {all} could not be replayed")]
    Refused {
        /// How many could not.
        refused: usize,
        /// How many were asked for.
        all: usize,
    },
    /// What was found could not be shown.
    #[error("writing the output")]
    Write(#[from] io::Error),
}

/// Where something is stored. Prints as `INBOUND:17`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The stream.
    pub stream: Stream,
    /// The position in it, from 1.
    pub sequence: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.stream.name(), self.sequence)
    }
}

/// What a stream holds at this moment. Prints as a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    stream: Stream,
    /// The first and the last sequence; `None` for an empty stream.
    held: Option<(u64, u64)>,
}

impl Extent {
    const fn holds(&self, sequence: u64) -> bool {
        match self.held {
            Some((first, last)) => first <= sequence && sequence <= last,
            None => false,
        }
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.stream.name();
        match self.held {
            Some((first, last)) => write!(
                f,
                "{name} holds {first} to {last}, and what is older has aged out"
            ),
            None => write!(f, "{name} is empty"),
        }
    }
}

/// Where a command writes to: what was asked for, and remarks about it.
pub struct Terminal<'a> {
    /// What was asked for.
    pub out: &'a mut (dyn Write + Send),
    /// Remarks and warnings.
    pub remarks: &'a mut (dyn Write + Send),
}

impl Command {
    /// Does it. `bus` must be connected as `admin`.
    pub async fn run(self, bus: &Bus, to: &mut Terminal<'_>) -> Result<(), OperateError> {
        match self {
            Self::Ensure => Ok(ensure(bus).await?),
            Self::List { consumer, limit } => list(bus, consumer.as_deref(), limit, to).await,
            Self::Show { letter, payload } => show(bus, letter, payload, to).await,
            Self::ReplayDead { chosen, ticket } => replay_dead(bus, chosen, ticket, to).await,
            Self::Replay {
                stream,
                sequences,
                ticket,
            } => replay(bus, stream, sequences, ticket, to).await,
        }
    }
}

async fn list(
    bus: &Bus,
    consumer: Option<&str>,
    limit: usize,
    to: &mut Terminal<'_>,
) -> Result<(), OperateError> {
    let letters = Letters::of(bus).await?;
    let found = letters.newest(consumer, limit).await?;
    if found.all == 0 {
        writeln!(to.remarks, "{}", nothing_of(consumer))?;
        return Ok(());
    }
    writeln!(to.out, "{}", letters::TITLES)?;
    for letter in &found.newest {
        let replayed = match letter.event() {
            Ok(event) => replay::latest(bus, &event).await?,
            Err(_foreign) => None,
        };
        writeln!(to.out, "{}", letter.line(replayed))?;
    }
    let left_out = found.all - found.newest.len();
    if left_out > 0 {
        writeln!(to.remarks, "{left_out} older ones are not listed: --limit")?;
    }
    Ok(())
}

async fn show(
    bus: &Bus,
    letter: u64,
    payload: Payload,
    to: &mut Terminal<'_>,
) -> Result<(), OperateError> {
    let message = History::of(bus, Stream::Dead).await?.get(letter).await?;
    let place = Place {
        stream: Stream::Dead,
        sequence: letter,
    };
    writeln!(to.out, "{place} {}", message.subject)?;
    writeln!(to.out, "stored at {}", history::rfc3339(message.time))?;
    for (name, value) in history::sorted(&message.headers) {
        writeln!(to.out, "{name}: {value}")?;
    }
    writeln!(to.out, "{} bytes of payload", message.payload.len())?;
    match payload {
        Payload::Hidden => {}
        Payload::Shown => {
            writeln!(
                to.remarks,
                "the payload holds personal data (texts, names, numbers): keep it out of tickets and logs"
            )?;
            to.out.write_all(b"\n")?;
            to.out.write_all(&message.payload)?;
            to.out.write_all(b"\n")?;
        }
    }
    Ok(())
}

async fn replay_dead(
    bus: &Bus,
    chosen: Chosen,
    ticket: Option<Ticket>,
    to: &mut Terminal<'_>,
) -> Result<(), OperateError> {
    let letters = Letters::of(bus).await?;
    let sequences = match chosen {
        Chosen::These(sequences) => sequences,
        Chosen::All { consumer } => {
            let all = letters.sequences(consumer.as_deref()).await?;
            if all.is_empty() {
                writeln!(to.remarks, "{}", nothing_of(consumer.as_deref()))?;
            }
            all
        }
    };
    let replayer = Replayer::new(bus, ticket);
    let mut tally = Tally::default();
    for sequence in sequences {
        let place = Place {
            stream: Stream::Dead,
            sequence,
        };
        let outcome = replayer.letter(&letters, sequence).await?;
        tally.note(place, &outcome, to)?;
    }
    tally.end()
}

async fn replay(
    bus: &Bus,
    stream: Stream,
    sequences: RangeInclusive<u64>,
    ticket: Option<Ticket>,
    to: &mut Terminal<'_>,
) -> Result<(), OperateError> {
    let history = History::of(bus, stream).await?;
    // Before anything is published: a range that is partly gone is not what was meant.
    let extent = history.extent().await?;
    for sequence in [*sequences.start(), *sequences.end()] {
        if !extent.holds(sequence) {
            return Err(OperateError::Absent(Place { stream, sequence }, extent));
        }
    }
    let replayer = Replayer::new(bus, ticket);
    let mut tally = Tally::default();
    for sequence in sequences {
        let outcome = replayer.past(&history, sequence).await?;
        tally.note(Place { stream, sequence }, &outcome, to)?;
    }
    tally.end()
}

fn nothing_of(consumer: Option<&str>) -> String {
    match consumer {
        Some(consumer) => format!("DEAD holds nothing of a consumer named {consumer}"),
        None => "DEAD is empty".to_owned(),
    }
}

/// Counts what became of the replays asked for. One that is refused holds up no other.
#[derive(Default)]
struct Tally {
    refused: usize,
    all: usize,
}

impl Tally {
    fn note(&mut self, of: Place, outcome: &Outcome, to: &mut Terminal<'_>) -> io::Result<()> {
        self.all += 1;
        if outcome.is_refusal() {
            self.refused += 1;
            writeln!(to.remarks, "{of}: {outcome}")
        } else {
            writeln!(to.out, "{of}: {outcome}")
        }
    }

    const fn end(self) -> Result<(), OperateError> {
        match self.refused {
            0 => Ok(()),
            refused => Err(OperateError::Refused {
                refused,
                all: self.all,
            }),
        }
    }
}
