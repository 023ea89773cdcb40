use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use claw_events::{Event, TypingStarted, stored_filter};
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

    /// Typing signals from now on. Several listeners of one service share them.
    pub async fn typing_signals(
        &self,
    ) -> Result<impl Stream<Item = TypingStarted> + use<>, BusError> {
        let subscriber = self
            .client
            .queue_subscribe(TypingStarted::FILTER, self.service.to_owned())
            .await
            .map_err(|error| BusError::jetstream("subscribing to typing signals", error))?;
        Ok(subscriber.filter_map(|message| {
            std::future::ready(serde_json::from_slice(&message.payload).ok())
        }))
    }
}
