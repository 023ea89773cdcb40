use async_nats::jetstream::kv::{Store, UpdateErrorKind};

use super::record::Record;
use crate::{Bus, BusError, Unit, streams::FLOORS};

/// The records of suspects of one purpose, kept beside the ack floors. After a power failure the newest may be
/// missing, which costs another death.
pub(crate) struct SuspectRecords {
    store: Store,
    prefix: String,
}

impl SuspectRecords {
    pub(crate) async fn of(bus: &Bus, purpose: &str) -> Result<Self, BusError> {
        let store = bus.jetstream.get_key_value(FLOORS).await;
        Ok(Self {
            store: store
                .map_err(|error| BusError::jetstream("finding the bucket of suspects", error))?,
            prefix: format!("{}.{purpose}", bus.service),
        })
    }

    /// The record of a unit and its revision; an empty record and 0 if there is none. An unreadable record counts as
    /// empty, because without it only more deaths are needed.
    pub(super) async fn of_unit(&self, unit: Unit) -> Result<(Record, u64), BusError> {
        let entry = self.store.entry(self.key(unit)).await;
        let entry =
            entry.map_err(|error| BusError::jetstream("reading a record of suspects", error))?;
        Ok(entry.map_or_else(Default::default, |entry| {
            let record = serde_json::from_slice(&entry.value).unwrap_or_default();
            (record, entry.revision)
        }))
    }

    /// Stores a record if the unit's record still has this revision. Returns the new revision; `None` if it has not.
    pub(super) async fn replace(
        &self,
        unit: Unit,
        record: &Record,
        revision: u64,
    ) -> Result<Option<u64>, BusError> {
        let failed =
            |error: async_nats::Error| BusError::jetstream("writing a record of suspects", error);
        let json = serde_json::to_vec(record).map_err(|error| failed(error.into()))?;
        let written = self.store.update(self.key(unit), json.into(), revision);
        match written.await {
            Ok(revision) => Ok(Some(revision)),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(None),
            Err(error) => Err(failed(error.into())),
        }
    }

    fn key(&self, unit: Unit) -> String {
        format!("{}.{unit}.suspects", self.prefix)
    }
}
