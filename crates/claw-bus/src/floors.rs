use async_nats::jetstream::kv::Store;
use tracing::debug;

use crate::{Bus, BusError, Unit, streams::FLOORS};

/// The ack floors of a purpose's consumers, kept on disk because a restart of the server forgets its consumers.
/// A stored floor may be several seconds old; later events are redelivered after a restart.
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

    /// The last stored floor of a unit; `None` if none was stored.
    pub(crate) async fn of_unit(&self, unit: Unit) -> Result<Option<u64>, BusError> {
        let value = self.store.get(self.key(unit)).await;
        let value = value.map_err(|error| BusError::jetstream("reading a floor", error))?;
        let floor = value.and_then(|value| std::str::from_utf8(&value).ok()?.parse().ok());
        if floor.is_none() {
            debug!(
                "{}.{unit} has no stored floor: its consumer starts at the beginning of the stream",
                self.prefix
            );
        }
        Ok(floor)
    }

    /// Stores the floor of a unit.
    pub(crate) async fn set(&self, unit: Unit, floor: u64) -> Result<(), BusError> {
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
