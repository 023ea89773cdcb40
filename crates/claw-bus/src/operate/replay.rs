use std::{fmt, str::FromStr, time::Duration};

use async_nats::{
    HeaderMap, HeaderValue, header::NATS_MESSAGE_ID, jetstream::message::StreamMessage,
};
use bytes::Bytes;
use claw_events::published_subject;
use tokio::time::Instant;

use super::{
    Extent, OperateError, Place,
    history::History,
    letters::{DeadEvent, Letters, NoEvent, event_of},
};
use crate::{
    Bus, BusError, Outgoing,
    headers::{self, REPLAY_OF},
};

/// How long one replay is tried: longer than a restart of the server takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Longest name of a ticket, in bytes: it becomes part of an id the server keeps in memory.
const TICKET_LIMIT_BYTES: usize = 64;

/// Names one wish to replay something: the same event is replayed once for a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket(String);

/// It has other characters than a ticket, or too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a ticket has 1 to {TICKET_LIMIT_BYTES} letters, digits, `-`, `_` and `.`")]
pub struct InvalidTicket;

impl FromStr for Ticket {
    type Err = InvalidTicket;

    fn from_str(text: &str) -> Result<Self, InvalidTicket> {
        let is_plain = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        let is_ticket = is_plain && (1..=TICKET_LIMIT_BYTES).contains(&text.len());
        is_ticket
            .then(|| Self(text.to_owned()))
            .ok_or(InvalidTicket)
    }
}

/// What became of one wish to replay.
pub(super) enum Outcome {
    /// It is a new event now, there.
    Replayed(Place),
    /// It had been replayed for this ticket, as the event there; nothing was done.
    AlreadyReplayed(Place),
    /// Nothing is stored at its place.
    Absent(Extent),
    /// It is no event of a stream, hence nothing that could be published; this is its subject.
    NoEvent(String),
}

impl Outcome {
    pub(super) const fn is_refusal(&self) -> bool {
        match self {
            Self::Replayed(_) | Self::AlreadyReplayed(_) => false,
            Self::Absent(_) | Self::NoEvent(_) => true,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replayed(place) => write!(f, "replayed as {place}"),
            Self::AlreadyReplayed(place) => {
                write!(
                    f,
                    "was replayed as {place} for this ticket, nothing is done"
                )
            }
            Self::Absent(extent) => write!(f, "is not there: {extent}"),
            Self::NoEvent(subject) => {
                write!(
                    f,
                    "is no event of a stream ({subject}), it cannot be replayed"
                )
            }
        }
    }
}

/// Publishes stored events again, each as a new event with an id of its own.
pub(super) struct Replayer<'a> {
    bus: &'a Bus,
    ticket: Option<Ticket>,
}

/// An event to be published again.
struct Past<'a> {
    event: DeadEvent,
    headers: &'a HeaderMap,
    payload: Bytes,
    ticket: &'a str,
}

impl<'a> Replayer<'a> {
    /// Without a ticket, a letter is replayed once as that letter, and a past event once.
    pub(super) const fn new(bus: &'a Bus, ticket: Option<Ticket>) -> Self {
        Self { bus, ticket }
    }

    /// Replays the event a letter in `DEAD` is about, with the payload that is kept there.
    pub(super) async fn letter(
        &self,
        letters: &Letters,
        sequence: u64,
    ) -> Result<Outcome, OperateError> {
        let Some(letter) = letters.history.find(sequence).await? else {
            return Ok(Outcome::Absent(letters.history.extent().await?));
        };
        let event = match event_of(&letter.headers) {
            Ok(event) => event,
            Err(NoEvent(subject)) => return Ok(Outcome::NoEvent(subject)),
        };
        let original = self.original(&event).await?;
        let once_a_letter = format!("dead-{sequence}");
        self.replay(Past {
            event,
            headers: original.as_ref().map_or(&letter.headers, |o| &o.headers),
            payload: letter.payload,
            ticket: self.ticket_or(&once_a_letter),
        })
        .await
    }

