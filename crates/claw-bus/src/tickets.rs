use async_nats::jetstream::kv::UpdateErrorKind;
use chrono::{DateTime, TimeDelta, Utc};
use claw_domain::{Address, CallId, Language, Sensitive, Trust};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{
    BusError, Calls,
    calls::{in_time, json},
};

/// How long after it was made out a ticket lets somebody in for the first time. Twilio comes within seconds.
const VALID: TimeDelta = TimeDelta::minutes(2);

/// Lets one socket in, for one call: whoever holds the code may speak as that caller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RelayTicket {
    /// For which call.
    pub call: CallId,
    /// Whose number it is.
    pub address: Address,
    /// Whether the caller is who the number says.
    pub trust: Trust,
    /// The last turn there was in the call.
    pub turn: u32,
    /// The language the caller is heard in.
    pub language: Language,
    /// Characters said to the caller first.
    pub greeting_chars: u32,
}

/// What a ticket is shown by. 122 random bits; its bucket knows it by a hash only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketCode(Sensitive<String>);

/// A ticket that was shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The ticket.
    pub ticket: RelayTicket,
    /// How often the same session had shown it before: its socket broke, and it has come back.
    pub times_before: u32,
}

/// Why nobody is let in.
#[derive(Debug, thiserror::Error)]
pub enum TicketError {
    /// Nobody made it out, it is for another call or out of date, or another session has shown it.
    #[error("the ticket is not valid")]
    Invalid,
    /// It could not be looked at.
    #[error(transparent)]
    Bus(#[from] BusError),
}

#[derive(Serialize, Deserialize)]
struct Stored {
    ticket: RelayTicket,
    made_out_at: DateTime<Utc>,
    session: Option<String>,
    times: u32,
}

impl Calls {
    /// Makes out a ticket.
    pub async fn make_out(
        &self,
        ticket: RelayTicket,
        now: DateTime<Utc>,
    ) -> Result<TicketCode, BusError> {
        let code = Uuid::new_v4().simple().to_string();
        let stored = Stored {
            ticket,
            made_out_at: now,
            session: None,
            times: 0,
        };
        self.write("making out a ticket", key_of(&code), &stored)
            .await?;
        Ok(TicketCode(code.into()))
    }

    /// Shows a ticket for a call. The first session to show it is the only one it lets in, ever; that one may
    /// show it again.
    pub async fn show(
        &self,
        code: &TicketCode,
        call: CallId,
        session: &str,
        now: DateTime<Utc>,
    ) -> Result<Shown, TicketError> {
        let key = key_of(code.0.expose());
        let entry = in_time("reading of a ticket", self.store.entry(key.clone())).await?;
        let entry = entry.map_err(|error| BusError::jetstream("reading of a ticket", error))?;
        let entry = entry.ok_or(TicketError::Invalid)?;
        let stored: Stored =
            serde_json::from_slice(&entry.value).map_err(|_| TicketError::Invalid)?;
        let may_enter = match &stored.session {
            Some(known) => known == session,
            None => now - stored.made_out_at <= VALID,
        };
        if !may_enter || stored.ticket.call != call {
            return Err(TicketError::Invalid);
        }
        let shown = Stored {
            session: Some(session.to_owned()),
            times: stored.times.saturating_add(1),
            ..stored
        };
        let update = self.store.update(key, json(&shown)?, entry.revision);
        match in_time("showing of a ticket", update).await? {
            Ok(_) => Ok(Shown {
                ticket: shown.ticket,
                times_before: shown.times - 1,
            }),
            // Two at once with one ticket.
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                Err(TicketError::Invalid)
            }
            Err(error) => Err(BusError::jetstream("showing of a ticket", error).into()),
        }
    }
}

impl TicketCode {
    /// As it came in a URL.
    pub fn of_url(text: &str) -> Self {
        Self(text.into())
    }

    /// As it goes into a URL.
    pub fn to_url(&self) -> &str {
        self.0.expose()
    }
}

fn key_of(code: &str) -> String {
    format!("ticket.{}", hex::encode(Sha256::digest(code)))
}
