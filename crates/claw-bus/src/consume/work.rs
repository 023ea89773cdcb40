use std::{
    future::pending,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::anyhow;
use async_nats::{HeaderMap, Subject};
use bytes::Bytes;
use claw_domain::{Backoff, UserId};
use claw_events::{DeadLetter, DeadReason, Event};
use claw_metrics::EVENTS;
use futures_util::FutureExt;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, error, info_span, warn};

use super::Pulled;
#[cfg(debug_assertions)]
use super::fault_point;
use crate::{
    Attempt, Bus, Handler, HandlerError, Outgoing, Parked, Tenure, dead, headers,
    suspects::{FATAL_DEATHS, Suspects, Verdict as SuspectVerdict},
};

/// How long an event is retried before it goes to `DEAD`. Longer than any outage an operator would tolerate; a
/// handler rejects an event that cannot succeed.
const GIVE_UP_AFTER: Duration = Duration::from_hours(24);

/// The pauses between retries if the handler names none. After a dependency has recovered, an event waits for
/// up to the longest of them.
const RETRY: Backoff = Backoff {
    first: Duration::from_millis(100),
    longest: Duration::from_secs(5),
};

/// How long a write to `DEAD` is retried before the event itself is handled again.
const DEAD_LETTER_TIMEOUT: Duration = Duration::from_secs(30);

/// An event in a lane.
pub(super) struct Item {
    pub(super) user: UserId,
    pub(super) sequence: u64,
    pub(super) ack: AckHandle,
    subject: Subject,
    headers: Option<HeaderMap>,
    payload: Bytes,
}

/// An event's latest delivery; a redelivery replaces it.
#[derive(Clone)]
pub(super) struct AckHandle(Arc<Mutex<Delivery>>);

#[derive(Clone)]
struct Delivery {
    reply: Subject,
    tenure: Tenure,
    /// Set if the event is one of the tenure's suspects.
    suspects: Option<Arc<Suspects>>,
}

impl AckHandle {
    fn new(delivery: Delivery) -> Self {
        Self(Arc::new(Mutex::new(delivery)))
    }

    /// Replaces the delivery with that of a redelivery.
    pub(super) fn renew(&self, redelivered: &Self) {
        let delivery = redelivered.delivery().clone();
        *self.delivery() = delivery;
    }

    /// The reply subject to acknowledge at.
    pub(super) fn reply(&self) -> Subject {
        self.delivery().reply.clone()
    }

    /// The tenure under which it was delivered.
    pub(super) fn tenure(&self) -> Tenure {
        self.delivery().tenure.clone()
    }

    /// The suspects among which it is; `None` if it is none.
    fn suspects(&self) -> Option<Arc<Suspects>> {
        self.delivery().suspects.clone()
    }

    fn delivery(&self) -> MutexGuard<'_, Delivery> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Item {
    /// Parses a delivery; `None` for a message that is not from JetStream.
    pub(super) fn of(pulled: Pulled) -> Option<Self> {
        let sequence = pulled.message.info().ok()?.stream_sequence;
        let suspects = pulled.suspects;
        let message = pulled.message.message;
        let user = message
            .subject
            .rsplit('.')
            .next()
            .and_then(|token| token.parse().ok());
        Some(Self {
            // Published subjects always end with a user id. Anything else shares one lane.
            user: user.unwrap_or(UserId::UNKNOWN),
            sequence,
            ack: AckHandle::new(Delivery {
                reply: message.reply?,
                tenure: pulled.tenure,
                suspects: suspects.filter(|suspects| suspects.include(sequence)),
            }),
            subject: message.subject,
            headers: message.headers,
            payload: message.payload,
        })
    }

    fn is_replay(&self) -> bool {
        let replayed = self.headers.as_ref();
        replayed.is_some_and(|headers| headers.get(headers::REPLAY_OF).is_some())
    }
}

/// How the work on an item ended.
pub(super) enum ItemOutcome {
    /// Handled, or stored in `DEAD`; acknowledged at this subject.
    Done(Subject),
    /// To be handled again after the pause, behind later events of the user.
    Deferred(Item, Duration),
    /// To be handled again when the future has ended, in the order in which events of the user were parked.
    Parked(Item, Parked),
    /// No new work may start: the item is left to the next holder of the unit.
    Left(Item),
}

