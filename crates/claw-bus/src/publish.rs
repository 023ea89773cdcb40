use std::{collections::BTreeMap, time::Duration};

use async_nats::{
    Client, HeaderMap,
    header::{NATS_BATCH_COMMIT, NATS_BATCH_ID, NATS_BATCH_SEQUENCE},
    jetstream::{self, context::PublishAckFuture, message::PublishMessage},
};
use bytes::Bytes;
use claw_domain::{Backoff, UserId};
use claw_events::{DeadLetter, Event, Signal, Stream, signal_subject, subject_of};
use futures_util::{TryStreamExt, stream};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::warn;

use crate::{dead, headers};

/// How long a handler's publish is tried before the handler is told: longer than a restart of the
/// server takes, so that most restarts pass unnoticed.
const PATIENCE: Duration = Duration::from_secs(30);

/// The pauses between two tries.
const RETRY: Backoff = Backoff {
    first: Duration::from_millis(50),
    longest: Duration::from_secs(2),
};

/// How long one try waits for its acknowledgement. A lost one is found out by trying again under
/// the same id, so waiting longer only delays.
const ACK_TIMEOUT: Duration = Duration::from_secs(2);

/// Most events of one atomic batch (nats-server's limit).
const BATCH_LIMIT: usize = 1_000;

/// Fewest events that are worth an atomic batch: the server makes files of its own for each, which costs as
/// much as writing some twenty events one by one (measured).
const BATCH_FROM: usize = 24;

/// Events of different subjects that are stored at once when they make no batch.
const SUBJECTS_AT_ONCE: usize = 16;

/// The event is on the server's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// It had been there already.
    pub duplicate: bool,
    /// Where it is in its stream, also when it had been there already.
    pub sequence: u64,
}

/// Why an event is not (known to be) on the server's disk.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// JetStream did not acknowledge in time. It may still have stored the event: publishing it
    /// again under the same id is safe.
    #[error("JetStream did not acknowledge {subject_kind} in time")]
    NotAcknowledged {
        /// Which kind of event.
        subject_kind: &'static str,
        /// The last reason given, if any.
        #[source]
        source: Option<jetstream::context::PublishError>,
    },
    /// The event cannot be written as JSON.
    #[error("writing {subject_kind} as JSON")]
    Encode {
        /// Which kind of event.
        subject_kind: &'static str,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
}

/// An event ready to be sent, whatever its type.
#[derive(Debug, Clone)]
pub struct Outgoing {
    kind: &'static str,
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
}

impl Outgoing {
    /// Prepares an event. The current span's trace goes with it.
    pub fn new<E: Event>(event: &E) -> Result<Self, PublishError> {
        let payload = serde_json::to_vec(event).map_err(|source| PublishError::Encode {
            subject_kind: E::FACT,
            source,
        })?;
        Ok(Self {
            kind: E::FACT,
            subject: subject_of(event),
            headers: headers::of_event(event),
            payload: payload.into(),
        })
    }

    /// Prepares what could not be handled for `DEAD`.
    pub fn dead(letter: &DeadLetter, user: UserId, payload: Bytes) -> Self {
        Self {
            kind: "dead",
            subject: format!("{}.{}.{user}", Stream::Dead.family(), letter.consumer),
            headers: dead::headers_of(letter),
            payload,
        }
    }

    /// Prepares what was stored once to be stored again, as an event of its own.
    pub(crate) const fn replay(subject: String, headers: HeaderMap, payload: Bytes) -> Self {
        Self {
            kind: "a replay",
            subject,
            headers,
            payload,
        }
    }
}

/// Puts events on the bus and waits until they are on disk. Cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    client: Client,
    jetstream: jetstream::Context,
}

impl Publisher {
    pub(crate) const fn new(client: Client, jetstream: jetstream::Context) -> Self {
        Self { client, jetstream }
    }

    /// Publishes one event, trying again under the same id for up to 30 s.
    pub async fn publish<E: Event>(&self, event: &E) -> Result<Stored, PublishError> {
        self.store(&Outgoing::new(event)?, Instant::now() + PATIENCE)
            .await
    }

