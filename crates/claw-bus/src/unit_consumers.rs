use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{
    ErrorCode,
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    stream::{ConsumerError, ConsumerErrorKind, Stream},
};
use claw_events::PARTITIONS;
use futures_util::TryStreamExt;
use tokio::{
    sync::{Mutex, Semaphore, SemaphorePermit},
    time::Instant,
};
use tracing::debug;

use crate::{
    Bus, BusError, Unit,
    consumer_name::ConsumerName,
    floors::Floors,
    suspects::{Progress, SuspectRecords},
};

/// Largest number of unacknowledged events of one unit. It bounds the memory of the lanes (about 1 KB an
/// event); the server keeps the rest.
const MAX_UNACKNOWLEDGED: i64 = 1_000;

/// When the server redelivers an unacknowledged event. Recovery does not depend on it: a crash or a lost
/// connection leads to a takeover, which redelivers everything at once. An event that is still in its lane is
/// recognised and not handled twice.
const ACK_WAIT: Duration = Duration::from_mins(10);

/// Largest number of takeovers with requests in flight.
const TAKEOVERS_AT_ONCE: usize = 16;

/// The consumers of one purpose on the server.
pub(crate) struct UnitConsumers {
    stream: Stream<()>,
    purpose: &'static str,
    floors: Floors,
    suspect_records: Arc<SuspectRecords>,
    listed: Mutex<Option<Listing>>,
    permits: Semaphore,
}

/// A listing of the consumers, with the time it was requested.
#[derive(Clone)]
struct Listing {
    began: Instant,
    found: Arc<[ExistingConsumer]>,
}

/// A consumer on the server.
struct ExistingConsumer {
    name: ConsumerName,
    /// The ack floor: every event up to this sequence is acknowledged.
    floor: u64,
    /// The last sequence that was delivered.
    delivered: u64,
}

/// A takeover whose consumer is not yet created. The consumers of the former holders still exist.
pub(crate) struct Takeover<'a> {
    name: ConsumerName,
    found: Arc<[ExistingConsumer]>,
    _permit: Option<SemaphorePermit<'a>>,
    /// The highest ack floor of the former consumers; `None` if none is known.
    resume_after: Option<u64>,
}

impl Takeover<'_> {
    fn of_unit(&self) -> impl Iterator<Item = &ExistingConsumer> {
        let unit = self.name.unit;
        self.found
            .iter()
            .filter(move |found| found.name.unit == unit)
    }

    /// The progress of the unit's former consumers.
    pub(crate) fn progress(&self) -> Progress {
        Progress {
            floor: self.resume_after.unwrap_or_default(),
            delivered: self
                .of_unit()
                .map(|found| found.delivered)
                .max()
                .unwrap_or_default(),
        }
    }
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
            suspect_records: Arc::new(SuspectRecords::of(bus, purpose).await?),
            listed: Mutex::new(None),
            permits: Semaphore::new(TAKEOVERS_AT_ONCE),
        })
    }

    /// The records of suspects of this purpose.
    pub(crate) const fn suspect_records(&self) -> &Arc<SuspectRecords> {
        &self.suspect_records
    }

    /// Finds where the consumer of this name has to begin. Returns `None` if the unit has a consumer with a later
    /// name.
    pub(crate) async fn begin_takeover(
        &self,
        name: ConsumerName,
    ) -> Result<Option<Takeover<'_>>, BusError> {
        // The semaphore is never closed.
        let permit = self.permits.acquire().await.ok();
        let found = self.list().await?;
        let is_superseded = found
            .iter()
            .any(|found| found.name.unit == name.unit && found.name > name);
        if is_superseded {
            return Ok(None);
        }
        let resume_after = found
            .iter()
            .filter(|found| found.name.unit == name.unit || found.name.unit == Unit::Whole)
            .map(|found| found.floor)
            .max();
        // Consumers live in the server's memory, so after a restart of the server there are none.
        let resume_after = match resume_after {
            Some(floor) => Some(floor),
            None => self.floors.of_unit(name.unit).await?,
        };
        Ok(Some(Takeover {
            name,
            found,
            _permit: permit,
            resume_after,
        }))
    }

    /// Creates the consumer, which begins after the ack floor of its predecessors, and deletes these.
    ///
    /// The epoch in the name only grows. A late acknowledgement by a former holder names a deleted consumer and has
    /// no effect.
    pub(crate) async fn finish_takeover(
        &self,
        takeover: Takeover<'_>,
        filter: String,
    ) -> Result<PullConsumer, BusError> {
        let name_on_server = takeover.name.on_server(self.purpose);
        let consumer = self
            .stream
            .create_consumer(configuration(
                &name_on_server,
                filter,
                takeover.resume_after,
            ))
            .await
            .map_err(|error| {
                BusError::jetstream(format!("creating consumer {name_on_server}"), error)
            })?;
        // Deleted last: a crash in between must not lose the floor.
        for predecessor in takeover
            .of_unit()
            .filter(|found| found.name < takeover.name)
        {
            self.delete(predecessor).await?;
        }
        self.delete_undivided(&takeover.found, takeover.name)
            .await?;
        debug!(
            after = takeover.resume_after,
            "took over with consumer {name_on_server}"
        );
        Ok(consumer)
    }

    /// Stores the ack floor of a consumer and returns it.
    pub(crate) async fn store_floor(&self, name: ConsumerName) -> Result<u64, BusError> {
        let name_on_server = name.on_server(self.purpose);
        let info = self.stream.consumer_info(&name_on_server).await;
        let info = info.map_err(|error| {
            BusError::jetstream(format!("reading consumer {name_on_server}"), error)
        })?;
        let floor = info.ack_floor.stream_sequence;
        self.floors.set(name.unit, floor).await?;
        Ok(floor)
    }

    /// All consumers of this purpose. Concurrent takeovers share one listing, requested after the last of them
    /// began; by then each of them held its unit.
    async fn list(&self) -> Result<Arc<[ExistingConsumer]>, BusError> {
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
        let found: Arc<[ExistingConsumer]> = all
            .into_iter()
            .filter_map(|info| {
                Some(ExistingConsumer {
                    name: ConsumerName::read(&info.name, self.purpose)?,
                    floor: info.ack_floor.stream_sequence,
                    delivered: info.delivered.stream_sequence,
                })
            })
            .collect();
        *listed = Some(Listing {
            began,
            found: Arc::clone(&found),
        });
        Ok(found)
    }

    /// Deletes a consumer of the whole stream once every partition has a consumer that continues from its floor.
    async fn delete_undivided(
        &self,
        found: &[ExistingConsumer],
        name: ConsumerName,
    ) -> Result<(), BusError> {
        let is_divided = (0..PARTITIONS)
            .map(Unit::Partition)
            .all(|unit| unit == name.unit || found.iter().any(|found| found.name.unit == unit));
        if !is_divided {
            return Ok(());
        }
        for undivided in found.iter().filter(|found| found.name.unit == Unit::Whole) {
            self.delete(undivided).await?;
        }
        Ok(())
    }

    async fn delete(&self, found: &ExistingConsumer) -> Result<(), BusError> {
        let name = found.name.on_server(self.purpose);
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
        // On disk, each delivery and acknowledgement is a file written, synced and renamed: at 100 messages a second
        // half of the server's work. `floors` keeps what a restart would forget.
        memory_storage: true,
        ..pull::Config::default()
    }
}
