use std::{future::pending, marker::PhantomData, sync::Arc, time::Duration};

use async_nats::jetstream::consumer::{PullConsumer, pull::MessagesErrorKind};
use claw_events::{Event, stored_filter, stored_filter_in};
use futures_util::StreamExt;
use tokio::{
    sync::{OnceCell, mpsc, watch},
    time::sleep,
};
use tracing::warn;

use super::Pulled;
use crate::{
    Bus, BusError, Tenure, Unit, consumer_name::ConsumerName, unit_consumers::UnitConsumers,
};

/// Events of one unit asked for in one request.
const BATCH: usize = 64;

/// How long one request waits at the server, and how often the server shows that it lives.
const REQUEST_EXPIRES: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Pause before taking over is tried again.
const TAKEOVER_PAUSE: Duration = Duration::from_millis(250);

/// How often the place is written down, while it moves: what was handled since is handled again, without
/// effect, after a restart of the server.
const NOTE_EVERY: Duration = Duration::from_secs(10);

/// Pulls the events of each tenure from the server in order, taking its place again under every new
/// epoch and after every interruption.
pub(super) struct Puller<E> {
    bus: Bus,
    purpose: &'static str,
    consumers: OnceCell<UnitConsumers>,
    kind: PhantomData<fn() -> E>,
}

impl<E: Event> Puller<E> {
    pub(super) fn new(bus: Bus, purpose: &'static str) -> Self {
        Self {
            bus,
            purpose,
            consumers: OnceCell::new(),
            kind: PhantomData,
        }
    }

    /// Pulls until nothing new may begin under `tenure`.
    pub(super) async fn run(self: Arc<Self>, tenure: Tenure, pulled: mpsc::Sender<Pulled>) {
        tenure
            .ending()
            .run_until_cancelled(self.pull_for_ever(&tenure, &pulled))
            .await;
    }

    async fn pull_for_ever(&self, tenure: &Tenure, pulled: &mpsc::Sender<Pulled>) {
        let mut epochs = tenure.epochs();
        let mut place = ConsumerName {
            unit: tenure.unit(),
            epoch: 0,
            number: 0,
        };
        loop {
            place = place.next_under(*epochs.borrow_and_update());
            tokio::select! {
                () = self.pull_until_interrupted(place, tenure, pulled) => {}
                // What was on its way under the former epoch is lost until handed out again.
                _ = epochs.changed() => {}
            }
        }
    }

    async fn pull_until_interrupted(
        &self,
        place: ConsumerName,
        tenure: &Tenure,
        pulled: &mpsc::Sender<Pulled>,
    ) {
        match self.take_over(place).await {
            Ok(Some(consumer)) => self.pull(place, &consumer, tenure, pulled).await,
            // Whoever has it has told the bucket so: we will hear of it.
            Ok(None) => {}
            Err(error) => warn!(
                consumer = self.purpose,
                error = &error as &dyn std::error::Error,
                "{} could not take its place for {}; trying again",
                self.purpose,
                place.unit
            ),
        }
        sleep(TAKEOVER_PAUSE).await;
    }

    async fn take_over(&self, place: ConsumerName) -> Result<Option<PullConsumer>, BusError> {
        let finding = || UnitConsumers::of(&self.bus, E::STREAM, self.purpose);
        let consumers = self.consumers.get_or_try_init(finding).await?;
        let filter = match place.unit {
            Unit::Partition(partition) => stored_filter_in::<E>(partition),
            Unit::Whole => stored_filter::<E>(),
        };
        consumers.take_over(place, filter).await
    }

    async fn pull(
        &self,
        place: ConsumerName,
        consumer: &PullConsumer,
        tenure: &Tenure,
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
            Err(error) => return self.tell_of_interruption(&error),
        };
        let (handed_on, last) = watch::channel(0);
        let hand_on = async {
            loop {
                let message = match messages.next().await {
                    Some(Ok(message)) => message,
                    // By whoever took over; the bucket will tell us.
                    Some(Err(error)) if error.kind() == MessagesErrorKind::ConsumerDeleted => {
                        return;
                    }
                    Some(Err(error)) => return self.tell_of_interruption(&error),
                    None => return,
                };
                let sequence = message.info().map(|info| info.stream_sequence);
                let tenure = tenure.clone();
                if pulled.send(Pulled { message, tenure }).await.is_err() {
                    return;
                }
                if let Ok(sequence) = sequence {
                    handed_on.send_replace(sequence);
                }
            }
        };
        tokio::select! {
            () = hand_on => {}
            // Beside the events, which must not wait for a write to disk.
            () = self.note_floors(place, last) => {}
        }
    }

    /// Writes the floor down while it moves. Never ends.
    async fn note_floors(&self, place: ConsumerName, mut handed_on: watch::Receiver<u64>) {
        while handed_on.changed().await.is_ok() {
            loop {
                sleep(NOTE_EVERY).await;
                if self.note_floor(place).await >= *handed_on.borrow_and_update() {
                    break;
                }
            }
        }
        pending::<()>().await;
    }

    /// Writes the place down; 0 when that failed and is to be tried again.
    async fn note_floor(&self, place: ConsumerName) -> u64 {
        let Some(consumers) = self.consumers.get() else {
            return 0;
        };
        match consumers.note_floor(place).await {
            Ok(floor) => floor,
            Err(error) => {
                warn!(
                    consumer = self.purpose,
                    error = &error as &dyn std::error::Error,
                    "the place of {} in {} was not written down",
                    self.purpose,
                    place.unit
                );
                0
            }
        }
    }

    fn tell_of_interruption(&self, error: &(dyn std::error::Error + 'static)) {
        warn!(
            consumer = self.purpose,
            error, "{} was interrupted", self.purpose
        );
    }
}
