use std::collections::VecDeque;

use async_nats::{HeaderMap, HeaderValue, datetime::DateTime};
use claw_events::{DeadLetter, Stream, published_subject};

use super::{
    OperateError, Place,
    history::{Heading, History, rfc3339},
};
use crate::{Bus, BusError};

/// Longest part of an error that a line shows, in characters; `show` has the rest.
const ERROR_LIMIT_CHARS: usize = 120;

/// Names the columns of [`Letter::line`].
pub(super) const TITLES: &str = concat!(
    "    DEAD  time                  consumer              event                 ",
    "reason       tries  replayed as           error"
);

/// The events in `DEAD`.
pub(super) struct Letters {
    pub(super) history: History,
}

/// Some letters, out of more.
pub(super) struct Found {
    pub(super) newest: VecDeque<Letter>,
    pub(super) all: usize,
}

impl Letters {
    pub(super) async fn of(bus: &Bus) -> Result<Self, BusError> {
        let history = History::of(bus, Stream::Dead).await?;
        Ok(Self { history })
    }

    /// The `limit` newest letters, oldest first.
    pub(super) async fn newest(
        &self,
        consumer: Option<&str>,
        limit: usize,
    ) -> Result<Found, OperateError> {
        let mut found = Found {
            newest: VecDeque::new(),
            all: 0,
        };
        self.each(consumer, |heading| {
            found.all += 1;
            found.newest.push_back(Letter::of(heading));
            if found.newest.len() > limit {
                found.newest.pop_front();
            }
        })
        .await?;
        Ok(found)
    }

    /// Where all of them are in `DEAD`.
    pub(super) async fn sequences(&self, consumer: Option<&str>) -> Result<Vec<u64>, OperateError> {
        let mut sequences = Vec::new();
        self.each(consumer, |heading| sequences.push(heading.sequence))
            .await?;
        Ok(sequences)
    }

    async fn each(
        &self,
        consumer: Option<&str>,
        visit: impl FnMut(Heading),
    ) -> Result<(), BusError> {
        let subjects = format!("{}.{}.*", Stream::Dead.family(), consumer.unwrap_or("*"));
        self.history.each_heading(subjects, 1, visit).await
    }
}

/// One event in `DEAD`, as its headers tell of it.
pub(super) struct Letter {
    sequence: u64,
    time: DateTime,
    headers: HeaderMap,
}

/// The event a letter is about, as it was published.
pub(super) struct DeadEvent {
    pub(super) place: Place,
    /// The subject it was stored under.
    pub(super) stored: String,
    /// The subject it was published under.
    pub(super) published: String,
}

/// What was set aside never was an event: a webhook that could not be read, say. Holds its subject.
pub(super) struct NoEvent(pub(super) String);

impl Letter {
    fn of(heading: Heading) -> Self {
        Self {
            sequence: heading.sequence,
            time: heading.time,
            headers: heading.headers,
        }
    }

    /// See [`event_of`].
    pub(super) fn event(&self) -> Result<DeadEvent, NoEvent> {
        event_of(&self.headers)
    }

    /// One line about it, without anything a person wrote. `replayed` is where its event's latest
    /// replay is.
    pub(super) fn line(&self, replayed: Option<Place>) -> String {
        let of = |name| text(&self.headers, name);
        let event = match self.event() {
            Ok(event) => event.place.to_string(),
            Err(NoEvent(subject)) => subject,
        };
        let replayed = replayed.map_or_else(|| "-".to_owned(), |place| place.to_string());
        let error: String = of(DeadLetter::ERROR)
            .chars()
            .take(ERROR_LIMIT_CHARS)
            .collect();
        format!(
            "{:>8}  {}  {:<20}  {event:<20}  {:<11}  {:>5}  {replayed:<20}  {error}",
            self.sequence,
            rfc3339(self.time),
            of(DeadLetter::CONSUMER),
            of(DeadLetter::REASON),
            of(DeadLetter::ATTEMPTS),
        )
    }
}

/// The event that a letter with these headers is about.
pub(super) fn event_of(headers: &HeaderMap) -> Result<DeadEvent, NoEvent> {
    let stored = text(headers, DeadLetter::SUBJECT);
    let event = || {
        let stream = Stream::named(text(headers, DeadLetter::STREAM))?;
        let sequence = text(headers, DeadLetter::SEQUENCE).parse().ok()?;
        Some(DeadEvent {
            place: Place { stream, sequence },
            stored: stored.to_owned(),
            published: published_subject(stream, stored)?,
        })
    };
    event().ok_or_else(|| NoEvent(stored.to_owned()))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map_or("?", HeaderValue::as_str)
}
