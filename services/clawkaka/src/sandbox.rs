//! The commands about sandboxes. What they order is an event that the services carry out, and the row shows how far they are.

use std::fmt;

use anyhow::{Context, Result};
use clap::{Args, Subcommand, builder::PossibleValuesParser};
use claw_domain::{SandboxStatus, SleepPolicy, UserId};
use claw_events::{SandboxOrder, SandboxOrdered};
use claw_runtime::{Clock, Env, SystemClock};
use claw_store::{Sandbox, SandboxFilter};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    arguments::OutputOptions,
    bus, database, help,
    output::{Format, remark, rfc3339},
    person::Person,
};

#[derive(Debug, Subcommand)]
pub(crate) enum SandboxCommand {
    /// List sandboxes, least recently changed first
    #[command(after_long_help = help::SANDBOX)]
    List(ListSandboxes),
    /// Show a user's sandbox
    #[command(after_long_help = help::SANDBOX)]
    Show(ShowSandbox),
    /// Restart a user's sandbox, keeping its memory; also starts one that has failed
    #[command(after_long_help = help::SANDBOX)]
    Restart(Person),
    /// Put a user's sandbox to sleep as soon as nobody needs it
    #[command(after_long_help = help::SANDBOX)]
    Sleep(Person),
    /// Start a user's sandbox if it is asleep or has failed
    #[command(after_long_help = help::SANDBOX)]
    Wake(Person),
    /// Remove a user's sandbox and everything that the assistant remembers
    #[command(after_long_help = help::SANDBOX)]
    Remove(RemoveSandbox),
    /// Set whether a user's sandbox may sleep
    #[command(after_long_help = help::SANDBOX)]
    Policy(SetPolicy),
}

#[derive(Debug, Args)]
pub(crate) struct ListSandboxes {
    /// Only sandboxes in this state
    #[arg(long, value_name = "STATE", value_parser = PossibleValuesParser::new(SandboxStatus::ALL.iter().map(|status| status.as_str())))]
    status: Option<String>,
    /// Maximum number of sandboxes to list
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: u64,
    #[command(flatten)]
    output: OutputOptions,
}

