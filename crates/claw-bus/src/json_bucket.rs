use std::time::Duration;

use async_nats::jetstream::kv::{CreateErrorKind, Operation, Store, UpdateErrorKind};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use serde::{Serialize, de::DeserializeOwned};
use tokio::time::timeout;

use crate::{Bus, BusError, streams::ACCOUNT_OF_JSON_BUCKETS};

/// Longest wait for one answer of the server. Some of the waiting code serves a live phone call.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// A key-value bucket whose values are JSON. Cheap to clone.
#[derive(Clone)]
pub struct JsonBucket {
    name: &'static str,
    store: Store,
}

/// A value that was put into a bucket while it was watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// The key it was put under.
    pub key: String,
    json: Bytes,
}

impl JsonBucket {
    /// Opens a bucket that [`crate::ensure`] has created in the account of ingress. Only ingress can watch it.
    pub async fn open(bus: &Bus, name: &'static str) -> Result<Self, BusError> {
        let jetstream = bus.jetstream_in(ACCOUNT_OF_JSON_BUCKETS);
        let opened = jetstream.get_key_value(name).await;
        let store = opened
            .map_err(|error| BusError::jetstream(format!("finding the bucket {name}"), error))?;
        Ok(Self { name, store })
    }

    /// The value of `key`; `None` if it has none, or one that is not a `T`.
    pub async fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, BusError> {
        let value = self.in_time("reading", self.store.get(key)).await?;
        let value = value.map_err(|error| self.failed("reading", error))?;
        Ok(value.and_then(|json| serde_json::from_slice(&json).ok()))
    }

    /// As [`Self::get`], with the revision that [`Self::update`] needs.
    pub async fn get_with_revision<T: DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<(T, u64)>, BusError> {
        let entry = self.in_time("reading", self.store.entry(key)).await?;
        let entry = entry.map_err(|error| self.failed("reading", error))?;
        Ok(entry.and_then(|entry| {
            let value = serde_json::from_slice(&entry.value).ok()?;
            Some((value, entry.revision))
        }))
    }

    /// Sets the value of `key`. The last write wins.
    pub async fn put(&self, key: &str, value: &impl Serialize) -> Result<(), BusError> {
        let json = self.json(value)?;
        let written = self
            .in_time("writing to", self.store.put(key, json))
            .await?;
        written.map_err(|error| self.failed("writing to", error))?;
        Ok(())
    }

    /// Sets the value of `key` if it has none; `false` if it has one.
    pub async fn create(&self, key: &str, value: &impl Serialize) -> Result<bool, BusError> {
        let json = self.json(value)?;
        let created = self.in_time("writing to", self.store.create(key, json));
        match created.await? {
            Ok(_revision) => Ok(true),
            Err(error) if error.kind() == CreateErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(self.failed("writing to", error)),
        }
    }

    /// Sets the value of `key` if its revision is still `revision`; `false` if it is not.
    pub async fn update(
        &self,
        key: &str,
        value: &impl Serialize,
        revision: u64,
    ) -> Result<bool, BusError> {
        let json = self.json(value)?;
        let updated = self.in_time("writing to", self.store.update(key, json, revision));
        match updated.await? {
            Ok(_revision) => Ok(true),
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(false),
            Err(error) => Err(self.failed("writing to", error)),
        }
    }

    /// Every value written from now on by any client. The stream ends when the server has dropped the watch. The caller
    /// must then watch again, and read the values that it may have missed.
    pub async fn watch(&self) -> Result<impl Stream<Item = Written> + use<>, BusError> {
        let watch = self.in_time("watching", self.store.watch(">")).await?;
        let watch = watch.map_err(|error| self.failed("watching", error))?;
        Ok(watch
            .take_while(|entry| std::future::ready(entry.is_ok()))
            .filter_map(|entry| {
                let put = entry.ok().filter(|entry| entry.operation == Operation::Put);
                std::future::ready(put.map(|entry| Written {
                    key: entry.key,
                    json: entry.value,
                }))
            }))
    }

    /// Boxed: the client's futures take some 20 KB each, and many tasks wait here at once.
    fn in_time<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = T>,
    ) -> impl Future<Output = Result<T, BusError>> {
        let work = Box::pin(work);
        async move {
            let done = timeout(ANSWER_TIMEOUT, work).await;
            done.map_err(|late| self.failed(operation, late))
        }
    }

    fn json(&self, value: &impl Serialize) -> Result<Bytes, BusError> {
        let json = serde_json::to_vec(value);
        let json = json.map_err(|error| self.failed("encoding a value for", error))?;
        Ok(json.into())
    }

    fn failed(&self, operation: &str, source: impl Into<async_nats::Error>) -> BusError {
        BusError::jetstream(format!("{operation} the bucket {}", self.name), source)
    }
}

impl Written {
    /// The value, if it is a `T`.
    pub fn value<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.json).ok()
    }
}
