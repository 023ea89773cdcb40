use std::{fmt, str::FromStr, time::Duration};

use async_nats::{HeaderMap, HeaderValue, header::NATS_MESSAGE_ID};
use bytes::Bytes;
use claw_events::published_subject;
use tokio::time::Instant;

use super::{DeadLetters, StreamExtent, StreamHistory, StreamPosition, dead_letters::event_of};
use crate::{
    Bus, BusError, Outgoing, PublishError,
    headers::{self, REPLAY_OF},
};

/// How long the publish of one replay is retried. Longer than a restart of the server takes.
const REPLAY_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest ticket, in bytes. A ticket is part of a message id, which the server keeps in memory.
const TICKET_LIMIT_BYTES: usize = 64;

/// The idempotency key of a replay: for each ticket an event is replayed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayTicket(String);

/// The text is too long for a ticket, or contains characters that a message id must not contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a ticket has 1 to {TICKET_LIMIT_BYTES} letters, digits, `-`, `_` and `.`")]
pub struct InvalidReplayTicket;

impl FromStr for ReplayTicket {
    type Err = InvalidReplayTicket;

    fn from_str(text: &str) -> Result<Self, InvalidReplayTicket> {
        let is_plain = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let is_ticket = is_plain && (1..=TICKET_LIMIT_BYTES).contains(&text.len());
        is_ticket
            .then(|| Self(text.to_owned()))
            .ok_or(InvalidReplayTicket)
    }
}

/// Why a replay was not made.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The bus could not be read.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The server did not confirm the replay. A retry with the same ticket stores it once.
    #[error("replaying {position} (repeating the command replays nothing twice)")]
    Publish {
        /// The position of the event to be replayed.
        position: StreamPosition,
        /// The error of the publish.
        #[source]
        source: PublishError,
    },
}

/// How one replay ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplayOutcome {
    /// A new event is stored at this position.
    Replayed(StreamPosition),
    /// The event was replayed for this ticket before, and the replay is at this position. No event was published.
    AlreadyReplayed(StreamPosition),
    /// No event is stored at the requested sequence. The stream holds this range.
    NotStored(StreamExtent),
    /// The dead letter is not about an event of a stream, but has this subject, to which nothing can be published.
    NotAnEvent(String),
    /// The stream no longer holds the event of the dead letter, so the letter cannot be compared with it.
    OriginalGone(StreamPosition),
    /// The dead letter has another payload or subject than the event at the position that it names. A service that
    /// wrote it is faulty or no longer ours.
    NotTheOriginal(StreamPosition),
}

impl fmt::Display for ReplayOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replayed(position) => write!(f, "replayed as {position}"),
            Self::AlreadyReplayed(position) => write!(
                f,
                "already replayed for this ticket as {position}, nothing was published"
            ),
            Self::NotStored(extent) => write!(f, "not stored: {extent}"),
            Self::NotAnEvent(subject) => {
                write!(
                    f,
                    "cannot be replayed: {subject} is not an event of a stream"
                )
            }
            Self::OriginalGone(position) => write!(
                f,
                "cannot be replayed: {position} has aged out, so the dead letter cannot be compared with it"
            ),
            Self::NotTheOriginal(position) => write!(
                f,
                "cannot be replayed: the dead letter is not a copy of {position}"
            ),
        }
    }
}

/// Publishes stored events again, each as a new event with an id of its own.
pub struct Replayer {
    bus: Bus,
    ticket: Option<ReplayTicket>,
}

/// An event of a stream, as it was published.
pub(super) struct PublishedEvent {
    pub(super) position: StreamPosition,
    pub(super) stored_subject: String,
    pub(super) published_subject: String,
}

impl Replayer {
    /// Without a ticket, each dead letter can be replayed once, and so can each past event.
    pub fn new(bus: &Bus, ticket: Option<ReplayTicket>) -> Self {
        Self {
            bus: bus.clone(),
            ticket,
        }
    }

