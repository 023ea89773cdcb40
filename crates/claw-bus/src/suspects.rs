//! Recognises poisonous events, whose handling ends the process (out of memory, abort, stack overflow), so that they
//! end in `DEAD` and not in a loop of crashes.
//!
//! While no process dies, nothing is recorded. When the lease of a holder has expired, the next holder treats as
//! *suspects* the events that were delivered to the dead one and not acknowledged. It records which suspects it
//! begins before it begins them, few at a time. If it dies as well, those are *accused*: each is handled while no
//! other suspect is, after the process has held the unit for some time. An accused event that is being handled at
//! one more death is fatal, and goes to `DEAD`.
//!
//! So an event is given up after three deaths in a row during which it was in progress: the first one among all
//! events, the second among a few, the third alone. A process that dies of something else hardly ever meets these
//! conditions for an innocent event.

mod record;
mod records;

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as AsyncMutex, Semaphore, SemaphorePermit},
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::{debug, warn};

use crate::{BusError, Tenure};
pub(crate) use record::FATAL_DEATHS;
use record::{Record, Standing, Takeover};
pub(crate) use records::SuspectRecords;

/// Largest number of suspects that a process handles at a time, over all units and consumers. After another death they
/// are handled one by one.
const AT_ONCE: u32 = 16;

/// How long a unit is held before an accused event is handled. A process that dies sooner, of whatever else, accuses
/// no event a second time.
const QUIET: Duration = Duration::from_secs(3);

/// An event that has been handled for so long does not end the process, and delays no other suspect any longer. Some
/// wait for much longer: for WhatsApp's report, or for the start of a sandbox.
const SURVIVED_AFTER: Duration = Duration::from_secs(3);

/// Pause before a failed write is retried.
const PAUSE: Duration = Duration::from_millis(100);

/// What the consumers of a process share to handle suspects.
pub(crate) struct SuspectGate {
    /// The name of this process in the records.
    process: String,
    permits: Semaphore,
}

impl SuspectGate {
    /// `process` must differ between processes.
    pub(crate) fn new(process: String) -> Self {
        Self {
            process,
            permits: Semaphore::new(AT_ONCE as usize),
        }
    }
}

/// The suspects of one purpose under one tenure.
pub(crate) struct Suspects {
    gate: Arc<SuspectGate>,
    records: Arc<SuspectRecords>,
    tenure: Tenure,
    since: Instant,
    known: Mutex<Known>,
    stored: AsyncMutex<Stored>,
}

/// The present record and its version in this process.
struct Known {
    record: Record,
    version: u64,
}

/// What the bucket holds.
struct Stored {
    version: u64,
    revision: u64,
}

/// The progress of the unit's former consumers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    /// Every event up to this sequence is acknowledged.
    pub(crate) floor: u64,
    /// The last sequence that was delivered.
    pub(crate) delivered: u64,
}

impl Suspects {
    /// The suspects that the tenure begins with; `None` if there are none. Stores what a death revealed, so it must be
    /// called before an event of the unit is handled and while the former consumers exist.
    pub(crate) async fn at_takeover(
        gate: &Arc<SuspectGate>,
        records: &Arc<SuspectRecords>,
        tenure: &Tenure,
        progress: Progress,
    ) -> Result<Option<Self>, BusError> {
        let unit = tenure.unit();
        loop {
            let (former, mut revision) = records.of_unit(unit).await?;
            let record = former.clone().taken_over(&Takeover {
                epoch: tenure.epoch(),
                process: &gate.process,
                follows_death: tenure.follows_lapse(),
                floor: progress.floor,
                delivered: progress.delivered,
            });
            if !record.agrees_with(&former) {
                match records.replace(unit, &record, revision).await? {
                    Some(written) => revision = written,
                    // The former holder wrote meanwhile.
                    None => continue,
                }
            }
            for (sequence, deaths) in record.accused() {
                let deaths = deaths + 1;
                warn!(
                    event.sequence = sequence,
                    "{deaths} processes have died while they handled event {sequence}"
                );
            }
            if !record.has_suspects() {
                return Ok(None);
            }
            debug!("the last holder of {unit} died; the events that it was given are recorded");
            return Ok(Some(Self {
                gate: Arc::clone(gate),
                records: Arc::clone(records),
                tenure: tenure.clone(),
                since: Instant::now(),
                known: Mutex::new(Known { record, version: 0 }),
                stored: AsyncMutex::new(Stored {
                    version: 0,
                    revision,
                }),
            }));
        }
    }

