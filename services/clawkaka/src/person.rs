//! The commands about one user: who may come in, who may not, and whose assistant rests.

use std::fmt;

use anyhow::{Context, Result, bail};
use chrono::{SecondsFormat, Utc};
use clap::{Args, Subcommand};
use claw_domain::{Address, PhoneNumber, UserId};
use claw_runtime::{Clock, Env, SystemClock};
use claw_store::{AccessList, ListedUser};
use serde::Serialize;

use crate::{
    arguments::OutputOptions,
    database, help,
    installation::user_id_key,
    output::{Format, remark},
    suspension::{Reason, SuspensionLine, tell_services},
};

#[derive(Debug, Subcommand)]
pub(crate) enum PersonCommand {
    /// Let nothing from or to a number pass any more
    #[command(after_long_help = help::PERSON)]
    Block(ListPerson),
    /// Take a number off the block list
    #[command(after_long_help = help::PERSON)]
    Unblock(Person),
    /// Let a number come in, whatever ADMISSION says
    #[command(after_long_help = help::PERSON)]
    Allow(ListPerson),
    /// Take a number off the allow list
    #[command(after_long_help = help::PERSON)]
    Disallow(Person),
    /// List who is blocked or allowed, by user id
    #[command(after_long_help = help::PERSON)]
    List {
        #[command(flatten)]
        output: OutputOptions,
    },
    /// Stop a user's assistant; what they write waits until they are resumed
    #[command(after_long_help = help::SUSPEND)]
    Suspend(SuspendPerson),
    /// End the suspension of a user, and answer what has waited
    #[command(after_long_help = help::SUSPEND)]
    Resume(ResumePerson),
}

