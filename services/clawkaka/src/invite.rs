//! The commands about invites, with which newcomers come in.

use std::fmt;

use anyhow::{Result, bail};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use clap::{Args, Subcommand, value_parser};
use claw_domain::{InviteCode, InviteId};
use claw_runtime::{Clock, Env, SystemClock};
use claw_store::Invite;
use rand::random;
use serde::Serialize;

use crate::{
    arguments::OutputOptions,
    database, help,
    output::{Format, remark},
};

/// Longest validity of an invite, in days.
const DAYS_LIMIT: i64 = 3_650;

#[derive(Debug, Subcommand)]
pub(crate) enum InviteCommand {
    /// Make a code with which newcomers come in
    #[command(after_long_help = help::INVITE)]
    Create(CreateInvite),
    /// List the invites, without their codes
    #[command(after_long_help = help::INVITE)]
    List {
        #[command(flatten)]
        output: OutputOptions,
    },
    /// Make a code invalid; those who came in with it stay
    #[command(after_long_help = help::INVITE)]
    Revoke {
        /// An id from `clawkaka invite list`, or the code
        #[arg(value_name = "INVITE", value_parser = invite)]
        invite: InviteId,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CreateInvite {
    /// How many newcomers the code lets in
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = value_parser!(u32).range(1..=1_000_000))]
    uses: u32,
    /// How long the code is valid, e.g. 12h or 7d
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = validity)]
    expires: TimeDelta,
    /// For whom; shown by `clawkaka invite list`
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    #[command(flatten)]
    output: OutputOptions,
}

pub(crate) async fn run(env: &Env, command: InviteCommand) -> Result<()> {
    match command {
        InviteCommand::Create(create) => create_invite(env, create).await,
        InviteCommand::List { output } => list(env, output.format()).await,
        InviteCommand::Revoke { invite } => revoke(env, invite).await,
    }
}

async fn create_invite(env: &Env, create: CreateInvite) -> Result<()> {
    let now = SystemClock.now();
    let code = InviteCode::from_random(random());
    let invite = Invite {
        id: code.id(),
        note: create.note,
        uses: create.uses,
        used: 0,
        expires_at: now + create.expires,
        created_at: now,
    };
    let number = env.optional("WHATSAPP_NUMBER");
    let invites = database::connect(env).await?.invites();
    invites.create(&invite).await?;
    create.output.format().print(&CreatedInvite {
        id: invite.id,
        link: number.map(|number| link(&number, &code)),
        code: code.expose(),
        uses: invite.uses,
        expires_at: rfc3339(invite.expires_at),
    })
}

async fn list(env: &Env, format: Format) -> Result<()> {
    let invites = database::connect(env).await?.invites().all().await?;
    if invites.is_empty() {
        return remark("there are no invites");
    }
    invites
        .iter()
        .try_for_each(|invite| format.print(&InviteLine::from(invite)))
}

async fn revoke(env: &Env, invite: InviteId) -> Result<()> {
    if database::connect(env)
        .await?
        .invites()
        .revoke(invite)
        .await?
    {
        remark(format_args!("{invite} is revoked"))
    } else {
        bail!("there is no invite {invite}")
    }
}

/// The link that opens WhatsApp with the code typed in.
fn link(number: &str, code: &InviteCode) -> String {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    format!("https://wa.me/{digits}?text={}", code.expose())
}

fn invite(text: &str) -> Result<InviteId, &'static str> {
    if let Some((code, _)) = InviteCode::take_from(text) {
        return Ok(code.id());
    }
    text.parse()
        .map_err(|_| "expected an id, inv_…, or a code, CLAW-…")
}

/// A number of hours or days.
fn validity(text: &str) -> Result<TimeDelta, &'static str> {
    const EXPECTED: &str = "expected hours or days, such as 12h or 7d";
    let (count, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or(EXPECTED)?;
    let count: i64 = count.parse().map_err(|_| EXPECTED)?;
    let validity = match unit {
        "h" => TimeDelta::try_hours(count),
        "d" => TimeDelta::try_days(count),
        _ => None,
    };
    let is_sensible = |validity: &TimeDelta| (1..=DAYS_LIMIT * 24).contains(&validity.num_hours());
    validity.filter(is_sensible).ok_or(EXPECTED)
}

fn rfc3339(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[derive(Serialize)]
struct CreatedInvite<'a> {
    id: InviteId,
    code: &'a str,
    link: Option<String>,
    uses: u32,
    expires_at: String,
}

impl fmt::Display for CreatedInvite<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code)?;
        if let Some(link) = &self.link {
            write!(f, "\n{link}")?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct InviteLine<'a> {
    id: InviteId,
    uses: u32,
    used: u32,
    expires_at: String,
    created_at: String,
    note: &'a str,
}

impl<'a> From<&'a Invite> for InviteLine<'a> {
    fn from(invite: &'a Invite) -> Self {
        Self {
            id: invite.id,
            uses: invite.uses,
            used: invite.used,
            expires_at: rfc3339(invite.expires_at),
            created_at: rfc3339(invite.created_at),
            note: &invite.note,
        }
    }
}

impl fmt::Display for InviteLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}  {} of {} used  until {}  {}",
            self.id, self.used, self.uses, self.expires_at, self.note
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validity_is_a_number_of_hours_or_days() {
        assert_eq!(validity("12h"), Ok(TimeDelta::hours(12)));
        assert_eq!(validity("7d"), Ok(TimeDelta::days(7)));
        for text in ["", "d", "7", "0d", "-1d", "7w", "1000000d", "7€"] {
            assert!(validity(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_link_has_the_digits_of_the_number_and_the_code() {
        let code = InviteCode::from_random([0; InviteCode::BYTES]);

        assert_eq!(
            link("+1 555 123-4567", &code),
            "https://wa.me/15551234567?text=CLAW-0000-0000-0000-0000"
        );
    }

    #[test]
    fn an_invite_is_named_by_its_code_or_its_id() {
        let code = InviteCode::from_random([7; InviteCode::BYTES]);

        assert_eq!(invite(code.expose()), Ok(code.id()));
        assert_eq!(invite(&code.id().to_string()), Ok(code.id()));
        assert!(invite("CLAW").is_err());
    }
}
