use std::collections::VecDeque;

use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use chrono::{DateTime, Utc};
use claw_events::{OperatorEvent, Stream};
use futures_util::StreamExt;

use super::StreamHistory;
use crate::{Bus, BusError};

/// The operator events in `OPERATOR`.
pub struct OperatorEvents {
    history: StreamHistory,
}

/// An operator event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldEvent {
    /// The sequence in `OPERATOR`.
    pub sequence: u64,
    /// When the event was stored.
    pub time: DateTime<Utc>,
    /// The service that told it. The server lets no service use the name of another.
    pub service: String,
    /// The kind in the subject, also if this version does not know it.
    pub kind: String,
    /// The event; `None` if this version cannot read it.
    pub event: Option<OperatorEvent>,
}

/// The newest operator events, and how many there are.
#[derive(Debug)]
pub struct NewestOperatorEvents {
    /// At most the requested number of events, oldest first.
    pub events: VecDeque<ToldEvent>,
    /// The number of all events of the same selection.
    pub total: usize,
    /// The sequence after the last event that was read: where [`OperatorEvents::follow`] goes on.
    pub next: u64,
}

impl OperatorEvents {
    /// Finds `OPERATOR` on the server.
    pub async fn open(bus: &Bus) -> Result<Self, BusError> {
        Ok(Self {
            history: StreamHistory::open(bus, Stream::Operator).await?,
        })
    }

    /// The `limit` newest events of one kind, or of all.
    pub async fn newest(
        &self,
        kind: Option<&str>,
        limit: usize,
    ) -> Result<NewestOperatorEvents, BusError> {
        let mut newest = NewestOperatorEvents {
            events: VecDeque::new(),
            total: 0,
            next: 1,
        };
        self.history
            .visit(reading(kind, 1), |message, info| {
                newest.total += 1;
                newest.next = info.stream_sequence + 1;
                newest.events.push_back(told(
                    &message.subject,
                    &message.payload,
                    info.stream_sequence,
                    info.published,
                ));
                if newest.events.len() > limit {
                    newest.events.pop_front();
                }
            })
            .await?;
        Ok(newest)
    }

    /// Calls `visit` for every event of one kind, or of all, from the sequence `from` on, and for each later one as it is
    /// told. Returns only with an error, of the connection or of `visit`.
    pub async fn follow<E: From<BusError>>(
        &self,
        kind: Option<&str>,
        from: u64,
        mut visit: impl FnMut(ToldEvent) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut messages = self.history.messages(reading(kind, from)).await?;
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| self.history.failed(error))?;
            let info = message.info().map_err(|error| self.history.failed(error))?;
            visit(told(
                &message.subject,
                &message.payload,
                info.stream_sequence,
                info.published,
            ))?;
        }
        Ok(())
    }
}

fn reading(kind: Option<&str>, from: u64) -> pull::OrderedConfig {
    pull::OrderedConfig {
        filter_subject: format!("{}.*.{}", Stream::Operator.family(), kind.unwrap_or("*")),
        deliver_policy: DeliverPolicy::ByStartSequence {
            start_sequence: from,
        },
        ..pull::OrderedConfig::default()
    }
}

fn told(subject: &str, payload: &[u8], sequence: u64, time: DateTime<Utc>) -> ToldEvent {
    let mut tokens = subject.split('.').skip(1).map(str::to_owned);
    ToldEvent {
        sequence,
        time,
        service: tokens.next().unwrap_or_default(),
        kind: tokens.next().unwrap_or_default(),
        event: serde_json::from_slice(payload).ok(),
    }
}
