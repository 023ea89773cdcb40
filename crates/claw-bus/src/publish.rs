use std::{collections::BTreeMap, time::Duration};

use async_nats::{
    Client, HeaderMap,
    header::{NATS_BATCH_COMMIT, NATS_BATCH_ID, NATS_BATCH_SEQUENCE},
    jetstream::{self, context::PublishAckFuture, message::PublishMessage},
};
use bytes::Bytes;
use claw_domain::{Backoff, UserId};
use claw_events::{
    DeadLetter, Event, OperatorEvent, Severity, Signal, Stream, signal_subject, subject_of,
};
use claw_metrics::OPERATOR_EVENTS;
use futures_util::{TryStreamExt, stream};
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{error, warn};

use crate::{dead, headers};

/// How long a publish is retried. Longer than a restart of the server takes, so that handlers do not notice
/// most restarts.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(30);

/// The pauses between retries.
const RETRY: Backoff = Backoff {
    first: Duration::from_millis(50),
    longest: Duration::from_secs(2),
};

/// How long the storing of an operator event is retried. Its log line does not depend on it.
const OPERATOR_TIMEOUT: Duration = Duration::from_secs(5);

/// How long one attempt waits for its acknowledgement. A retry under the same id finds out whether the event
/// was stored, so a longer wait would only delay.
const ACK_TIMEOUT: Duration = Duration::from_secs(2);

/// Largest number of events in one atomic batch (a limit of nats-server).
const BATCH_LIMIT: usize = 1_000;

/// Smallest number of events that are sent as an atomic batch. The server creates files for each batch, which
/// costs as much as some twenty single events (measured).
const BATCH_FROM: usize = 24;

/// Largest number of subjects with a publish in flight when events are not sent as a batch.
const SUBJECTS_AT_ONCE: usize = 16;

/// Longest event as JSON, in bytes. The server takes 1 MiB (`max_payload` in `nats.conf`) with the headers, and an event
/// must fit into `DEAD` too, with the headers of a dead letter.
pub const PAYLOAD_LIMIT_BYTES: usize = 1_000 * 1_024;

/// Confirms that an event is on the server's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Whether an earlier publish had stored the event.
    pub duplicate: bool,
    /// The sequence of the event in its stream, also if it had been stored before.
    pub sequence: u64,
}

/// Why an event is not known to be on the server's disk.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// JetStream did not acknowledge in time. The event may still be stored; publishing it again under the same
    /// id is safe.
    #[error("JetStream did not acknowledge {subject_kind} in time")]
    NotAcknowledged {
        /// The name of the event type.
        subject_kind: &'static str,
        /// The last error, if there was one.
        #[source]
        source: Option<jetstream::context::PublishError>,
    },
    /// The event cannot be serialised.
    #[error("writing {subject_kind} as JSON")]
    Encode {
        /// The name of the event type.
        subject_kind: &'static str,
        /// The error of the serializer.
        #[source]
        source: serde_json::Error,
    },
    /// The event is longer than [`PAYLOAD_LIMIT_BYTES`]. No retry can help.
    #[error("{subject_kind} of {bytes} bytes is too large for the bus")]
    TooLarge {
        /// The name of the event type.
        subject_kind: &'static str,
        /// The length of the event as JSON.
        bytes: usize,
    },
}

/// A serialised event with its subject and headers.
#[derive(Debug, Clone)]
pub struct Outgoing {
    kind: &'static str,
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
}

impl Outgoing {
    /// Serialises an event, with the trace context of the current span.
    pub fn new<E: Event>(event: &E) -> Result<Self, PublishError> {
        let payload = serde_json::to_vec(event).map_err(|source| PublishError::Encode {
            subject_kind: E::FACT,
            source,
        })?;
        if payload.len() > PAYLOAD_LIMIT_BYTES {
            return Err(PublishError::TooLarge {
                subject_kind: E::FACT,
                bytes: payload.len(),
            });
        }
        Ok(Self {
            kind: E::FACT,
            subject: subject_of(event),
            headers: headers::of_event(event),
            payload: payload.into(),
        })
    }

    /// A dead letter with the payload of the event that was given up.
    pub fn dead(letter: &DeadLetter, user: UserId, payload: Bytes) -> Self {
        Self {
            kind: "dead",
            subject: format!("{}.{}.{user}", Stream::Dead.family(), letter.consumer),
            headers: dead::headers_of(letter),
            payload,
        }
    }