/// One user, named on the command line.
#[derive(Debug, Args)]
pub(crate) struct Person {
    /// A phone number such as +15551234567, or a user id from a log
    #[arg(value_name = "NUMBER", value_parser = user_name)]
    name: UserName,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum UserName {
    Id(UserId),
    Number(PhoneNumber),
}

impl Person {
    /// The user's id. That of a number is derived with `USER_ID_KEY`, which must be the key of the database.
    pub(crate) async fn user(&self, env: &Env) -> Result<UserId> {
        match &self.name {
            UserName::Id(user) => Ok(*user),
            UserName::Number(phone) => {
                let key = user_id_key(env)?;
                let url = env.secret("DATABASE_URL")?;
                claw_store::record_user_id_key(&url, &key.check_value()).await?;
                Ok(key.user_of(&Address::Phone(phone.clone())))
            }
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct ListPerson {
    #[command(flatten)]
    person: Person,
    /// Why; shown by `clawkaka person list`
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
}

#[derive(Debug, Args)]
pub(crate) struct SuspendPerson {
    #[command(flatten)]
    person: Person,
    /// Why; goes to the database and to the services' logs
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
    #[command(flatten)]
    output: OutputOptions,
}

#[derive(Debug, Args)]
pub(crate) struct ResumePerson {
    #[command(flatten)]
    person: Person,
    /// Why; goes to the services' logs
    #[arg(long, value_name = "TEXT")]
    reason: Option<Reason>,
    #[command(flatten)]
    output: OutputOptions,
}

pub(crate) async fn run(env: &Env, command: PersonCommand) -> Result<()> {
    match command {
        PersonCommand::Block(listed) => put(env, listed, AccessList::Block).await,
        PersonCommand::Unblock(person) => remove(env, &person, AccessList::Block).await,
        PersonCommand::Allow(listed) => put(env, listed, AccessList::Allow).await,
        PersonCommand::Disallow(person) => remove(env, &person, AccessList::Allow).await,
        PersonCommand::List { output } => list(env, output.format()).await,
        PersonCommand::Suspend(command) => suspend(env, command).await,
        PersonCommand::Resume(command) => resume(env, command).await,
    }
}

fn user_name(text: &str) -> Result<UserName, &'static str> {
    if let Ok(user) = text.parse() {
        return Ok(UserName::Id(user));
    }
    // Numbers are written with blanks and hyphens.
    let number: String = text
        .chars()
        .filter(|c| !matches!(c, ' ' | '-' | '(' | ')'))
        .collect();
    PhoneNumber::try_from(number.as_str())
        .map(UserName::Number)
        .map_err(|_| "expected a number with its country code, +15551234567, or an id, usr_…")
}

async fn put(env: &Env, listed: ListPerson, list: AccessList) -> Result<()> {
    let user = listed.person.user(env).await?;
    let lists = database::connect(env).await?.access_lists();
    lists
        .put(user, list, &listed.note, SystemClock.now())
        .await
        .with_context(|| format!("{user} is not on the {list} list"))?;
    remark(format_args!("{user} is on the {list} list"))?;
    // To be allowed ends a block.
    tell_services(env, Some(user), None).await
}

async fn remove(env: &Env, person: &Person, list: AccessList) -> Result<()> {
    let user = person.user(env).await?;
    let lists = database::connect(env).await?.access_lists();
    if lists.remove(user, list).await? {
        remark(format_args!("{user} is no longer on the {list} list"))?;
    } else {
        remark(format_args!("{user} was not on the {list} list"))?;
    }
    match list {
        AccessList::Block => tell_services(env, Some(user), None).await,
        AccessList::Allow => Ok(()),
    }
}

async fn list(env: &Env, format: Format) -> Result<()> {
    let listed = database::connect(env).await?.access_lists().all().await?;
    if listed.is_empty() {
        return remark("nobody is on the allow or the block list");
    }
    listed
        .iter()
        .try_for_each(|listed| format.print(&ListedLine::from(listed)))
}

#[derive(Serialize)]
struct ListedLine<'a> {
    user: UserId,
    list: &'static str,
    since: String,
    note: &'a str,
}

impl<'a> From<&'a ListedUser> for ListedLine<'a> {
    fn from(listed: &'a ListedUser) -> Self {
        Self {
            user: listed.user,
            list: listed.list.as_str(),
            since: listed
                .since
                .with_timezone(&Utc)
                .to_rfc3339_opts(SecondsFormat::Secs, true),
            note: &listed.note,
        }
    }
}

impl fmt::Display for ListedLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            user,
            list,
            since,
            note,
        } = self;
        write!(f, "{user}  {list:<5}  {since}  {note}")
    }
}

async fn suspend(env: &Env, command: SuspendPerson) -> Result<()> {
    let user = command.person.user(env).await?;
    let suspensions = database::connect(env).await?.suspensions();
    let reason = command.reason.as_str();
    let Some(change) = suspensions.suspend(user, reason, SystemClock.now()).await? else {
        bail!("{user} has never written or called: nothing is suspended");
    };
    let line = SuspensionLine::suspended(Some(user), change);
    command.output.format().print(&line)?;
    tell_services(env, Some(user), None).await
}

async fn resume(env: &Env, command: ResumePerson) -> Result<()> {
    let user = command.person.user(env).await?;
    let suspensions = database::connect(env).await?.suspensions();
    let Some(change) = suspensions.resume(user).await? else {
        bail!("{user} has never written or called: nothing is resumed");
    };
    let line = SuspensionLine::resumed(Some(user), change);
    command.output.format().print(&line)?;
    tell_services(env, Some(user), command.reason).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_one_user_however_it_is_written() {
        let ada = PhoneNumber::try_from("+15551234567").unwrap();

        for text in ["+15551234567", "15551234567", "+1 (555) 123-4567"] {
            assert_eq!(user_name(text), Ok(UserName::Number(ada.clone())), "{text}");
        }
        let id = format!("usr_{}", "0".repeat(32));
        assert_eq!(user_name(&id), Ok(UserName::Id(id.parse().unwrap())));
        assert!(user_name("Ada").is_err());
    }
}
