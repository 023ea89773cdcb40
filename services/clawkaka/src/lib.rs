//! The operator's command `clawkaka`: creates the streams and the schema, decides who may come in, suspends and
//! resumes users, starts and removes their sandboxes, shows what an operator must know and the events that no service could
//! handle, and replays events.
//!
//! Parses arguments, calls `claw-bus` and `claw-store`, and prints what they return. Knows no subject, no
//! SQL and no event's meaning. Results go to stdout, as text or as JSON lines; remarks go to stderr.

mod arguments;
mod bus;
mod database;
mod dead;
mod events;
mod help;
mod installation;
mod invite;
mod metrics;
mod output;
mod person;
mod replay;
mod sandbox;
mod suspension;

use anyhow::Result;
use claw_runtime::Env;

pub use arguments::Arguments;
use arguments::{BusCommand, Command, DatabaseCommand, DeadCommand};

/// Runs one command. Reads `NATS_URL` and `DATABASE_URL` from `env`, whichever the command needs.
pub async fn run(arguments: Arguments, env: &Env) -> Result<()> {
    match arguments.command {
        Command::Bus(BusCommand::Ensure { output }) => bus::ensure(env, output.format()).await,
        Command::Db(DatabaseCommand::Migrate) => database::migrate(env).await,
        Command::Dead(DeadCommand::List(list)) => dead::list(env, list).await,
        Command::Dead(DeadCommand::Show(show)) => dead::show(env, show).await,
        Command::Dead(DeadCommand::Replay(letters)) => replay::letters(env, letters).await,
        Command::Events(list) => events::list(env, list).await,
        Command::Person(command) => person::run(env, command).await,
        Command::Sandbox(command) => sandbox::run(env, command).await,
        Command::Invite(command) => invite::run(env, command).await,
        Command::Suspend(all) => suspension::suspend_all(env, all).await,
        Command::Resume(all) => suspension::resume_all(env, all).await,
        Command::Replay(events) => replay::events(env, events).await,
        Command::Metrics { output } => metrics::list(output.format()),
        Command::Completions { shell } => arguments::print_completions(shell),
    }
}
