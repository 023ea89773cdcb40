use async_nats::{
    SubscribeError, Subscriber,
    jetstream::{
        Message,
        consumer::{DeliverPolicy, pull},
    },
};
use claw_events::{Event, Signal, signal_filter, stored_filter};
use futures_util::{Stream, StreamExt};

use crate::{Bus, BusError};

impl Bus {
    /// Delivers events of this type from now on, to every watcher and without acknowledgement. Events during a lost
    /// connection may be missed, so they may only prompt a look at the database. When the stream ends, watch again
    /// and look at the database for missed events.
    pub async fn watch<E: Event>(&self) -> Result<impl Stream<Item = E> + use<E>, BusError> {
        let failed =
            |error: async_nats::Error| BusError::jetstream(format!("watching {}", E::FACT), error);
        let stream = self.stream(E::STREAM).await?;
        // A consumer that the client creates again before its first event starts at the beginning of the stream.
        let before = stream.cached_info().state.last_sequence;
        let is_news = move |message: &Message| {
            let info = message.info();
            info.is_ok_and(|info| info.stream_sequence > before)
        };
        let consumer = stream
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
            .filter_map(move |message| {
                std::future::ready(
                    message
                        .ok()
                        .filter(is_news)
                        .and_then(|m| serde_json::from_slice(&m.payload).ok()),
                )
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
