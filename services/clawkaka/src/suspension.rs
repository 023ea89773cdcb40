//! The emergency stop: suspends everybody, or ends that. The suspension of one user is in `person`.

use std::{fmt, str::FromStr};

use anyhow::{Context, Result};
use clap::Args;
use claw_domain::UserId;
use claw_events::SuspensionChanged;
use claw_runtime::{Clock, Env, SystemClock};
use claw_store::SuspensionChange;
use serde::Serialize;

use crate::{arguments::OutputOptions, bus, database};

/// Longest reason, in characters: it is a line in a log.
const REASON_LIMIT_CHARS: usize = 500;

/// An operator's reason.
#[derive(Debug, Clone)]
pub(crate) struct Reason(String);

impl Reason {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Reason {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let has_length = (1..=REASON_LIMIT_CHARS).contains(&text.chars().count());
        if !has_length || text.chars().any(char::is_control) {
            return Err("a reason is one line of at most 500 characters");
        }
        Ok(Self(text.to_owned()))
    }
}

#[derive(Debug, Args)]
pub(crate) struct SuspendAll {
    /// Suspend everybody, including users to come
    #[arg(long, required = true)]
    all: bool,
    /// Why; goes to the database and to the services' logs
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
    #[command(flatten)]
    output: OutputOptions,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeAll {
    /// Resume everybody who is not suspended alone
    #[arg(long, required = true)]
    all: bool,
    /// Why; goes to the services' logs
    #[arg(long, value_name = "TEXT")]
    reason: Option<Reason>,
    #[command(flatten)]
    output: OutputOptions,
}

pub(crate) async fn suspend_all(env: &Env, command: SuspendAll) -> Result<()> {
    let suspensions = database::connect(env).await?.suspensions();
    let reason = command.reason.as_str();
    let change = suspensions.suspend_all(reason, SystemClock.now()).await?;
    let line = SuspensionLine::suspended(None, change);
    command.output.format().print(&line)?;
    tell_services(env, None, None).await
}

pub(crate) async fn resume_all(env: &Env, command: ResumeAll) -> Result<()> {
    let suspensions = database::connect(env).await?.suspensions();
    let change = suspensions.resume_all().await?;
    let line = SuspensionLine::resumed(None, change);
    command.output.format().print(&line)?;
    tell_services(env, None, command.reason).await
}

/// Tells the running services to read the database. Those that are not running read it when they start.
pub(crate) async fn tell_services(
    env: &Env,
    user: Option<UserId>,
    resumed_because: Option<Reason>,
) -> Result<()> {
    let bus = bus::connect(env).await.context(
        "this is stored, and holds for every reply, but the services could not be told: they read it within a \
         minute. Repeat the command when NATS is up",
    )?;
    let changed = SuspensionChanged {
        user,
        resumed_because: resumed_because.map(|reason| reason.0),
    };
    bus.publisher().signal(&changed).await;
    bus.flush().await;
    Ok(())
}

/// What a command has changed.
#[derive(Serialize)]
pub(crate) struct SuspensionLine {
    /// `null` for everybody.
    user: Option<UserId>,
    outcome: Outcome,
    /// The number of known users whom it concerns.
    users: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Suspended,
    ReasonChanged,
    Resumed,
    NotSuspended,
}

impl SuspensionLine {
    pub(crate) const fn suspended(user: Option<UserId>, change: SuspensionChange) -> Self {
        let outcome = if change.was_suspended {
            Outcome::ReasonChanged
        } else {
            Outcome::Suspended
        };
        Self {
            user,
            outcome,
            users: change.users,
        }
    }

    pub(crate) const fn resumed(user: Option<UserId>, change: SuspensionChange) -> Self {
        let outcome = if change.was_suspended {
            Outcome::Resumed
        } else {
            Outcome::NotSuspended
        };
        Self {
            user,
            outcome,
            users: change.users,
        }
    }
}

impl fmt::Display for SuspensionLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.user {
            Some(user) => write!(f, "{user}")?,
            None => f.write_str("everybody")?,
        }
        f.write_str(match self.outcome {
            Outcome::Suspended => " is suspended",
            Outcome::ReasonChanged => " was suspended already, and has another reason now",
            Outcome::Resumed => " is no longer suspended",
            Outcome::NotSuspended => " was not suspended",
        })?;
        let is_change = matches!(self.outcome, Outcome::Suspended | Outcome::Resumed);
        match self.user {
            None if is_change => write!(f, " ({} users)", self.users),
            None | Some(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_one_short_line() {
        assert_eq!(" abuse ".parse::<Reason>().unwrap().as_str(), "abuse");
        for text in ["", "  ", "a\nb", &"x".repeat(501)] {
            assert!(text.parse::<Reason>().is_err(), "{text}");
        }
    }
}