#[derive(Debug, Args)]
pub(crate) struct ShowSandbox {
    #[command(flatten)]
    person: Person,
    #[command(flatten)]
    output: OutputOptions,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveSandbox {
    #[command(flatten)]
    person: Person,
    /// Confirm that the assistant's memory is deleted for good
    #[arg(long, required = true)]
    forget: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SetPolicy {
    #[command(flatten)]
    person: Person,
    /// always-on, sleep, or off (sleeps, and wakes for messages and calls but not for jobs and heartbeats)
    #[arg(value_name = "POLICY", value_parser = policy)]
    policy: SleepPolicy,
}

pub(crate) async fn run(env: &Env, command: SandboxCommand) -> Result<()> {
    match command {
        SandboxCommand::List(command) => list(env, command).await,
        SandboxCommand::Show(command) => show(env, &command).await,
        SandboxCommand::Restart(person) => order(env, &person, SandboxOrder::Restart).await,
        SandboxCommand::Sleep(person) => order(env, &person, SandboxOrder::Sleep).await,
        SandboxCommand::Wake(person) => order(env, &person, SandboxOrder::Wake).await,
        SandboxCommand::Remove(command) => order(env, &command.person, SandboxOrder::Remove).await,
        SandboxCommand::Policy(command) => set_policy(env, &command).await,
    }
}

async fn list(env: &Env, command: ListSandboxes) -> Result<()> {
    let format = command.output.format();
    let sandboxes = database::connect(env).await?.sandboxes();
    let filter = SandboxFilter {
        // The parser lets no other names through.
        status: command.status.and_then(|name| name.parse().ok()),
        limit: command.limit,
    };
    let listed = sandboxes.list(filter).await?;
    for sandbox in &listed.sandboxes {
        format.print(&SandboxLine::from(sandbox))?;
    }
    let left_out = listed.total - listed.sandboxes.len() as u64;
    if left_out > 0 {
        remark(format_args!(
            "{left_out} more not shown; use --limit to list more"
        ))?;
    }
    if listed.total == 0 {
        remark("no sandboxes found")?;
    }
    Ok(())
}

async fn show(env: &Env, command: &ShowSandbox) -> Result<()> {
    let sandbox = sandbox_of(env, command.person.user(env).await?).await?;
    let line = SandboxLine::from(&sandbox);
    match command.output.format() {
        Format::Json => Format::Json.print(&line),
        Format::Text => Format::Text.print(&Details(line)),
    }
}

async fn order(env: &Env, person: &Person, order: SandboxOrder) -> Result<()> {
    let user = person.user(env).await?;
    let sandbox = sandbox_of(env, user).await?;
    let ordered = SandboxOrdered {
        user,
        order,
        start: sandbox.start,
        id: Uuid::new_v4(),
    };
    let bus = bus::connect(env).await?;
    bus.publisher().publish(&ordered).await?;
    let what = match order {
        SandboxOrder::Restart => "will be restarted",
        SandboxOrder::Sleep => "will be put to sleep as soon as nobody needs it",
        SandboxOrder::Wake => "will be started if it is asleep or has failed",
        SandboxOrder::Remove => "will be removed",
    };
    remark(format_args!(
        "{} {what}; to check its status, run `clawkaka sandbox show {user}`",
        sandbox.id
    ))
}

async fn set_policy(env: &Env, command: &SetPolicy) -> Result<()> {
    let user = command.person.user(env).await?;
    let sandboxes = database::connect(env).await?.sandboxes();
    if !sandboxes
        .set_policy(user, command.policy, SystemClock.now())
        .await?
    {
        return Err(no_sandbox(user));
    }
    remark(format_args!(
        "set the sleep policy of {user} to {}",
        name_of(command.policy)
    ))
}

async fn sandbox_of(env: &Env, user: UserId) -> Result<Sandbox> {
    let sandboxes = database::connect(env).await?.sandboxes();
    let sandbox = sandboxes
        .of_user(user)
        .await
        .context("reading the sandbox")?;
    sandbox.ok_or_else(|| no_sandbox(user))
}

fn no_sandbox(user: UserId) -> anyhow::Error {
    anyhow::anyhow!("{user} has no sandbox")
}

fn policy(name: &str) -> Result<SleepPolicy, &'static str> {
    let policies = SleepPolicy::ALL.iter();
    let found = policies.copied().find(|policy| name_of(*policy) == name);
    found.ok_or("expected always-on, sleep or off")
}

fn name_of(policy: SleepPolicy) -> String {
    policy.as_str().replace('_', "-")
}

/// The properties of a sandbox that are printed.
#[derive(Serialize)]
struct SandboxLine {
    user: UserId,
    sandbox: String,
    status: &'static str,
    /// The reason of the failure, in the state `failed` only.
    failure: Option<&'static str>,
    policy: String,
    start: u32,
    failures: u32,
    port: Option<u16>,
    engine: Option<String>,
    model: String,
    /// When it wakes without a message.
    wakes_at: Option<String>,
    wakes_for: Option<&'static str>,
    /// When it is started again after a failure.
    retried_at: Option<String>,
    changed_at: String,
}

impl From<&Sandbox> for SandboxLine {
    fn from(sandbox: &Sandbox) -> Self {
        Self {
            user: sandbox.user,
            sandbox: sandbox.id.to_string(),
            status: sandbox.status.as_str(),
            failure: sandbox.failure.map(claw_domain::FailureReason::as_str),
            policy: name_of(sandbox.policy),
            start: sandbox.start,
            failures: sandbox.failures,
            port: sandbox.port,
            engine: sandbox.engine.clone(),
            model: sandbox.model.clone(),
            wakes_at: sandbox.wake_at.map(rfc3339),
            wakes_for: sandbox.wake_for.map(claw_domain::WakeReason::as_str),
            retried_at: sandbox.retry_at.map(rfc3339),
            changed_at: rfc3339(sandbox.updated_at),
        }
    }
}

impl fmt::Display for SandboxLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}  {:<9}  {:<9}  start {:<4}  {}",
            self.user, self.status, self.policy, self.start, self.changed_at
        )?;
        if let Some(failure) = self.failure {
            write!(f, "  {failure}")?;
        }
        if let Some(at) = &self.wakes_at {
            write!(f, "  wakes at {at}")?;
        }
        if let Some(at) = &self.retried_at {
            write!(f, "  retries at {at}")?;
        }
        Ok(())
    }
}

/// One sandbox, a property in each line.
#[derive(Serialize)]
struct Details(SandboxLine);

impl fmt::Display for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = &self.0;
        let (start, failures, port) = (
            line.start.to_string(),
            line.failures.to_string(),
            line.port.map(|port| port.to_string()),
        );
        // Kept after a wake, until somebody asks for the sandbox or it sleeps.
        let wake_reason = if line.wakes_at.is_some() {
            "wakes for"
        } else {
            "last woken for"
        };
        let properties = [
            ("user", Some(line.user.to_string())),
            ("sandbox", Some(line.sandbox.clone())),
            ("status", Some(line.status.to_owned())),
            ("failure", line.failure.map(str::to_owned)),
            ("policy", Some(line.policy.clone())),
            ("start", Some(start)),
            ("consecutive failures", Some(failures)),
            ("port", port),
            ("engine", line.engine.clone()),
            ("model", Some(line.model.clone())),
            ("wakes at", line.wakes_at.clone()),
            (wake_reason, line.wakes_for.map(str::to_owned)),
            ("retries at", line.retried_at.clone()),
            ("last changed", Some(line.changed_at.clone())),
        ];
        let lines: Vec<String> = properties
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name:<23} {}", value?)))
            .collect();
        f.write_str(&lines.join("\n"))
    }
}
