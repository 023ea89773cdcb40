use chrono::{DateTime, TimeDelta, Utc};
use claw_bus::BusError;
use claw_domain::{Address, Attestation, CallId, Language, Sensitive};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::LiveCalls;

/// How long after its issue a ticket can be redeemed for the first time. Twilio connects within seconds.
const VALIDITY: TimeDelta = TimeDelta::minutes(2);

/// Lets one socket in for one call. Its bearer may speak as the caller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RelayTicket {
    /// The call it is for.
    pub call: CallId,
    /// The number that the caller showed or keyed in.
    pub address: Address,
    /// What the network says about the number.
    pub attestation: Attestation,
    /// Whether we may write to the caller on WhatsApp.
    pub has_chat: bool,
    /// The number of the last turn before the socket.
    pub turn: u32,
    /// The language in which the caller is understood and hears us.
    pub language: Language,
    /// Length of the greeting that Twilio speaks first, in characters.
    pub greeting_chars: u32,
}

/// The secret that redeems a ticket: 122 random bits, of which the bucket stores only a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TicketCode(Sensitive<String>);

/// A ticket that let a socket in.
#[derive(Debug, Clone, PartialEq)]
pub struct RedeemedTicket {
    /// The ticket as it was issued.
    pub ticket: RelayTicket,
    /// How often the same session had redeemed it before: its socket broke, and Twilio reconnected.
    pub previous_uses: u32,
}

/// Why a ticket is refused.
#[derive(Debug, thiserror::Error)]
pub enum TicketError {
    /// No such ticket was issued, it is for another call, it has expired, or another session has redeemed it.
    #[error("the ticket is not valid")]
    Invalid,
    /// The ticket could not be looked up.
    #[error(transparent)]
    Bus(#[from] BusError),
}

/// Field names are those in the bucket.
#[derive(Serialize, Deserialize)]
struct Stored {
    ticket: RelayTicket,
    made_out_at: DateTime<Utc>,
    /// The session that redeemed the ticket.
    session: Option<String>,
    times: u32,
}

impl LiveCalls {
    /// Stores a ticket that can be redeemed for the first time within two minutes of `now`.
    pub async fn issue_ticket(
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
        self.bucket.put(&ticket_key(&code), &stored).await?;
        Ok(TicketCode(code.into()))
    }

    /// Redeems a ticket for a call. Only the first session to do so is let in, as often as it likes.
    pub async fn redeem_ticket(
        &self,
        code: &TicketCode,
        call: CallId,
        session: &str,
        now: DateTime<Utc>,
    ) -> Result<RedeemedTicket, TicketError> {
        let key = ticket_key(code.0.expose());
        let stored = self.bucket.get_with_revision::<Stored>(&key).await?;
        let (stored, revision) = stored.ok_or(TicketError::Invalid)?;
        let may_enter = match &stored.session {
            Some(known) => known == session,
            None => now - stored.made_out_at <= VALIDITY,
        };
        if !may_enter || stored.ticket.call != call {
            return Err(TicketError::Invalid);
        }
        let redeemed = Stored {
            session: Some(session.to_owned()),
            times: stored.times.saturating_add(1),
            ..stored
        };
        if !self.bucket.update(&key, &redeemed, revision).await? {
            // Another socket redeemed the ticket at the same moment.
            return Err(TicketError::Invalid);
        }
        Ok(RedeemedTicket {
            ticket: redeemed.ticket,
            previous_uses: stored.times,
        })
    }
}

impl TicketCode {
    /// Reads a code from the parameter of a URL.
    pub fn of_url(text: &str) -> Self {
        Self(text.into())
    }

    /// The code as a parameter of a URL.
    pub fn to_url(&self) -> &str {
        self.0.expose()
    }
}

fn ticket_key(code: &str) -> String {
    format!("ticket.{}", hex::encode(Sha256::digest(code)))
}