    /// Whether the event must not be handled without [`Suspects::begin`].
    pub(crate) fn include(&self, sequence: u64) -> bool {
        self.known().record.suspects(sequence)
    }

    /// Waits until the event may be handled, and records that it is. Never returns if another replica has taken the
    /// unit over, so wait for the end of the tenure as well.
    pub(crate) async fn begin(&self, sequence: u64) -> Verdict<'_> {
        let standing = self.known().record.standing(sequence);
        let permits = match standing {
            Standing::Unproven => 1,
            Standing::Accused => {
                sleep_until(self.since + QUIET).await;
                AT_ONCE
            }
            Standing::Fatal => return Verdict::Fatal,
        };
        let permit = self.gate.permits.acquire_many(permits).await;
        let version = self.change(|record| record.begin(sequence));
        if !self.store(version).await {
            self.tenure.lost().cancelled().await;
        }
        Verdict::Trial(Trial {
            suspects: self,
            sequence,
            // The semaphore is never closed.
            permit: permit.ok(),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Record)) -> u64 {
        let mut known = self.known();
        change(&mut known.record);
        known.version += 1;
        known.version
    }

    /// Stores the record in this version or a later one; concurrent calls share a write. `false` if the tenure was
    /// lost.
    async fn store(&self, version: u64) -> bool {
        let unit = self.tenure.unit();
        let mut stored = self.stored.lock().await;
        while stored.version < version {
            if !self.tenure.may_act() {
                return false;
            }
            let (record, version) = {
                let mut known = self.known();
                known.record.epoch = self.tenure.epoch();
                (known.record.clone(), known.version)
            };
            match self.records.replace(unit, &record, stored.revision).await {
                Ok(Some(revision)) => *stored = Stored { version, revision },
                Ok(None) => match self.records.of_unit(unit).await {
                    Ok((other, _)) if other.epoch > record.epoch => return false,
                    // Written by a former holder, or by us with a lost answer.
                    Ok((_, revision)) => stored.revision = revision,
                    Err(error) => self.log_failure(&error).await,
                },
                Err(error) => self.log_failure(&error).await,
            }
        }
        true
    }

    async fn log_failure(&self, error: &BusError) {
        warn!(
            error = error as &dyn std::error::Error,
            "recording which events are handled failed; trying again"
        );
        sleep(PAUSE).await;
    }
}

/// What becomes of a suspect.
pub(crate) enum Verdict<'a> {
    /// It may be handled.
    Trial(Trial<'a>),
    /// It has ended [`FATAL_DEATHS`] processes on the record, and must not be handled again.
    Fatal,
}

/// The handling of a suspect, which is on the record.
pub(crate) struct Trial<'a> {
    suspects: &'a Suspects,
    sequence: u64,
    permit: Option<SemaphorePermit<'a>>,
}

impl Trial<'_> {
    /// Handles the event and records that this process has survived it.
    pub(crate) async fn run<T>(self, handling: impl Future<Output = T>) -> T {
        let mut handling = pin!(handling);
        let done = timeout(SURVIVED_AFTER, &mut handling).await;
        self.survived().await;
        match done {
            Ok(done) => done,
            Err(_goes_on) => handling.await,
        }
    }

    async fn survived(self) {
        let suspects = self.suspects;
        let version = suspects.change(|record| record.survive(self.sequence));
        // Stored before the next suspect may begin, because it must not be blamed for that one.
        suspects.store(version).await;
        drop(self.permit);
    }
}