    /// An operator event, told by `service`.
    fn operator(event: &OperatorEvent, service: &str) -> Result<Self, PublishError> {
        let kind = event.kind();
        let payload = serde_json::to_vec(event).map_err(|source| PublishError::Encode {
            subject_kind: kind,
            source,
        })?;
        Ok(Self {
            kind,
            subject: format!("{}.{service}.{kind}", Stream::Operator.family()),
            headers: headers::of_operator_event(event),
            payload: payload.into(),
        })
    }

    /// A stored event that is published again as a new event.
    pub(crate) const fn replay(subject: String, headers: HeaderMap, payload: Bytes) -> Self {
        Self {
            kind: "a replay",
            subject,
            headers,
            payload,
        }
    }
}

/// Publishes events and waits until they are on disk. Cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    client: Client,
    jetstream: jetstream::Context,
    service: &'static str,
}

impl Publisher {
    pub(crate) const fn new(
        client: Client,
        jetstream: jetstream::Context,
        service: &'static str,
    ) -> Self {
        Self {
            client,
            jetstream,
            service,
        }
    }

    /// Publishes one event, with retries under the same id for up to 30 s.
    pub async fn publish<E: Event>(&self, event: &E) -> Result<Stored, PublishError> {
        self.store(&Outgoing::new(event)?, Instant::now() + PUBLISH_TIMEOUT)
            .await
    }

    /// Publishes events of one stream, those of one subject in this order. Many events are sent as one atomic
    /// batch, which is one write to disk. Fails if an event is not known to be stored after `timeout`; some of the
    /// events may be stored then.
    pub async fn publish_all(
        &self,
        events: &[Outgoing],
        timeout: Duration,
    ) -> Result<(), PublishError> {
        let deadline = Instant::now() + timeout;
        for batch in events.chunks(BATCH_LIMIT) {
            // The server refuses a whole batch if it contains a duplicate, or if too many batches are in flight.
            if batch.len() < BATCH_FROM || !self.store_atomically(batch, deadline).await {
                self.store_each(batch, deadline).await?;
            }
        }
        Ok(())
    }

    /// Sends a signal over core NATS, at most once.
    pub async fn signal<S: Signal>(&self, signal: &S) {
        let Ok(payload) = serde_json::to_vec(signal) else {
            return;
        };
        let subject = signal_subject(signal);
        if let Err(error) = self.client.publish(subject, payload.into()).await {
            warn!(
                signal.name = S::NAME,
                error = &error as &dyn std::error::Error,
                "sending a signal failed"
            );
        }
    }

    /// Tells the operator: logs, counts and stores the event in `OPERATOR`, unless the same was told within the last hour.
    /// Never fails, and takes at most 5 s: if the event cannot be stored, the log has it.
    pub async fn tell_operator(&self, event: &OperatorEvent) {
        let stored = async {
            let outgoing = Outgoing::operator(event, self.service)?;
            self.store(&outgoing, Instant::now() + OPERATOR_TIMEOUT)
                .await
        };
        match stored.await {
            Ok(Stored {
                duplicate: true, ..
            }) => return,
            Ok(Stored { .. }) => {}
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "the next operator event is in this log only: `clawkaka events` will not show it"
            ),
        }
        let kind = event.kind();
        OPERATOR_EVENTS.increment([kind]);
        match event.severity() {
            Severity::Error => error!(operator.event = kind, "{event}"),
            Severity::Warning => warn!(operator.event = kind, "{event}"),
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
        let attempt_ends = deadline.min(Instant::now() + ACK_TIMEOUT);
        let acknowledged = async { self.send(event, event.headers.clone()).await?.await };
        match timeout_at(attempt_ends, acknowledged).await {
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

    /// Whether the server stored all of `batch`.
    async fn store_atomically(&self, batch: &[Outgoing], deadline: Instant) -> bool {
        let id = self.client.new_inbox();
        let id = id.rsplit('.').next().unwrap_or(&id);
        let sent_and_committed = async {
            let mut last = None;
            for (index, event) in batch.iter().enumerate() {
                let is_last = index + 1 == batch.len();
                let headers = batch_headers(event, id, index + 1, is_last);
                // The server acknowledges only the last message of a batch.
                last = Some(self.send(event, headers).await?);
            }
            match last {
                Some(acknowledged) => acknowledged.await.map(|_| ()),
                None => Ok(()),
            }
        };
        let attempt_ends = deadline.min(Instant::now() + ACK_TIMEOUT);
        matches!(
            timeout_at(attempt_ends, sent_and_committed).await,
            Ok(Ok(()))
        )
    }

    /// Stores the events of each subject one after the other: with several in flight, a retried event would be
    /// stored after the next one.
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
