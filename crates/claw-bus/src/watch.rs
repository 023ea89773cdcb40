use async_nats::{
    SubscribeError, Subscriber,
    jetstream::consumer::{DeliverPolicy, pull},
};
use claw_events::{Event, Signal, signal_filter, stored_filter};
use futures_util::{Stream, StreamExt};

use crate::{Bus, BusError};

impl Bus {
    /// Events of this type from now on, to everyone who watches, for what is only a nudge to look at
    /// the database again: events during a lost connection may be missed, nothing is acknowledged.
    /// Ends when the server forgets the watch; then watch again and look.
    pub async fn watch<E: Event>(&self) -> Result<impl Stream<Item = E> + use<E>, BusError> {
        let failed =
            |error: async_nats::Error| BusError::jetstream(format!("watching {}", E::FACT), error);
        let consumer = self
            .stream(E::STREAM)
            .await?
            .create_consumer(pull::OrderedConfig {
                filter_subject: stored_filter::<E>(),
                deliver_policy: DeliverPolicy::New,
                ..pull::OrderedConfig::default()
            })
            .await
            .map_err(|error| failed(error.into()))?;
        let messages = consumer
            .messages()
            .await
            .map_err(|error| failed(error.into()))?;
        Ok(messages
            .take_while(|message| std::future::ready(message.is_ok()))
            .filter_map(|message| {
                std::future::ready(
                    message
                        .ok()
                        .and_then(|m| serde_json::from_slice(&m.payload).ok()),
                )
            }))
    }

    /// Signals of this kind from now on, each to one of the service's listeners.
    pub async fn share_signals<S: Signal>(
        &self,
    ) -> Result<impl Stream<Item = S> + use<S>, BusError> {
        let group = self.service.to_owned();
        let subscriber = self
            .client
            .queue_subscribe(signal_filter::<S>(None), group)
            .await;
        subscriber.map(read_signals).map_err(deaf::<S>)
    }

    /// Signals of this kind from now on, about one thing or all, each to every listener.
    pub async fn hear_signals<S: Signal>(
        &self,
        about: Option<&str>,
    ) -> Result<impl Stream<Item = S> + use<S>, BusError> {
        let subscriber = self.client.subscribe(signal_filter::<S>(about)).await;
        subscriber.map(read_signals).map_err(deaf::<S>)
    }
}

fn read_signals<S: Signal>(subscriber: Subscriber) -> impl Stream<Item = S> + use<S> {
    subscriber
        .filter_map(|message| std::future::ready(serde_json::from_slice(&message.payload).ok()))
}

fn deaf<S: Signal>(error: SubscribeError) -> BusError {
    BusError::jetstream(format!("subscribing to {} signals", S::NAME), error)
}