    /// Replays the event of the dead letter at `sequence` in `DEAD`, if the letter is a copy of it. The services write
    /// dead letters, but a replay is published with the operator's rights.
    pub async fn replay_letter(
        &self,
        letters: &DeadLetters,
        sequence: u64,
    ) -> Result<ReplayOutcome, ReplayError> {
        let Some(letter) = letters.history.find(sequence).await? else {
            return Ok(ReplayOutcome::NotStored(letters.history.extent().await?));
        };
        let event = match event_of(&letter.headers) {
            Ok(event) => event,
            Err(subject) => return Ok(ReplayOutcome::NotAnEvent(subject)),
        };
        let history = StreamHistory::open(&self.bus, event.position.stream).await?;
        let Some(original) = history.find(event.position.sequence).await? else {
            return Ok(ReplayOutcome::OriginalGone(event.position));
        };
        if original.subject != event.stored_subject || original.payload != letter.payload {
            return Ok(ReplayOutcome::NotTheOriginal(event.position));
        }
        let ticket = format!("dead-{sequence}");
        self.publish(event, &original.headers, original.payload, &ticket)
            .await
    }

    /// Replays the event at `sequence` in `history`.
    pub async fn replay_event(
        &self,
        history: &StreamHistory,
        sequence: u64,
    ) -> Result<ReplayOutcome, ReplayError> {
        let Some(event) = history.find(sequence).await? else {
            return Ok(ReplayOutcome::NotStored(history.extent().await?));
        };
        let Some(published_subject) = published_subject(history.stream, &event.subject) else {
            return Ok(ReplayOutcome::NotAnEvent(event.subject));
        };
        let published = PublishedEvent {
            position: event.position,
            stored_subject: event.subject,
            published_subject,
        };
        self.publish(published, &event.headers, event.payload, "past")
            .await
    }

    async fn publish(
        &self,
        event: PublishedEvent,
        headers: &HeaderMap,
        payload: Bytes,
        default_ticket: &str,
    ) -> Result<ReplayOutcome, ReplayError> {
        let position = event.position;
        let ticket = self
            .ticket
            .as_ref()
            .map_or(default_ticket, |ticket| ticket.0.as_str());
        let id = format!("replay:{position}:{ticket}");
        // The server remembers message ids for minutes only, but the stream keeps replays for weeks.
        if let Some(earlier) = find_replay(&self.bus, &event, Some(&id)).await? {
            return Ok(ReplayOutcome::AlreadyReplayed(earlier));
        }
        let subject = event.published_subject;
        let kind = subject.rsplit_once('.').map_or("", |(kind, _user)| kind);
        let headers = headers::of_replay(&id, kind, &position.to_string(), headers);
        let replay = Outgoing::replay(subject, headers, payload);
        let publisher = self.bus.publisher();
        let stored = publisher
            .store(&replay, Instant::now() + REPLAY_TIMEOUT)
            .await
            .map_err(|source| ReplayError::Publish { position, source })?;
        let replayed = StreamPosition {
            stream: position.stream,
            sequence: stored.sequence,
        };
        Ok(if stored.duplicate {
            ReplayOutcome::AlreadyReplayed(replayed)
        } else {
            ReplayOutcome::Replayed(replayed)
        })
    }
}

/// The latest replay of an event, or the one with this `id`. A replay is stored under the same subject as
/// its event, and after it.
pub(super) async fn find_replay(
    bus: &Bus,
    event: &PublishedEvent,
    id: Option<&str>,
) -> Result<Option<StreamPosition>, BusError> {
    let history = StreamHistory::open(bus, event.position.stream).await?;
    let of = event.position.to_string();
    let mut found = None;
    history
        .visit_headers(
            event.stored_subject.clone(),
            event.position.sequence + 1,
            |stored| {
                let header = |name| stored.headers.get(name).map(HeaderValue::as_str);
                let is_replay = header(REPLAY_OF) == Some(&of);
                let is_wanted = id.is_none_or(|id| header(NATS_MESSAGE_ID.as_ref()) == Some(id));
                if is_replay && is_wanted {
                    found = Some(history.position(stored.sequence));
                }
            },
        )
        .await?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_fits_an_id_and_a_header() {
        assert!("OPS-1234_b.2".parse::<ReplayTicket>().is_ok());
        assert!("".parse::<ReplayTicket>().is_err());
        assert!("two words".parse::<ReplayTicket>().is_err());
        assert!("a:b".parse::<ReplayTicket>().is_err());
        assert!("a".repeat(65).parse::<ReplayTicket>().is_err());
    }
}
