//! The command line of `clawkaka`.

use std::{ffi::OsString, io, ops::RangeInclusive};

use anyhow::Context;
use clap::{
    ArgGroup, Args, CommandFactory, Parser, Subcommand, builder::PossibleValuesParser,
    error::ErrorKind, value_parser,
};
use clap_complete::{Shell, generate};
use claw_bus::ReplayTicket;
use claw_events::{OperatorEvent, Stream};

use crate::{
    help,
    invite::InviteCommand,
    output::Format,
    person::PersonCommand,
    sandbox::SandboxCommand,
    suspension::{ResumeAll, SuspendAll},
};

/// Most events of one `replay`: a typing mistake in a sequence must not repeat a month.
const RANGE_LIMIT: u64 = 10_000;

/// The program's name in usage texts and completions.
const PROGRAM: &str = "clawkaka";

/// The operator's command of Clawkaka: creates the streams and the schema, decides who may come in, suspends and
/// resumes users, starts and removes their sandboxes, shows what an operator must know and the events that no service could handle, and replays events.
#[derive(Debug, Parser)]
#[command(name = PROGRAM, version, after_help = help::SETTINGS)]
pub struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create or update the streams and buckets on the bus
    #[command(subcommand)]
    Bus(BusCommand),
    /// Create or update the schema of the database
    #[command(subcommand)]
    Db(DatabaseCommand),
    /// List, show and replay the events that no service could handle
    #[command(subcommand)]
    Dead(DeadCommand),
    /// List the events that an operator must know, and follow them
    #[command(after_long_help = help::EVENTS)]
    Events(ListEvents),
    /// Block, allow, suspend and resume users
    #[command(subcommand)]
    Person(PersonCommand),
    /// List, show, restart, wake and remove sandboxes, and let them sleep
    #[command(subcommand)]
    Sandbox(SandboxCommand),
    /// Make, list and revoke codes with which newcomers come in
    #[command(subcommand)]
    Invite(InviteCommand),
    /// Emergency stop: suspend everybody
    #[command(after_long_help = help::SUSPEND_ALL)]
    Suspend(SuspendAll),
    /// End the suspension of everybody
    #[command(after_long_help = help::SUSPEND_ALL)]
    Resume(ResumeAll),
    /// Replay past events of a stream
    #[command(after_long_help = help::with_replay(help::REPLAY_EVENTS))]
    Replay(ReplayEvents),
    /// List the metrics that the services export at /metrics
    #[command(after_long_help = help::METRICS)]
    Metrics {
        #[command(flatten)]
        output: OutputOptions,
    },
    /// Print a completion script for a shell
    #[command(after_long_help = help::COMPLETIONS)]
    Completions {
        /// The shell that will read the script
        shell: Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BusCommand {
    /// Create the streams and buckets, or update them to what this version needs
    #[command(after_long_help = help::ENSURE)]
    Ensure {
        #[command(flatten)]
        output: OutputOptions,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DatabaseCommand {
    /// Apply the migrations that the database lacks
    #[command(after_long_help = help::MIGRATE)]
    Migrate,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeadCommand {
    /// List the newest dead letters, without their payloads
    #[command(after_long_help = help::LIST)]
    List(ListLetters),
    /// Show the headers of one dead letter
    #[command(after_long_help = help::SHOW)]
    Show(ShowLetter),
    /// Replay the events of dead letters
    #[command(after_long_help = help::with_replay(help::REPLAY_LETTERS))]
    Replay(ReplayLetters),
}

#[derive(Debug, Args)]
pub(crate) struct OutputOptions {
    /// Print JSON, one object per line
    #[arg(long)]
    json: bool,
}

impl OutputOptions {
    pub(crate) const fn format(&self) -> Format {
        if self.json {
            Format::Json
        } else {
            Format::Text
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ListLetters {
    /// Only what this consumer gave up, e.g. gateway-turns
    #[arg(long, value_name = "NAME", value_parser = consumer)]
    pub(crate) consumer: Option<String>,
    /// How many of the newest
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

#[derive(Debug, Args)]
pub(crate) struct ListEvents {
    /// Only events of this kind, e.g. `sandbox_failed`
    #[arg(long, value_name = "KIND", value_parser = PossibleValuesParser::new(OperatorEvent::KINDS))]
    pub(crate) kind: Option<String>,
    /// How many of the newest
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: usize,
    /// Go on with each event as it is told, until interrupted
    #[arg(long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

#[derive(Debug, Args)]
pub(crate) struct ShowLetter {
    /// Its sequence in DEAD
    #[arg(value_name = "SEQ", value_parser = value_parser!(u64).range(1..))]
    pub(crate) sequence: u64,
    /// Print the payload, too: personal data
    #[arg(long)]
    pub(crate) payload: bool,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("letters").args(["sequences", "all"]).required(true))]
pub(crate) struct ReplayLetters {
    /// Sequences in DEAD
    #[arg(value_name = "SEQ", value_parser = value_parser!(u64).range(1..))]
    pub(crate) sequences: Vec<u64>,
    /// Replay all dead letters
    #[arg(long)]
    pub(crate) all: bool,
    /// With --all: only what this consumer gave up
    #[arg(long, value_name = "NAME", value_parser = consumer, conflicts_with = "sequences")]
    pub(crate) consumer: Option<String>,
    #[command(flatten)]
    pub(crate) options: ReplayOptions,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayEvents {
    /// INBOUND, STATUS, OUTBOUND, RECEIPTS or SANDBOX
    #[arg(value_name = "STREAM", value_parser = stream)]
    pub(crate) stream: Stream,
    /// The sequence of the first event in the stream
    #[arg(value_name = "FROM", value_parser = value_parser!(u64).range(1..))]
    from: u64,
    /// The sequence of the last event; FROM if not given
    #[arg(long, value_name = "SEQ", value_parser = value_parser!(u64).range(1..))]
    to: Option<u64>,
    #[command(flatten)]
    pub(crate) options: ReplayOptions,
}

#[derive(Debug, Args)]
pub(crate) struct ReplayOptions {
    /// Names this replay: each event is replayed once for a ticket
    #[arg(long, value_name = "T")]
    pub(crate) ticket: Option<ReplayTicket>,
    #[command(flatten)]
    pub(crate) output: OutputOptions,
}

impl Arguments {
    /// Reads the arguments of a process, its name first. Without any, the error is the help.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut arguments: Vec<_> = arguments.into_iter().collect();
        if arguments.len() <= 1 {
            arguments = vec![PROGRAM.into(), "--help".into()];
        }
        let arguments = Self::try_parse_from(arguments)?;
        if let Command::Replay(events) = &arguments.command {
            events.check_range()?;
        }
        Ok(arguments)
    }
}

impl ReplayEvents {
    pub(crate) fn sequences(&self) -> RangeInclusive<u64> {
        self.from..=self.to.unwrap_or(self.from)
    }

    fn check_range(&self) -> Result<(), clap::Error> {
        let (first, last) = self.sequences().into_inner();
        if last < first || last - first >= RANGE_LIMIT {
            let problem =
                format!("{first} to {last} is not a range of 1 to {RANGE_LIMIT} events\n");
            return Err(clap::Error::raw(ErrorKind::ValueValidation, problem));
        }
        Ok(())
    }
}

pub(crate) fn print_completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    generate(shell, &mut Arguments::command(), PROGRAM, &mut script);
    io::Write::write_all(&mut io::stdout(), &script).context("writing the output")
}

fn stream(name: &str) -> Result<Stream, &'static str> {
    match name.parse() {
        Ok(Stream::Dead) => Err("events in DEAD are replayed with `clawkaka dead replay`"),
        Ok(Stream::Operator) => Err("no service handles the events in OPERATOR"),
        Ok(stream) => Ok(stream),
        Err(_) => Err("the streams are INBOUND, STATUS, OUTBOUND, RECEIPTS and SANDBOX"),
    }
}

/// A consumer's name becomes one token of a subject.
fn consumer(name: &str) -> Result<String, &'static str> {
    let is_token = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    is_token
        .then(|| name.to_owned())
        .ok_or("a consumer's name has lower case letters, digits and `-` only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_mistyped_argument_is_refused_and_named() {
        for (line, word) in [
            ("dead replay", "--all"),
            ("dead replay 1 --all", "cannot be used with"),
            ("dead replay 1 --consumer x", "--consumer"),
            ("dead list --payload", "--payload"),
            ("dead list --consumer in.*", "consumer's name"),
            ("dead list --limits 3", "--limits"),
            ("dead show zero", "'zero'"),
            ("replay DEAD 1", "dead replay"),
            ("replay OPERATOR 1", "no service"),
            ("events --kind flood", "sandbox_flooded"),
            ("replay inbound 1", "INBOUND"),
            ("replay INBOUND 0", "1.."),
            ("replay INBOUND 9 --to 7", "not a range"),
            ("replay INBOUND 1 --to 10001", "10000"),
            ("replay INBOUND 1 --ticket a:b", "a ticket has"),
            ("db migrate --json", "--json"),
            ("person block Ada", "country code"),
            ("person list +15551234567", "+15551234567"),
            ("invite create --uses 0", "1.."),
            ("invite create --expires soon", "7d"),
            ("invite revoke 17", "inv_"),
            ("person suspend Ada --reason x", "country code"),
            ("person suspend +15551234567", "--reason"),
            ("suspend --reason x", "--all"),
            ("suspend --all", "--reason"),
            ("resume", "--all"),
            ("sandbox remove +15551234567", "--forget"),
            ("sandbox policy +15551234567 never", "always-on"),
            ("sandbox list --status dead", "asleep"),
        ] {
            let refusal = read(line).unwrap_err();
            assert_eq!(refusal.exit_code(), 2, "{line}");
            assert!(refusal.to_string().contains(word), "{line}: {refusal}");
        }
    }

    #[test]
    fn every_example_in_the_help_is_a_command() {
        let mut count = 0;
        for help in [
            help::ENSURE,
            help::MIGRATE,
            help::LIST,
            help::SHOW,
            help::REPLAY_LETTERS,
            help::REPLAY_EVENTS,
            help::EVENTS,
            help::PERSON,
            help::SANDBOX,
            help::INVITE,
            help::SUSPEND,
            help::SUSPEND_ALL,
            help::METRICS,
            help::COMPLETIONS,
        ] {
            for line in help.lines().filter_map(|line| line.strip_prefix("  ")) {
                let (_, words) = line.split_once("clawkaka ").unwrap();
                let end = words.find([')', '|', '>']).unwrap_or(words.len());
                read(&words[..end]).unwrap_or_else(|error| panic!("{line}: {error}"));
                count += 1;
            }
        }
        assert!(count >= 10, "only {count} examples");
    }

    #[test]
    fn a_process_without_arguments_gets_the_help() {
        for line in ["", "help", "--help", "dead list -h"] {
            let help = read(line).unwrap_err();
            assert_eq!(help.kind(), ErrorKind::DisplayHelp, "{line}");
            assert_eq!(help.exit_code(), 0, "{line}");
        }
    }

    fn read(line: &str) -> Result<Arguments, clap::Error> {
        let words = [PROGRAM].into_iter().chain(line.split_whitespace());
        Arguments::read(words.map(OsString::from))
    }
}