/// Handles the items of one consumer.
pub(super) struct Worker<H> {
    pub(super) bus: Bus,
    pub(super) purpose: &'static str,
    pub(super) handler: Arc<H>,
    pub(super) stop: CancellationToken,
}

enum Verdict {
    Handled,
    Deferred(Duration),
    Parked(Parked),
    Left,
    Dead {
        reason: DeadReason,
        error: String,
        attempts: u32,
    },
}

impl<H: Handler> Worker<H> {
    /// Handles the item, with retries, until its outcome is decided.
    pub(super) async fn work(&self, item: Item) -> ItemOutcome {
        let span = info_span!(
            "consume",
            otel.name = format!("{}.{}", self.bus.service, H::Event::FACT),
            otel.kind = "consumer",
            consumer = self.purpose,
            user.id = %item.user,
            event.sequence = item.sequence,
        );
        headers::continue_trace(&span, item.headers.as_ref());
        self.decide(item).instrument(span).await
    }

    async fn decide(&self, item: Item) -> ItemOutcome {
        match self.try_until_decided(&item).await {
            Verdict::Handled => self.acknowledge(&item, "handled").await,
            Verdict::Deferred(pause) => ItemOutcome::Deferred(item, pause),
            Verdict::Parked(until) => ItemOutcome::Parked(item, until),
            Verdict::Left => ItemOutcome::Left(item),
            Verdict::Dead {
                reason,
                error,
                attempts,
            } => self.dead_letter(item, reason, error, attempts).await,
        }
    }

    async fn try_until_decided(&self, item: &Item) -> Verdict {
        let tenure = item.ack.tenure();
        let ending = tenure.ending();
        let attempt = Attempt {
            number: 1,
            sequence: item.sequence,
            is_replay: item.is_replay(),
            stop: self.stop.child_token(),
            tenure,
        };
        let stop = attempt.stop.clone();
        tokio::select! {
            verdict = self.try_with_retries(item, attempt) => verdict,
            never = async {
                ending.cancelled().await;
                stop.cancel();
                pending().await
            } => never,
        }
    }

    async fn try_with_retries(&self, item: &Item, mut attempt: Attempt) -> Verdict {
        let give_up_at = Instant::now() + GIVE_UP_AFTER;
        loop {
            let (source, wait) = match self.try_once(item, &attempt).await {
                Ok(Ok(())) => return Verdict::Handled,
                Ok(Err(HandlerError::Defer(pause))) => return Verdict::Deferred(pause),
                Ok(Err(HandlerError::Park(until))) => {
                    EVENTS.increment([self.purpose, "parked"]);
                    return Verdict::Parked(until);
                }
                Ok(Err(HandlerError::Reject { source })) => {
                    return dead_because(DeadReason::Rejected, &source, &attempt);
                }
                Ok(Err(HandlerError::Retry { source, after })) => {
                    (source, after.unwrap_or_else(|| RETRY.delay(attempt.number)))
                }
                Err(verdict) => return verdict,
            };
            if attempt.stop.is_cancelled() {
                return Verdict::Left;
            }
            if Instant::now() + wait >= give_up_at {
                return dead_because(DeadReason::Exhausted, &source, &attempt);
            }
            self.log_retry(&source, &attempt);
            let waited = attempt.stop.run_until_cancelled(sleep(wait)).await;
            if waited.is_none() || !attempt.tenure.is_open() {
                return Verdict::Left;
            }
            attempt.number += 1;
        }
    }

    /// Lets the handler try once. `Err` is a verdict that does not depend on the handler.
    async fn try_once(
        &self,
        item: &Item,
        attempt: &Attempt,
    ) -> Result<Result<(), HandlerError>, Verdict> {
        match item.ack.suspects() {
            None => self.handle(item, attempt).await,
            // Boxed, because usually no event is a suspect.
            Some(suspects) => Box::pin(self.try_suspect(&suspects, item, attempt)).await,
        }
    }

    async fn try_suspect(
        &self,
        suspects: &Suspects,
        item: &Item,
        attempt: &Attempt,
    ) -> Result<Result<(), HandlerError>, Verdict> {
        let beginning = suspects.begin(item.sequence);
        match attempt.stop.run_until_cancelled(beginning).await {
            None => Err(Verdict::Left),
            Some(SuspectVerdict::Trial(trial)) => trial.run(self.handle(item, attempt)).await,
            Some(SuspectVerdict::Fatal) => Err(Verdict::Dead {
                reason: DeadReason::Fatal,
                error: "every process that handled the event has died".to_owned(),
                attempts: FATAL_DEATHS + 1,
            }),
        }
    }

