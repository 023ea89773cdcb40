use std::fmt;

use async_nats::{
    HeaderMap,
    jetstream::{
        self,
        consumer::{Consumer, DeliverPolicy, pull},
        message::Info,
        stream::RawMessageErrorKind,
    },
};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use claw_domain::UserId;
use claw_events::{Event, Stream, stored_filter_of};
use futures_util::StreamExt;

use crate::{Bus, BusError};

/// A position in a stream. Prints as `INBOUND:17`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamPosition {
    /// The stream that stores the event.
    pub stream: Stream,
    /// The sequence of the event in the stream, from 1.
    pub sequence: u64,
}

impl fmt::Display for StreamPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.stream.name(), self.sequence)
    }
}

/// The range of sequences in a stream at the time of the request. Prints as a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamExtent {
    stream: Stream,
    /// The first and the last sequence; `None` for an empty stream.
    held: Option<(u64, u64)>,
}

impl StreamExtent {
    /// Whether `sequence` lies between the first and the last event of the stream.
    pub const fn contains(&self, sequence: u64) -> bool {
        match self.held {
            Some((first, last)) => first <= sequence && sequence <= last,
            None => false,
        }
    }
}

impl fmt::Display for StreamExtent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.stream.name();
        match self.held {
            Some((first, last)) => write!(
                f,
                "{name} holds {first} to {last}, older events have aged out"
            ),
            None => write!(f, "{name} is empty"),
        }
    }
}

/// An event as stored in its stream.
#[derive(Debug, Clone)]
pub struct StoredEvent {
    /// Where it is stored.
    pub position: StreamPosition,
    /// The subject it is stored under, partition included.
    pub subject: String,
    /// When the server stored it.
    pub time: DateTime<Utc>,
    /// The event as JSON, which may contain personal data.
    pub payload: Bytes,
    pub(super) headers: HeaderMap,
}

impl StoredEvent {
    /// The headers, sorted by name because the server keeps no order.
    pub fn headers(&self) -> Vec<(&str, &str)> {
        let mut sorted: Vec<_> = self
            .headers
            .iter()
            .flat_map(|(name, values)| values.iter().map(|value| (name.as_ref(), value.as_str())))
            .collect();
        sorted.sort_unstable();
        sorted
    }
}

/// Reads the events that one stream stores.
pub struct StreamHistory {
    pub(super) stream: Stream,
    on_server: jetstream::stream::Stream,
    bus: Bus,
}

/// A stored event without its payload.
pub(super) struct StoredHeaders {
    pub(super) sequence: u64,
    pub(super) time: DateTime<Utc>,
    pub(super) subject: String,
    pub(super) headers: HeaderMap,
}

impl StreamHistory {
    /// Finds the stream on the server.
    pub async fn open(bus: &Bus, stream: Stream) -> Result<Self, BusError> {
        let on_server = bus.stream(stream).await?;
        Ok(Self {
            stream,
            on_server,
            bus: bus.clone(),
        })
    }

    /// The event at `sequence`; `None` if no event is stored there.
    pub async fn find(&self, sequence: u64) -> Result<Option<StoredEvent>, BusError> {
        match self.on_server.get_raw_message(sequence).await {
            Ok(message) => Ok(Some(StoredEvent {
                position: self.position(sequence),
                subject: message.subject.to_string(),
                time: message.time,
                payload: message.payload,
                headers: message.headers,
            })),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// The sequences that the stream holds now.
    pub async fn extent(&self) -> Result<StreamExtent, BusError> {
        let info = self.on_server.get_info().await;
        let state = info.map_err(|error| self.failed(error))?.state;
        Ok(StreamExtent {
            stream: self.stream,
            held: (state.messages > 0).then_some((state.first_sequence, state.last_sequence)),
        })
    }

    /// `sequence` as a position in this stream.
    pub const fn position(&self, sequence: u64) -> StreamPosition {
        StreamPosition {
            stream: self.stream,
            sequence,
        }
    }

    /// Calls `visit` for every event stored under `subjects` from `first` on, oldest first. They are not collected,
    /// because a stream may be larger than the memory.
    pub(super) async fn visit_headers(
        &self,
        subjects: String,
        first: u64,
        mut visit: impl FnMut(StoredHeaders),
    ) -> Result<(), BusError> {
        let config = pull::OrderedConfig {
            filter_subject: subjects,
            headers_only: true,
            deliver_policy: DeliverPolicy::ByStartSequence {
                start_sequence: first,
            },
            ..pull::OrderedConfig::default()
        };
        self.visit(config, |message, info| {
            visit(StoredHeaders {
                sequence: info.stream_sequence,
                time: info.published,
                subject: message.subject.to_string(),
                headers: message.headers.clone().unwrap_or_default(),
            });
        })
        .await
    }

    /// Calls `visit` for every event of this type about `user` that was stored since then, oldest first. Skips what
    /// cannot be decoded.
    pub(crate) async fn visit_since<E: Event>(
        &self,
        user: UserId,
        since: DateTime<Utc>,
        mut visit: impl FnMut(E),
    ) -> Result<(), BusError> {
        let config = pull::OrderedConfig {
            filter_subject: stored_filter_of::<E>(user),
            deliver_policy: DeliverPolicy::ByStartTime { start_time: since },
            ..pull::OrderedConfig::default()
        };
        self.visit(config, |message, _info| {
            if let Ok(event) = serde_json::from_slice(&message.payload) {
                visit(event);
            }
        })
        .await
    }

    /// Reads with a consumer of this configuration until it has read everything that was stored when it began.
    pub(super) async fn visit(
        &self,
        config: pull::OrderedConfig,
        visit: impl FnMut(&jetstream::Message, &Info<'_>),
    ) -> Result<(), BusError> {
        let name = self.bus.unique();
        let config = pull::OrderedConfig {
            // Services may create named consumers only.
            name: Some(name.clone()),
            ..config
        };
        let consumer = self.on_server.create_consumer(config).await;
        let consumer = consumer.map_err(|error| self.failed(error))?;
        let read = Box::pin(self.read(consumer, visit)).await;
        // The server deletes an idle consumer by itself, but a listing creates one for each dead letter.
        // A consumer that the client recreated after a lost connection has another name and expires.
        let _deleted_or_expires = self.on_server.delete_consumer(&name).await;
        read
    }

    /// Events as they arrive, without end. The server deletes the consumer once nobody reads from it.
    pub(super) async fn messages(
        &self,
        config: pull::OrderedConfig,
    ) -> Result<pull::Ordered, BusError> {
        let consumer = self.on_server.create_consumer(config).await;
        let messages = consumer
            .map_err(|error| self.failed(error))?
            .messages()
            .await;
        messages.map_err(|error| self.failed(error))
    }

    async fn read(
        &self,
        consumer: Consumer<pull::OrderedConfig>,
        mut visit: impl FnMut(&jetstream::Message, &Info<'_>),
    ) -> Result<(), BusError> {
        if consumer.cached_info().num_pending == 0 {
            return Ok(());
        }
        let messages = consumer.messages().await;
        let mut messages = messages.map_err(|error| self.failed(error))?;
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| self.failed(error))?;
            let info = message.info().map_err(|error| self.failed(error))?;
            visit(&message, &info);
            if info.pending == 0 {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn failed(&self, error: impl Into<async_nats::Error>) -> BusError {
        BusError::jetstream(format!("reading {}", self.stream.name()), error)
    }
}
