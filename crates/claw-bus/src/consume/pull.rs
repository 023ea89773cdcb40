use std::time::Duration;

use async_nats::jetstream::{
    self,
    consumer::{PullConsumer, pull::MessagesErrorKind},
};
use claw_events::Stream;
use futures_util::StreamExt;
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{Bus, BusError, takeover::take_over};

/// Events asked for in one request.
const BATCH: usize = 256;

/// How long one request waits at the server, and how often the server shows that it lives.
const REQUEST_EXPIRES: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Pause before taking over is tried again.
const TAKEOVER_PAUSE: Duration = Duration::from_millis(500);

/// Pulls events from the server in order, taking its place again after every lost connection.
pub(super) struct Puller {
    pub(super) bus: Bus,
    pub(super) stream: Stream,
    pub(super) purpose: &'static str,
    pub(super) filter: String,
}

/// Why pulling from one consumer ended.
enum End {
    /// Nobody listens any more: we are stopping.
    Stopped,
    /// Deliveries may have been lost: take over again.
    Interrupted,
    /// Another process deleted our consumer.
    Replaced,
}

impl Puller {
    pub(super) async fn run(
        self,
        pulled: mpsc::Sender<jetstream::Message>,
        stop: CancellationToken,
    ) -> Result<(), BusError> {
        let ended = stop.run_until_cancelled(self.pull_for_ever(pulled)).await;
        ended.unwrap_or(Ok(()))
    }

    async fn pull_for_ever(
        &self,
        pulled: mpsc::Sender<jetstream::Message>,
    ) -> Result<(), BusError> {
        loop {
            let mut connections = self.bus.connections.clone();
            connections.mark_unchanged();
            let consumer = match self.take_over().await {
                Ok(consumer) => consumer,
                Err(error) => {
                    warn!(
                        consumer = self.purpose,
                        error = &error as &dyn std::error::Error,
                        "{} could not take its place; trying again",
                        self.purpose
                    );
                    sleep(TAKEOVER_PAUSE).await;
                    continue;
                }
            };
            let end = tokio::select! {
                end = self.pull(&consumer, &pulled) => end,
                // What was on its way over the old connection is lost until handed out again.
                _ = connections.changed() => End::Interrupted,
            };
            match end {
                End::Stopped => return Ok(()),
                End::Interrupted => {}
                End::Replaced => {
                    return Err(BusError::TakenOver {
                        consumer: self.purpose,
                    });
                }
            }
        }
    }

    async fn take_over(&self) -> Result<PullConsumer, BusError> {
        let stream = self.bus.stream(self.stream).await?;
        take_over(&self.bus, &stream, self.purpose, self.filter.clone()).await
    }

    async fn pull(
        &self,
        consumer: &PullConsumer,
        pulled: &mpsc::Sender<jetstream::Message>,
    ) -> End {
        let opened = consumer
            .stream()
            .max_messages_per_batch(BATCH)
            .expires(REQUEST_EXPIRES)
            .heartbeat(HEARTBEAT)
            .messages()
            .await;
        let mut messages = match opened {
            Ok(messages) => messages,
            Err(error) => return self.interrupted(&error),
        };
        while let Some(message) = messages.next().await {
            match message {
                Ok(message) => {
                    if pulled.send(message).await.is_err() {
                        return End::Stopped;
                    }
                }
                Err(error) if error.kind() == MessagesErrorKind::ConsumerDeleted => {
                    return End::Replaced;
                }
                Err(error) => return self.interrupted(&error),
            }
        }
        End::Interrupted
    }

    fn interrupted(&self, error: &(dyn std::error::Error + 'static)) -> End {
        warn!(
            consumer = self.purpose,
            error, "{} was interrupted", self.purpose
        );
        End::Interrupted
    }
}