    /// Publishes events, each stored before this returns, those of one subject in this order; as one
    /// atomic batch when there are many and the server takes it (one write to disk instead of many). All
    /// must belong to the same stream. Fails when not everything is known to be stored after `patience`.
    pub async fn publish_all(
        &self,
        events: &[Outgoing],
        patience: Duration,
    ) -> Result<(), PublishError> {
        let deadline = Instant::now() + patience;
        for batch in events.chunks(BATCH_LIMIT) {
            // Refused as a whole when it holds a repetition, or when too many batches are under way.
            if batch.len() < BATCH_FROM || !self.store_atomically(batch, deadline).await {
                self.store_each(batch, deadline).await?;
            }
        }
        Ok(())
    }

    /// Sends a signal that is worthless a second later: not stored, not waited for.
    pub async fn signal<S: Signal>(&self, signal: &S) {
        let Ok(payload) = serde_json::to_vec(signal) else {
            return;
        };
        let subject = signal_subject(signal);
        if let Err(error) = self.client.publish(subject, payload.into()).await {
            warn!(
                signal.name = S::NAME,
                error = &error as &dyn std::error::Error,
                "a signal was not sent"
            );
        }
    }

    pub(crate) async fn store(
        &self,
        event: &Outgoing,
        deadline: Instant,
    ) -> Result<Stored, PublishError> {
        let mut failures = 0;
        loop {
            let reason = match self.try_store(event, deadline).await {
                Ok(stored) => return Ok(stored),
                Err(reason) => reason,
            };
            failures += 1;
            let pause = RETRY.delay(failures);
            if Instant::now() + pause >= deadline {
                return Err(PublishError::NotAcknowledged {
                    subject_kind: event.kind,
                    source: reason,
                });
            }
            sleep(pause).await;
        }
    }

    async fn try_store(
        &self,
        event: &Outgoing,
        deadline: Instant,
    ) -> Result<Stored, Option<jetstream::context::PublishError>> {
        let patience = deadline.min(Instant::now() + ACK_TIMEOUT);
        let acknowledged = async { self.send(event, event.headers.clone()).await?.await };
        match timeout_at(patience, acknowledged).await {
            Ok(Ok(ack)) => Ok(Stored {
                duplicate: ack.duplicate,
                sequence: ack.sequence,
            }),
            Ok(Err(error)) => Err(Some(error)),
            Err(_elapsed) => Err(None),
        }
    }

    async fn send(
        &self,
        event: &Outgoing,
        headers: HeaderMap,
    ) -> Result<PublishAckFuture, jetstream::context::PublishError> {
        let message = PublishMessage::build()
            .payload(event.payload.clone())
            .headers(headers);
        self.jetstream
            .send_publish(event.subject.clone(), message)
            .await
    }

    /// Whether the server took all of `batch` at once.
    async fn store_atomically(&self, batch: &[Outgoing], deadline: Instant) -> bool {
        let id = self.client.new_inbox();
        let id = id.rsplit('.').next().unwrap_or(&id);
        let sent_and_committed = async {
            let mut last = None;
            for (index, event) in batch.iter().enumerate() {
                let is_last = index + 1 == batch.len();
                let headers = batch_headers(event, id, index + 1, is_last);
                // Only the last one is acknowledged; waiting for the others would take for ever.
                last = Some(self.send(event, headers).await?);
            }
            match last {
                Some(acknowledged) => acknowledged.await.map(|_| ()),
                None => Ok(()),
            }
        };
        let patience = deadline.min(Instant::now() + ACK_TIMEOUT);
        matches!(timeout_at(patience, sent_and_committed).await, Ok(Ok(())))
    }

    /// Stores the events of a subject one after the other: with several under way, a retried one would
    /// come after the next.
    async fn store_each(&self, batch: &[Outgoing], deadline: Instant) -> Result<(), PublishError> {
        let mut subjects: BTreeMap<&str, Vec<&Outgoing>> = BTreeMap::new();
        for event in batch {
            subjects.entry(&event.subject).or_default().push(event);
        }
        stream::iter(subjects.into_values().map(Ok))
            .try_for_each_concurrent(SUBJECTS_AT_ONCE, |events| async move {
                for event in events {
                    self.store(event, deadline).await?;
                }
                Ok(())
            })
            .await
    }
}

fn batch_headers(event: &Outgoing, id: &str, number: usize, is_last: bool) -> HeaderMap {
    let mut headers = event.headers.clone();
    headers.insert(NATS_BATCH_ID, id);
    headers.insert(NATS_BATCH_SEQUENCE, number.to_string().as_str());
    if is_last {
        headers.insert(NATS_BATCH_COMMIT, "1");
    }
    headers
}
