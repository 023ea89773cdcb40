use std::{ffi::OsString, ops::RangeInclusive, str::FromStr};

use claw_events::Stream;
use lexopt::{
    Arg::{Long, Short, Value},
    Parser, ValueExt,
};

use super::Ticket;

/// How many letters `dead list` shows unless told.
const DEFAULT_LIMIT: usize = 50;

/// Most events of one `replay`: a slip in a sequence must not say a month again.
const RANGE_LIMIT: u64 = 10_000;

/// What the command can do.
pub const USAGE: &str = "\
Makes the streams, shows what could not be handled, and replays events.

usage: claw-bus ensure
       claw-bus dead list [--consumer NAME] [--limit N]
       claw-bus dead show SEQ [--payload]
       claw-bus dead replay SEQ... [--ticket T]
       claw-bus dead replay --all [--consumer NAME] [--ticket T]
       claw-bus replay STREAM SEQ [--to SEQ] [--ticket T]

NATS_URL, or the file NATS_URL_FILE, names the server and the user `admin`.

ensure        creates the streams and buckets, or brings them to what this version needs
dead list     the N (50) newest events in DEAD, oldest first, one a line, without their payloads
dead show     all headers of one; its payload only with --payload, for it holds personal data
dead replay   publishes events in DEAD again; SEQ is the sequence in DEAD
replay        publishes past events of INBOUND, OUTBOUND, RECEIPTS or SANDBOX again, at most 10000

A replay is a new event at the end of its stream: the same subject and payload, an id of its own, and a
header `Claw-Replay-Of: STREAM:SEQ` that names the old one. Whoever consumes its subject gets it, not
only the consumer that gave up. It is handled after what the person has sent since.

The same event is replayed once for a ticket, as long as its stream keeps the replay (30 days). Without
--ticket a letter in DEAD counts as one ticket, and so does a past event: giving a command again changes
nothing, and replaying a second time takes a new ticket.

Consumers know an event also by the id inside it, for ever, in the database. What they have settled is
not done again: a message that was answered is not put to the assistant again, nor is anything said to it.
One that was given up is, though its sender was told that no answer would come.
";

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Make the streams and buckets, or bring them up to date.
    Ensure,
    /// List events in `DEAD`.
    List {
        /// Only those this consumer gave up.
        consumer: Option<String>,
        /// How many of the newest.
        limit: usize,
    },
    /// Show one event in `DEAD`.
    Show {
        /// Its sequence in `DEAD`.
        letter: u64,
        /// Whether its payload, too.
        payload: Payload,
    },
    /// Replay events in `DEAD`.
    ReplayDead {
        /// Which ones.
        chosen: Chosen,
        /// For which ticket, if it has a name.
        ticket: Option<Ticket>,
    },
    /// Replay past events of a stream.
    Replay {
        /// Any but `DEAD`.
        stream: Stream,
        /// Their sequences.
        sequences: RangeInclusive<u64>,
        /// For which ticket, if it has a name.
        ticket: Option<Ticket>,
    },
}

/// Whether to show what holds personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payload {
    /// No.
    Hidden,
    /// Yes.
    Shown,
}

/// Which events in `DEAD`.
#[derive(Debug, PartialEq, Eq)]
pub enum Chosen {
    /// Those at these sequences.
    These(Vec<u64>),
    /// All of them.
    All {
        /// Only those this consumer gave up.
        consumer: Option<String>,
    },
}

/// Why the arguments are no command.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// They asked for help.
    #[error("{USAGE}")]
    Help,
    /// An option nobody knows, or one without its value.
    #[error(transparent)]
    Arguments(#[from] lexopt::Error),
    /// Anything else.
    #[error("{0}")]
    Wrong(String),
}

impl Command {
    /// Reads the arguments that follow the program's name.
    pub fn parse(
        arguments: impl IntoIterator<Item = OsString, IntoIter: 'static>,
    ) -> Result<Self, UsageError> {
        let mut given = Given::read(Parser::from_args(arguments))?;
        let words = std::mem::take(&mut given.words);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let command = match words.as_slice() {
            [] | ["help"] => return Err(UsageError::Help),
            ["ensure"] => Self::Ensure,
            ["dead", "list"] => given.list(),
            ["dead", "show", letter] => given.show(letter)?,
            ["dead", "replay", letters @ ..] => given.replay_dead(letters)?,
            ["replay", stream, sequence] => given.replay(stream, sequence)?,
            _ => {
                return Err(UsageError::Wrong(format!(
                    "`{}` is no command, or lacks something",
                    words.join(" ")
                )));
            }
        };
        given.nothing_left()?;
        Ok(command)
    }
}

/// Words and options as given; a command takes the options it knows.
#[derive(Default)]
struct Given {
    words: Vec<String>,
    consumer: Option<String>,
    limit: Option<usize>,
    ticket: Option<Ticket>,
    to: Option<u64>,
    payload: Option<()>,
    all: Option<()>,
}

impl Given {
    fn read(mut parser: Parser) -> Result<Self, UsageError> {
        let mut given = Self::default();
        while let Some(argument) = parser.next()? {
            match argument {
                Value(word) => given.words.push(word.string()?),
                Short('h') | Long("help") => return Err(UsageError::Help),
                Long("consumer") => given.consumer = Some(consumer(parser.value()?.string()?)?),
                Long("limit") => given.limit = Some(parser.value()?.parse()?),
                Long("ticket") => given.ticket = Some(parser.value()?.parse()?),
                Long("to") => given.to = Some(parser.value()?.parse()?),
                Long("payload") => given.payload = Some(()),
                Long("all") => given.all = Some(()),
                Short(_) | Long(_) => return Err(argument.unexpected().into()),
            }
        }
        Ok(given)
    }