    /// Replays what is stored at `sequence`.
    pub(super) async fn past(
        &self,
        history: &History,
        sequence: u64,
    ) -> Result<Outcome, OperateError> {
        let Some(message) = history.find(sequence).await? else {
            return Ok(Outcome::Absent(history.extent().await?));
        };
        let stored = message.subject.to_string();
        let Some(published) = published_subject(history.stream, &stored) else {
            return Ok(Outcome::NoEvent(stored));
        };
        let place = Place {
            stream: history.stream,
            sequence,
        };
        self.replay(Past {
            event: DeadEvent {
                place,
                stored,
                published,
            },
            headers: &message.headers,
            payload: message.payload,
            ticket: self.ticket_or("past"),
        })
        .await
    }

    /// The event itself, which outlives its letter seldom; it alone tells its version.
    async fn original(&self, event: &DeadEvent) -> Result<Option<StreamMessage>, BusError> {
        let history = History::of(self.bus, event.place.stream).await?;
        history.find(event.place.sequence).await
    }

    fn ticket_or<'t>(&'t self, otherwise: &'t str) -> &'t str {
        self.ticket
            .as_ref()
            .map_or(otherwise, |ticket| ticket.0.as_str())
    }

    async fn replay(&self, past: Past<'_>) -> Result<Outcome, OperateError> {
        let place = past.event.place;
        let id = format!("replay:{place}:{}", past.ticket);
        // The server remembers ids for minutes only; the stream itself remembers for weeks.
        if let Some(earlier) = find_replay(self.bus, &past.event, Some(&id)).await? {
            return Ok(Outcome::AlreadyReplayed(earlier));
        }
        let published = past.event.published;
        let kind = published.rsplit_once('.').map_or("", |(kind, _user)| kind);
        let headers = headers::of_replay(&id, kind, &place.to_string(), past.headers);
        let replay = Outgoing::replay(published, headers, past.payload);
        let stored = self
            .bus
            .publisher()
            .store(&replay, Instant::now() + PATIENCE)
            .await
            .map_err(|source| OperateError::Publish { of: place, source })?;
        let at = Place {
            stream: place.stream,
            sequence: stored.sequence,
        };
        Ok(if stored.duplicate {
            Outcome::AlreadyReplayed(at)
        } else {
            Outcome::Replayed(at)
        })
    }
}

/// Where the latest replay of this event is, as long as its stream keeps it.
pub(super) async fn latest(bus: &Bus, event: &DeadEvent) -> Result<Option<Place>, BusError> {
    find_replay(bus, event, None).await
}

/// A replay is stored under the same subject as its event, and after it.
async fn find_replay(
    bus: &Bus,
    event: &DeadEvent,
    id: Option<&str>,
) -> Result<Option<Place>, BusError> {
    let stream = event.place.stream;
    let of = event.place.to_string();
    let mut found = None;
    History::of(bus, stream)
        .await?
        .each_heading(event.stored.clone(), event.place.sequence + 1, |heading| {
            let value = |name| heading.headers.get(name).map(HeaderValue::as_str);
            let is_replay = value(REPLAY_OF) == Some(&of);
            let is_wanted = id.is_none_or(|id| value(NATS_MESSAGE_ID.as_ref()) == Some(id));
            if is_replay && is_wanted {
                found = Some(heading.sequence);
            }
        })
        .await?;
    Ok(found.map(|sequence| Place { stream, sequence }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_fits_an_id_and_a_header() {
        assert!("OPS-1234_b.2".parse::<Ticket>().is_ok());
        assert!("".parse::<Ticket>().is_err());
        assert!("two words".parse::<Ticket>().is_err());
        assert!("a:b".parse::<Ticket>().is_err());
        assert!("a".repeat(65).parse::<Ticket>().is_err());
    }
}
