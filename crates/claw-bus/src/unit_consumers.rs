use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{
    ErrorCode,
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    stream::{ConsumerError, ConsumerErrorKind, Stream},
};
use claw_events::PARTITIONS;
use futures_util::TryStreamExt;
use tokio::{
    sync::{Mutex, Semaphore},
    time::Instant,
};
use tracing::debug;

use crate::{Bus, BusError, Unit, consumer_name::ConsumerName, floors::Floors};

/// Events of one unit handed to this process and not yet acknowledged, at most. This bounds the memory
/// of its lanes (about 1 KB an event); past it the server keeps the rest.
const MAX_UNACKNOWLEDGED: i64 = 1_000;

/// After this long the server hands an unacknowledged event out again. Recovery never depends on
/// it: a crash or a lost connection is a takeover, which hands out everything at once. An event
/// still in its lane is recognised and not handled twice.
const ACK_WAIT: Duration = Duration::from_mins(10);

/// Takeovers that ask the server at once.
const TAKEOVERS_AT_ONCE: usize = 16;

/// The consumers a purpose has in its stream.
pub(crate) struct UnitConsumers {
    stream: Stream<()>,
    purpose: &'static str,
    floors: Floors,
    listed: Mutex<Option<Listing>>,
    room: Semaphore,
}

/// The consumers of a purpose, as of a moment.
#[derive(Clone)]
struct Listing {
    began: Instant,
    found: Arc<[Found]>,
}

/// A place that somebody has or had.
struct Found {
    place: ConsumerName,
    /// The sequence up to which everything is acknowledged.
    floor: u64,
}

impl UnitConsumers {
    pub(crate) async fn of(
        bus: &Bus,
        stream: claw_events::Stream,
        purpose: &'static str,
    ) -> Result<Self, BusError> {
        let name = stream.name();
        let stream = bus.jetstream.get_stream_no_info(name).await;
        Ok(Self {
            stream: stream
                .map_err(|error| BusError::jetstream(format!("finding stream {name}"), error))?,
            purpose,
            floors: Floors::of(bus, purpose).await?,
            listed: Mutex::new(None),
            room: Semaphore::new(TAKEOVERS_AT_ONCE),
        })
    }

    /// Makes `place` the one from which its unit is consumed, beginning after the last event of which
    /// everything before was acknowledged. `None` when somebody has a later place of this unit.
    ///
    /// The name holds an epoch that only grows: an acknowledgement by a predecessor, however late,
    /// names a consumer that is gone and changes nothing.
    pub(crate) async fn take_over(
        &self,
        place: ConsumerName,
        filter: String,
    ) -> Result<Option<PullConsumer>, BusError> {
        // Never closed, so there is always room some day.
        let _room = self.room.acquire().await.ok();
        let found = self.list().await?;
        let of_unit = || found.iter().filter(|found| found.place.unit == place.unit);
        if of_unit().any(|found| found.place > place) {
            return Ok(None);
        }
        let resume_after = found
            .iter()
            .filter(|found| found.place.unit == place.unit || found.place.unit == Unit::Whole)
            .map(|found| found.floor)
            .max();
        // Consumers live in the server's memory: after its restart there is none to go on from.
        let resume_after = match resume_after {
            Some(floor) => Some(floor),
            None => self.floors.of_unit(place.unit).await?,
        };
        let name = place.name(self.purpose);
        let consumer = self
            .stream
            .create_consumer(configuration(&name, filter, resume_after))
            .await
            .map_err(|error| BusError::jetstream(format!("making consumer {name}"), error))?;
        // Deleted only now: a crash in between must not lose the place.
        for predecessor in of_unit().filter(|found| found.place < place) {
            self.delete(predecessor).await?;
        }
        self.delete_undivided(&found, place).await?;
        debug!(consumer = %name, after = resume_after, "took over as {name}");
        Ok(Some(consumer))
    }

    /// Writes down up to where everything of this place is acknowledged, and returns it.
    pub(crate) async fn note_floor(&self, place: ConsumerName) -> Result<u64, BusError> {
        let name = place.name(self.purpose);
        let info = self.stream.consumer_info(&name).await;
        let info = info
            .map_err(|error| BusError::jetstream(format!("looking at consumer {name}"), error))?;
        let floor = info.ack_floor.stream_sequence;
        self.floors.note(place.unit, floor).await?;
        Ok(floor)
    }

    /// Every place of this purpose. Takeovers that wait at the same time share one answer, which was
    /// asked for after the last of them began: by then, each was already the one owner of its unit.
    async fn list(&self) -> Result<Arc<[Found]>, BusError> {
        let asked = Instant::now();
        let mut listed = self.listed.lock().await;
        if let Some(listing) = listed.as_ref().filter(|listing| listing.began >= asked) {
            return Ok(Arc::clone(&listing.found));
        }
        let began = Instant::now();
        let all: Vec<_> = self
            .stream
            .consumers()
            .try_collect()
            .await
            .map_err(|error| {
                BusError::jetstream(format!("listing consumers of {}", self.purpose), error)
            })?;
        let found: Arc<[Found]> = all
            .into_iter()
            .filter_map(|info| {
                Some(Found {
                    place: ConsumerName::read(&info.name, self.purpose)?,
                    floor: info.ack_floor.stream_sequence,
                })
            })
            .collect();
        *listed = Some(Listing {
            began,
            found: Arc::clone(&found),
        });
        Ok(found)
    }

    /// A purpose that was once consumed whole leaves its place to the partitions, and is needed until
    /// each of them has one.
    async fn delete_undivided(&self, found: &[Found], place: ConsumerName) -> Result<(), BusError> {
        let is_divided = (0..PARTITIONS)
            .map(Unit::Partition)
            .all(|unit| unit == place.unit || found.iter().any(|found| found.place.unit == unit));
        if !is_divided {
            return Ok(());
        }
        for undivided in found.iter().filter(|found| found.place.unit == Unit::Whole) {
            self.delete(undivided).await?;
        }
        Ok(())
    }

    async fn delete(&self, found: &Found) -> Result<(), BusError> {
        let name = found.place.name(self.purpose);
        match self.stream.delete_consumer(&name).await {
            Ok(_) => Ok(()),
            Err(error) if is_gone(&error) => Ok(()),
            Err(error) => Err(BusError::jetstream(
                format!("deleting consumer {name}"),
                error,
            )),
        }
    }
}

fn is_gone(error: &ConsumerError) -> bool {
    matches!(error.kind(), ConsumerErrorKind::JetStream(error)
        if error.error_code() == ErrorCode::CONSUMER_NOT_FOUND)
}

fn configuration(name: &str, filter: String, resume_after: Option<u64>) -> pull::Config {
    pull::Config {
        durable_name: Some(name.to_owned()),
        filter_subject: filter,
        deliver_policy: match resume_after {
            Some(sequence) => DeliverPolicy::ByStartSequence {
                start_sequence: sequence + 1,
            },
            None => DeliverPolicy::All,
        },
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_ack_pending: MAX_UNACKNOWLEDGED,
        max_deliver: -1,
        // On disk each delivery and each acknowledgement would cost a file written, synced and renamed: at
        // 100 messages a second half of the server's work. What a restart forgets is in `floors`.
        memory_storage: true,
        ..pull::Config::default()
    }
}