    async fn handle(
        &self,
        item: &Item,
        attempt: &Attempt,
    ) -> Result<Result<(), HandlerError>, Verdict> {
        #[cfg(debug_assertions)]
        fault_point::reach(self.purpose, &item.payload);
        let event = serde_json::from_slice::<H::Event>(&item.payload)
            .map_err(|error| undecodable(&error))?;
        // The same event would panic again, and must not stop the events of other users.
        let handled = AssertUnwindSafe(self.handler.handle(&event, attempt))
            .catch_unwind()
            .await
            .unwrap_or_else(|_panic| Err(HandlerError::reject(anyhow!("the handler panicked"))));
        Ok(handled)
    }

    fn log_retry(&self, source: &anyhow::Error, attempt: &Attempt) {
        EVENTS.increment([self.purpose, "retried"]);
        // Logged at attempts 1, 2, 4, 8, …: an outage must not flood the log.
        if attempt.number.is_power_of_two() {
            warn!(
                attempt = attempt.number,
                "{} retries an event: {}",
                self.purpose,
                dead::chain(source)
            );
        }
    }

    async fn acknowledge(&self, item: &Item, outcome: &'static str) -> ItemOutcome {
        EVENTS.increment([self.purpose, outcome]);
        let reply = item.ack.reply();
        self.acknowledge_at(reply.clone()).await;
        ItemOutcome::Done(reply)
    }

    /// Acknowledges the delivery with this reply subject. If the acknowledgement gets lost, the event is redelivered
    /// and recognised by its sequence.
    pub(super) async fn acknowledge_at(&self, reply: Subject) {
        if let Err(error) = self.bus.client.publish(reply, "+ACK".into()).await {
            warn!(
                error = &error as &dyn std::error::Error,
                "sending an acknowledgement failed; the event will be redelivered"
            );
        }
    }

    /// Stores the event in `DEAD`, then acknowledges it.
    async fn dead_letter(
        &self,
        item: Item,
        reason: DeadReason,
        error: String,
        attempts: u32,
    ) -> ItemOutcome {
        error!(
            event.sequence = item.sequence,
            reason = reason.as_str(),
            attempts,
            "{} gave up an event, which goes to DEAD: {error}",
            self.purpose
        );
        let letter = DeadLetter {
            stream: H::Event::STREAM.name().to_owned(),
            sequence: item.sequence,
            subject: item.subject.to_string(),
            consumer: self.purpose.to_owned(),
            attempts,
            reason,
            error,
        };
        let dead = Outgoing::dead(&letter, item.user, item.payload.clone());
        match self
            .bus
            .publisher()
            .store(&dead, Instant::now() + DEAD_LETTER_TIMEOUT)
            .await
        {
            Ok(_) => {
                // Even to read a fatal event could end the process.
                if reason != DeadReason::Fatal {
                    self.report_dead_letter(&item).await;
                }
                self.acknowledge(&item, "dead").await
            }
            Err(error) => {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "storing an event in DEAD failed; the event is retried"
                );
                ItemOutcome::Deferred(item, RETRY.longest)
            }
        }
    }
}

impl<H: Handler> Worker<H> {
    /// Lets the handler tell the user. Tried once, since the event itself is safe in `DEAD`.
    async fn report_dead_letter(&self, item: &Item) {
        let Ok(event) = serde_json::from_slice::<H::Event>(&item.payload) else {
            return;
        };
        let told = AssertUnwindSafe(self.handler.given_up(&event))
            .catch_unwind()
            .await;
        if !matches!(told, Ok(Ok(()))) {
            warn!("the handler could not tell the user that an event was given up");
        }
    }
}

fn undecodable(error: &serde_json::Error) -> Verdict {
    Verdict::Dead {
        reason: DeadReason::Undecodable,
        // serde's message can quote the input, which is personal data.
        error: format!("{:?} error at column {}", error.classify(), error.column()),
        attempts: 1,
    }
}

fn dead_because(reason: DeadReason, source: &anyhow::Error, attempt: &Attempt) -> Verdict {
    Verdict::Dead {
        reason,
        error: dead::chain(source),
        attempts: attempt.number,
    }
}
