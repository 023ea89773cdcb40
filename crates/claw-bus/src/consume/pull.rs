use std::{future::pending, marker::PhantomData, sync::Arc, time::Duration};

use async_nats::jetstream::{
    self,
    consumer::{PullConsumer, pull::MessagesErrorKind},
};
use claw_events::{Event, stored_filter, stored_filter_in};
use claw_metrics::WAITS_ENDED_BY_CLOCK;
use futures_util::StreamExt;
use tokio::{
    sync::{OnceCell, mpsc, watch},
    time::sleep,
};
use tracing::warn;

use super::Pulled;
use crate::{
    Bus, BusError, Tenure, Unit,
    consumer_name::ConsumerName,
    suspects::{SuspectGate, Suspects},
    unit_consumers::UnitConsumers,
};

/// Largest number of events of one pull request.
const BATCH: usize = 64;

/// How long a pull request waits at the server, and the interval of the server's heartbeats.
const REQUEST_EXPIRES: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Pause before a failed takeover is retried.
const TAKEOVER_PAUSE: Duration = Duration::from_millis(250);

/// How often a moving floor is stored. After a restart of the server, events since then are redelivered and
/// have no further effect.
const STORE_FLOOR_EVERY: Duration = Duration::from_secs(10);

/// Pulls the events of each tenure in order, from a new consumer for every epoch and after every interruption.
pub(super) struct Puller<E> {
    bus: Bus,
    purpose: &'static str,
    suspect_gate: Arc<SuspectGate>,
    consumers: OnceCell<UnitConsumers>,
    kind: PhantomData<fn() -> E>,
}

impl<E: Event> Puller<E> {
    pub(super) fn new(bus: Bus, purpose: &'static str, suspect_gate: Arc<SuspectGate>) -> Self {
        Self {
            bus,
            purpose,
            suspect_gate,
            consumers: OnceCell::new(),
            kind: PhantomData,
        }
    }

    /// Pulls until no new work may start under `tenure`.
    pub(super) async fn run(self: Arc<Self>, tenure: Tenure, pulled: mpsc::Sender<Pulled>) {
        tenure
            .ending()
            .run_until_cancelled(self.pull_across_epochs(&tenure, &pulled))
            .await;
    }

    async fn pull_across_epochs(&self, tenure: &Tenure, pulled: &mpsc::Sender<Pulled>) {
        let mut epochs = tenure.epochs();
        let suspects = OnceCell::new();
        let mut name = ConsumerName {
            unit: tenure.unit(),
            epoch: 0,
            number: 0,
        };
        loop {
            name = name.next_under(*epochs.borrow_and_update());
            tokio::select! {
                () = self.pull_until_interrupted(name, tenure, &suspects, pulled) => {}
                // Deliveries in flight under the former epoch are lost until they are redelivered.
                _ = epochs.changed() => {}
            }
        }
    }

    async fn pull_until_interrupted(
        &self,
        name: ConsumerName,
        tenure: &Tenure,
        suspects: &OnceCell<Option<Arc<Suspects>>>,
        pulled: &mpsc::Sender<Pulled>,
    ) {
        match self.take_over(name, tenure, suspects).await {
            Ok(Some(consumer)) => {
                let suspects = suspects.get().cloned().flatten();
                let pulled_under = |message| Pulled {
                    message,
                    tenure: tenure.clone(),
                    suspects: suspects.clone(),
                };
                self.pull(name, &consumer, pulled_under, pulled).await;
            }
            // The bucket names the new holder, so this tenure ends soon.
            Ok(None) => {}
            Err(error) => warn!(
                consumer = self.purpose,
                error = &error as &dyn std::error::Error,
                "creating the consumer {} for {} failed; trying again",
                self.purpose,
                name.unit
            ),
        }
        sleep(TAKEOVER_PAUSE).await;
    }

    /// Creates the consumer of this name. The first one of a tenure fills `suspects`.
    async fn take_over(
        &self,
        name: ConsumerName,
        tenure: &Tenure,
        suspects: &OnceCell<Option<Arc<Suspects>>>,
    ) -> Result<Option<PullConsumer>, BusError> {
        let finding = || UnitConsumers::of(&self.bus, E::STREAM, self.purpose);
        let consumers = self.consumers.get_or_try_init(finding).await?;
        let filter = match name.unit {
            Unit::Partition(partition) => stored_filter_in::<E>(partition),
            Unit::Whole => stored_filter::<E>(),
        };
        let Some(takeover) = consumers.begin_takeover(name).await? else {
            return Ok(None);
        };
        let at_takeover = async || {
            let (gate, records) = (&self.suspect_gate, consumers.suspect_records());
            let found = Suspects::at_takeover(gate, records, tenure, takeover.progress()).await?;
            Ok::<_, BusError>(found.map(Arc::new))
        };
        suspects.get_or_try_init(at_takeover).await?;
        Ok(Some(consumers.finish_takeover(takeover, filter).await?))
    }

    async fn pull(
        &self,
        name: ConsumerName,
        consumer: &PullConsumer,
        pulled_under: impl Fn(jetstream::Message) -> Pulled,
        pulled: &mpsc::Sender<Pulled>,
    ) {
        let opened = consumer
            .stream()
            .max_messages_per_batch(BATCH)
            .expires(REQUEST_EXPIRES)
            .heartbeat(HEARTBEAT)
            .messages()
            .await;
        let mut messages = match opened {
            Ok(messages) => messages,
            Err(error) => return self.log_interruption(&error),
        };
        let (forwarded, last) = watch::channel(0);
        let forward = async {
            loop {
                let message = match messages.next().await {
                    Some(Ok(message)) => message,
                    // The new holder deleted the consumer, so this tenure ends soon.
                    Some(Err(error)) if error.kind() == MessagesErrorKind::ConsumerDeleted => {
                        return;
                    }
                    Some(Err(error)) => {
                        if error.kind() == MessagesErrorKind::MissingHeartbeat {
                            WAITS_ENDED_BY_CLOCK.increment(["delivery"]);
                        }
                        return self.log_interruption(&error);
                    }
                    None => return,
                };
                let sequence = message.info().map(|info| info.stream_sequence);
                if pulled.send(pulled_under(message)).await.is_err() {
                    return;
                }
                if let Ok(sequence) = sequence {
                    forwarded.send_replace(sequence);
                }
            }
        };
        tokio::select! {
            () = forward => {}
            // Runs concurrently, because events must not wait for a write to disk.
            () = self.store_floors(name, last) => {}
        }
    }

    /// Stores the floor while it moves. Never returns.
    async fn store_floors(&self, name: ConsumerName, mut forwarded: watch::Receiver<u64>) {
        while forwarded.changed().await.is_ok() {
            loop {
                sleep(STORE_FLOOR_EVERY).await;
                if self.store_floor(name).await >= *forwarded.borrow_and_update() {
                    break;
                }
            }
        }
        pending::<()>().await;
    }

    /// Stores the floor and returns it; 0 if that failed.
    async fn store_floor(&self, name: ConsumerName) -> u64 {
        let Some(consumers) = self.consumers.get() else {
            return 0;
        };
        match consumers.store_floor(name).await {
            Ok(floor) => floor,
            Err(error) => {
                warn!(
                    consumer = self.purpose,
                    error = &error as &dyn std::error::Error,
                    "storing the floor of {} for {} failed",
                    self.purpose,
                    name.unit
                );
                0
            }
        }
    }

    fn log_interruption(&self, error: &(dyn std::error::Error + 'static)) {
        warn!(
            consumer = self.purpose,
            error, "pulling for {} was interrupted; its consumer is created again", self.purpose
        );
    }
}
