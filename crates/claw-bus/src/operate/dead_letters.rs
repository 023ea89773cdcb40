use std::collections::VecDeque;

use async_nats::{HeaderMap, HeaderValue};
use chrono::{DateTime, Utc};
use claw_events::{DeadLetter, Stream, published_subject};

use super::{
    StreamHistory, StreamPosition,
    history::StoredHeaders,
    replay::{PublishedEvent, find_replay},
};
use crate::{Bus, BusError};

/// The dead letters in `DEAD`: events that a consumer gave up.
pub struct DeadLetters {
    pub(super) history: StreamHistory,
    bus: Bus,
}

/// The newest dead letters, and how many there are.
#[derive(Debug)]
pub struct NewestLetters {
    /// At most the requested number of dead letters, oldest first.
    pub letters: VecDeque<StoredLetter>,
    /// The number of all dead letters of the same selection.
    pub total: usize,
}

/// A dead letter without its payload.
#[derive(Debug)]
pub struct StoredLetter {
    /// The sequence of the dead letter in `DEAD`.
    pub sequence: u64,
    /// When the consumer gave the event up.
    pub time: DateTime<Utc>,
    subject: String,
    headers: HeaderMap,
}

impl DeadLetters {
    /// Finds `DEAD` on the server.
    pub async fn open(bus: &Bus) -> Result<Self, BusError> {
        Ok(Self {
            history: StreamHistory::open(bus, Stream::Dead).await?,
            bus: bus.clone(),
        })
    }

    /// The `limit` newest dead letters of one consumer, or of all.
    pub async fn newest(
        &self,
        consumer: Option<&str>,
        limit: usize,
    ) -> Result<NewestLetters, BusError> {
        let mut newest = NewestLetters {
            letters: VecDeque::new(),
            total: 0,
        };
        self.visit(consumer, |stored| {
            newest.total += 1;
            newest.letters.push_back(StoredLetter {
                sequence: stored.sequence,
                time: stored.time,
                subject: stored.subject,
                headers: stored.headers,
            });
            if newest.letters.len() > limit {
                newest.letters.pop_front();
            }
        })
        .await?;
        Ok(newest)
    }

    /// The sequences in `DEAD` of all dead letters of one consumer, or of all.
    pub async fn sequences(&self, consumer: Option<&str>) -> Result<Vec<u64>, BusError> {
        let mut sequences = Vec::new();
        self.visit(consumer, |stored| sequences.push(stored.sequence))
            .await?;
        Ok(sequences)
    }

    /// The position of the latest replay of the letter's event; `None` if there was none or its stream has dropped it.
    pub async fn latest_replay(
        &self,
        letter: &StoredLetter,
    ) -> Result<Option<StreamPosition>, BusError> {
        match event_of(&letter.headers) {
            Ok(event) => find_replay(&self.bus, &event, None).await,
            Err(_subject) => Ok(None),
        }
    }

    async fn visit(
        &self,
        consumer: Option<&str>,
        visit: impl FnMut(StoredHeaders),
    ) -> Result<(), BusError> {
        let subjects = format!("{}.{}.*", Stream::Dead.family(), consumer.unwrap_or("*"));
        self.history.visit_headers(subjects, 1, visit).await
    }
}

impl StoredLetter {
    /// The consumer that gave the event up. It is read from the subject, for which the server lets no service use the name of
    /// another's consumer; a header may contain anything.
    pub fn consumer(&self) -> Option<&str> {
        self.subject.split('.').nth(1)
    }

    /// The value of a header, one of those that [`DeadLetter`] names.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(HeaderValue::as_str)
    }

    /// The position of the given-up event; `None` if the letter is not about an event, but for example about a webhook
    /// that could not be parsed.
    pub fn event(&self) -> Option<StreamPosition> {
        event_of(&self.headers).ok().map(|event| event.position)
    }
}

/// The event that a dead letter with these headers is about; otherwise the subject in its headers.
pub(super) fn event_of(headers: &HeaderMap) -> Result<PublishedEvent, String> {
    let header = |name| headers.get(name).map_or("?", HeaderValue::as_str);
    let stored_subject = header(DeadLetter::SUBJECT).to_owned();
    let event = || {
        let stream: Stream = header(DeadLetter::STREAM).parse().ok()?;
        let sequence = header(DeadLetter::SEQUENCE).parse().ok()?;
        Some(PublishedEvent {
            position: StreamPosition { stream, sequence },
            published_subject: published_subject(stream, &stored_subject)?,
            stored_subject: stored_subject.clone(),
        })
    };
    event().ok_or(stored_subject)
}
