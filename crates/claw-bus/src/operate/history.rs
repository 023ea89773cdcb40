use async_nats::{
    HeaderMap,
    datetime::DateTime,
    jetstream::{
        self,
        consumer::{Consumer, DeliverPolicy, pull},
        message::StreamMessage,
        stream::RawMessageErrorKind,
    },
};
use claw_events::Stream;
use futures_util::StreamExt;

use super::{Extent, OperateError, Place};
use crate::{Bus, BusError};

/// What one stream has stored, for reading. Leaves nothing behind on the server.
pub(super) struct History {
    pub(super) stream: Stream,
    on_server: jetstream::stream::Stream,
}

/// One stored message without its payload.
pub(super) struct Heading {
    pub(super) sequence: u64,
    pub(super) time: DateTime,
    pub(super) headers: HeaderMap,
}

impl History {
    pub(super) async fn of(bus: &Bus, stream: Stream) -> Result<Self, BusError> {
        let on_server = bus.stream(stream).await?;
        Ok(Self { stream, on_server })
    }

    /// The message at `sequence`, or that there is none.
    pub(super) async fn get(&self, sequence: u64) -> Result<StreamMessage, OperateError> {
        match self.find(sequence).await? {
            Some(message) => Ok(message),
            None => Err(OperateError::Absent(
                Place {
                    stream: self.stream,
                    sequence,
                },
                self.extent().await?,
            )),
        }
    }

    /// The message at `sequence`, if there is one.
    pub(super) async fn find(&self, sequence: u64) -> Result<Option<StreamMessage>, BusError> {
        match self.on_server.get_raw_message(sequence).await {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// What the stream holds now.
    pub(super) async fn extent(&self) -> Result<Extent, BusError> {
        let info = self.on_server.get_info().await;
        let state = info.map_err(|error| self.failed(error))?.state;
        Ok(Extent {
            stream: self.stream,
            held: (state.messages > 0).then_some((state.first_sequence, state.last_sequence)),
        })
    }

    /// Shows all that is stored under `subjects` from `first` on, oldest first. One at a time: a stream
    /// may be larger than our memory.
    pub(super) async fn each_heading(
        &self,
        subjects: String,
        first: u64,
        visit: impl FnMut(Heading),
    ) -> Result<(), BusError> {
        let reader = self
            .on_server
            .create_consumer(pull::OrderedConfig {
                filter_subject: subjects,
                headers_only: true,
                deliver_policy: DeliverPolicy::ByStartSequence {
                    start_sequence: first,
                },
                ..pull::OrderedConfig::default()
            })
            .await
            .map_err(|error| self.failed(error))?;
        let name = reader.cached_info().name.clone();
        let read = Box::pin(self.read(reader, visit)).await;
        // The server would forget it in time; a listing makes one for each letter. One that was made
        // anew after a lost connection is left to time.
        let _gone_or_in_time = self.on_server.delete_consumer(&name).await;
        read
    }

    async fn read(
        &self,
        reader: Consumer<pull::OrderedConfig>,
        mut visit: impl FnMut(Heading),
    ) -> Result<(), BusError> {
        if reader.cached_info().num_pending == 0 {
            return Ok(());
        }
        let messages = reader.messages().await;
        let mut messages = messages.map_err(|error| self.failed(error))?;
        while let Some(message) = messages.next().await {
            let message = message.map_err(|error| self.failed(error))?;
            let info = message.info().map_err(|error| self.failed(error))?;
            visit(Heading {
                sequence: info.stream_sequence,
                time: info.published,
                headers: message.headers.clone().unwrap_or_default(),
            });
            if info.pending == 0 {
                break;
            }
        }
        Ok(())
    }

    fn failed(&self, error: impl Into<async_nats::Error>) -> BusError {
        BusError::jetstream(format!("reading {}", self.stream.name()), error)
    }
}

/// Headers in the order of their names; the server keeps none.
pub(super) fn sorted(headers: &HeaderMap) -> Vec<(&str, &str)> {
    let mut sorted: Vec<_> = headers
        .iter()
        .flat_map(|(name, values)| values.iter().map(|value| (name.as_ref(), value.as_str())))
        .collect();
    sorted.sort_unstable();
    sorted
}

/// `2026-01-02T03:04:05Z`; the server tells times in UTC.
pub(super) fn rfc3339(time: DateTime) -> String {
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        time.year(),
        u8::from(time.month()),
        time.day(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_as_everywhere_else() {
        let time = async_nats::datetime::from_nanos(1_767_323_045_999_000_000).unwrap();

        assert_eq!(rfc3339(time), "2026-01-02T03:04:05Z");
    }
}