    fn list(&mut self) -> Command {
        Command::List {
            consumer: self.consumer.take(),
            limit: self.limit.take().unwrap_or(DEFAULT_LIMIT),
        }
    }

    fn show(&mut self, letter: &str) -> Result<Command, UsageError> {
        Ok(Command::Show {
            letter: sequence(letter)?,
            payload: match self.payload.take() {
                Some(()) => Payload::Shown,
                None => Payload::Hidden,
            },
        })
    }

    fn replay_dead(&mut self, letters: &[&str]) -> Result<Command, UsageError> {
        let chosen = match (self.all.take(), letters) {
            (Some(()), []) => Chosen::All {
                consumer: self.consumer.take(),
            },
            (None, [_, ..]) => {
                let sequences: Result<_, _> = letters.iter().map(|word| sequence(word)).collect();
                Chosen::These(sequences?)
            }
            (Some(()), [_, ..]) | (None, []) => {
                return Err(UsageError::Wrong(
                    "`dead replay` takes either sequences in DEAD or --all".to_owned(),
                ));
            }
        };
        Ok(Command::ReplayDead {
            chosen,
            ticket: self.ticket.take(),
        })
    }

    fn replay(&mut self, stream: &str, first: &str) -> Result<Command, UsageError> {
        let stream = match Stream::named(stream) {
            Some(Stream::Dead) => {
                return Err(UsageError::Wrong(
                    "events in DEAD are replayed with `dead replay`".to_owned(),
                ));
            }
            Some(stream) => stream,
            None => {
                return Err(UsageError::Wrong(format!(
                    "`{stream}` is none of the streams INBOUND, OUTBOUND, RECEIPTS and SANDBOX"
                )));
            }
        };
        let first = sequence(first)?;
        let last = self.to.take().unwrap_or(first);
        if last < first || last - first >= RANGE_LIMIT {
            return Err(UsageError::Wrong(format!(
                "{first} to {last} is no range of at most {RANGE_LIMIT} events"
            )));
        }
        Ok(Command::Replay {
            stream,
            sequences: first..=last,
            ticket: self.ticket.take(),
        })
    }

    /// An option that means nothing here would be taken for one that is obeyed.
    fn nothing_left(self) -> Result<(), UsageError> {
        let left = [
            ("--consumer", self.consumer.is_some()),
            ("--limit", self.limit.is_some()),
            ("--ticket", self.ticket.is_some()),
            ("--to", self.to.is_some()),
            ("--payload", self.payload.is_some()),
            ("--all", self.all.is_some()),
        ];
        match left.into_iter().find(|(_, is_left)| *is_left) {
            Some((option, _)) => Err(UsageError::Wrong(format!(
                "{option} does not belong to this command"
            ))),
            None => Ok(()),
        }
    }
}

fn sequence(word: &str) -> Result<u64, UsageError> {
    match u64::from_str(word) {
        Ok(sequence @ 1..) => Ok(sequence),
        Ok(0) | Err(_) => Err(UsageError::Wrong(format!(
            "`{word}` is no sequence: they count from 1"
        ))),
    }
}

/// It becomes one token of a subject.
fn consumer(name: String) -> Result<String, UsageError> {
    let is_token = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if is_token {
        Ok(name)
    } else {
        Err(UsageError::Wrong(format!(
            "`{name}` is no consumer's name: it has lower case letters, digits and `-`"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_the_usage_is_a_command() {
        assert_eq!(parse("ensure").unwrap(), Command::Ensure);
        assert_eq!(
            parse("dead list --consumer gateway-messages --limit=3").unwrap(),
            Command::List {
                consumer: Some("gateway-messages".to_owned()),
                limit: 3
            }
        );
        assert_eq!(
            parse("dead show 7 --payload").unwrap(),
            Command::Show {
                letter: 7,
                payload: Payload::Shown
            }
        );
        assert_eq!(
            parse("dead replay 7 8 --ticket OPS-1").unwrap(),
            Command::ReplayDead {
                chosen: Chosen::These(vec![7, 8]),
                ticket: Some("OPS-1".parse().unwrap())
            }
        );
        assert_eq!(
            parse("dead replay --all").unwrap(),
            Command::ReplayDead {
                chosen: Chosen::All { consumer: None },
                ticket: None
            }
        );
        assert_eq!(
            parse("replay INBOUND 7 --to 9").unwrap(),
            Command::Replay {
                stream: Stream::Inbound,
                sequences: 7..=9,
                ticket: None
            }
        );
    }

    #[test]
    fn what_could_be_a_slip_is_refused_and_named() {
        for (line, word) in [
            ("dead replay", "--all"),
            ("dead replay 1 --all", "either"),
            ("dead replay 1 --consumer x", "--consumer"),
            ("dead list --payload", "--payload"),
            ("dead list --consumer in.*", "consumer's name"),
            ("dead list --limits 3", "--limits"),
            ("dead show zero", "`zero`"),
            ("dead", "`dead`"),
            ("replay DEAD 1", "dead replay"),
            ("replay inbound 1", "INBOUND"),
            ("replay INBOUND 0", "count from 1"),
            ("replay INBOUND 9 --to 7", "no range"),
            ("replay INBOUND 1 --to 10001", "10000"),
        ] {
            let refusal = parse(line).unwrap_err().to_string();
            assert!(refusal.contains(word), "{line}: {refusal}");
        }
    }

    #[test]
    fn who_asks_for_nothing_or_for_help_is_told_all() {
        for line in ["", "help", "--help", "dead list -h"] {
            assert!(matches!(parse(line), Err(UsageError::Help)), "{line}");
        }
    }

    fn parse(line: &str) -> Result<Command, UsageError> {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        Command::parse(words)
    }
}
