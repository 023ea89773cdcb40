use async_nats::jetstream::kv::Store;
use tracing::warn;

use crate::{Bus, BusError, Unit, streams::FLOORS};

/// How far a purpose has come in each unit, on disk: where to begin after a restart of the server, which
/// keeps consumers in memory. Written every few seconds, so what was handled since comes again.
pub(crate) struct Floors {
    store: Store,
    prefix: String,
}

impl Floors {
    pub(crate) async fn of(bus: &Bus, purpose: &str) -> Result<Self, BusError> {
        let store = bus.jetstream.get_key_value(FLOORS).await;
        Ok(Self {
            store: store
                .map_err(|error| BusError::jetstream("finding the bucket of floors", error))?,
            prefix: format!("{}.{purpose}", bus.service),
        })
    }

    /// The sequence up to which everything was acknowledged when it was last written down.
    pub(crate) async fn of_unit(&self, unit: Unit) -> Result<Option<u64>, BusError> {
        let value = self.store.get(self.key(unit)).await;
        let value = value.map_err(|error| BusError::jetstream("reading a floor", error))?;
        let floor = value.and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok());
        if floor.is_none() {
            warn!(
                "no floor for {}.{unit}: everything the stream holds is looked at",
                self.prefix
            );
        }
        Ok(floor)
    }

    /// Writes down that everything up to `floor` is acknowledged.
    pub(crate) async fn note(&self, unit: Unit, floor: u64) -> Result<(), BusError> {
        let written = self
            .store
            .put(self.key(unit), floor.to_string().into())
            .await;
        written.map_err(|error| BusError::jetstream("writing a floor", error))?;
        Ok(())
    }

    fn key(&self, unit: Unit) -> String {
        format!("{}.{unit}", self.prefix)
    }
}
