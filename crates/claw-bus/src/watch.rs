use async_nats::{SubscribeError, Subscriber};
use claw_events::{Event, Signal, published_filter, signal_filter};
use futures_util::{Stream, StreamExt};
use serde::de::DeserializeOwned;

use crate::{Bus, BusError};

impl Bus {
    /// Delivers events of this type from now on, to every watcher and without acknowledgement. An event is delivered as it
    /// is published, so it may come twice, or before it is stored, and events during a lost connection are missed. So
    /// they may only prompt a look at the database. When the stream ends, watch again and look at the database for missed
    /// events.
    pub async fn watch<E: Event>(&self) -> Result<impl Stream<Item = E> + use<E>, BusError> {
        self.watch_subjects(E::FACT, published_filter::<E>()).await
    }

    /// Delivers signals of this type from now on, to every watcher, as [`Bus::watch`] delivers events.
    pub async fn watch_signals<S: Signal>(
        &self,
    ) -> Result<impl Stream<Item = S> + use<S>, BusError> {
        self.watch_subjects(S::NAME, signal_filter::<S>(None)).await
    }

    async fn watch_subjects<T: DeserializeOwned>(
        &self,
        name: &'static str,
        filter: String,
    ) -> Result<impl Stream<Item = T> + use<T>, BusError> {
        let failed =
            |error: async_nats::Error| BusError::jetstream(format!("watching {name}"), error);
        let mut connections = self.connections.clone();
        connections.mark_unchanged();
        let subscribed = self.client.subscribe(filter).await;
        let messages = subscribed.map_err(|error| failed(error.into()))?;
        // After a round trip the server knows the subscription.
        let answered = self.jetstream.query_account().await;
        answered.map_err(|error| failed(error.into()))?;
        let interrupted = async move {
            let _ended = connections.changed().await;
        };
        Ok(messages
            .take_until(Box::pin(interrupted))
            .filter_map(|message| {
                std::future::ready(serde_json::from_slice(&message.payload).ok())
            }))
    }

    /// Delivers signals of this type from now on, each to one of the service's replicas.
    pub async fn share_signals<S: Signal>(
        &self,
    ) -> Result<impl Stream<Item = S> + use<S>, BusError> {
        let group = self.service.to_owned();
        let subscriber = self
            .client
            .queue_subscribe(signal_filter::<S>(None), group)
            .await;
        subscriber.map(read_signals).map_err(subscribe_error::<S>)
    }

    /// Delivers signals of this type from now on, each to every listener: those about one id, or all for `None`.
    pub async fn hear_signals<S: Signal>(
        &self,
        about: Option<&str>,
    ) -> Result<impl Stream<Item = S> + use<S>, BusError> {
        let subscriber = self.client.subscribe(signal_filter::<S>(about)).await;
        subscriber.map(read_signals).map_err(subscribe_error::<S>)
    }
}

fn read_signals<S: Signal>(subscriber: Subscriber) -> impl Stream<Item = S> + use<S> {
    subscriber
        .filter_map(|message| std::future::ready(serde_json::from_slice(&message.payload).ok()))
}

fn subscribe_error<S: Signal>(error: SubscribeError) -> BusError {
    BusError::jetstream(format!("subscribing to {} signals", S::NAME), error)
}
