use std::time::Duration;

use async_nats::jetstream::{
    consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull},
    stream::Stream,
};
use futures_util::TryStreamExt;
use tracing::info;

use crate::{Bus, BusError, streams::OWNERS};

/// Events handed to this process and not yet acknowledged, at most. This bounds the memory of all
/// lanes together (about 1 KB an event); past it the server keeps the rest. It is large because
/// people who wait for their sandbox hold their events here.
const MAX_UNACKNOWLEDGED: i64 = 32_768;

/// After this long the server hands an unacknowledged event out again. Recovery never depends on
/// it: a crash or a lost connection is a takeover, which hands out everything at once. An event
/// still in its lane is recognised and not handled twice.
const ACK_WAIT: Duration = Duration::from_mins(10);

/// Makes this process the one consumer of `filter` for `purpose`, beginning after the last event
/// of which everything before was acknowledged.
///
/// The name holds an epoch that only grows: an acknowledgement by a predecessor, however late, names
/// a consumer that is gone and changes nothing. This is the place where partitions shared out
/// among replicas will come in: then `purpose` and `filter` name one partition.
pub(crate) async fn take_over(
    bus: &Bus,
    stream: &Stream,
    purpose: &str,
    filter: String,
) -> Result<PullConsumer, BusError> {
    let epoch = next_epoch(bus, purpose).await?;
    let predecessors = consumers_for(stream, purpose).await?;
    let resume_after = predecessors.iter().map(|(_, floor)| *floor).max();
    let name = format!("{purpose}-e{epoch}");
    let consumer = stream
        .create_consumer(configuration(&name, filter, resume_after))
        .await
        .map_err(|error| BusError::jetstream(format!("making consumer {name}"), error))?;
    // Deleted only now: a crash in between must not lose the place.
    for (predecessor, _) in predecessors {
        stream
            .delete_consumer(&predecessor)
            .await
            .map_err(|error| {
                BusError::jetstream(format!("deleting consumer {predecessor}"), error)
            })?;
    }
    info!(consumer = %name, after = resume_after, "took over as {name}");
    Ok(consumer)
}

async fn next_epoch(bus: &Bus, purpose: &str) -> Result<u64, BusError> {
    let failed = |error: async_nats::Error| {
        BusError::jetstream(format!("counting takeovers of {purpose}"), error)
    };
    let owners = bus
        .jetstream
        .get_key_value(OWNERS)
        .await
        .map_err(|error| failed(error.into()))?;
    let key = format!("epoch.{purpose}");
    owners
        .put(key, bus.service.into())
        .await
        .map_err(|error| failed(error.into()))
}

/// The consumers this purpose has had, each with the sequence up to which all is acknowledged.
async fn consumers_for(stream: &Stream, purpose: &str) -> Result<Vec<(String, u64)>, BusError> {
    let prefix = format!("{purpose}-e");
    let all: Vec<_> =
        stream.consumers().try_collect().await.map_err(|error| {
            BusError::jetstream(format!("listing consumers of {purpose}"), error)
        })?;
    Ok(all
        .into_iter()
        .filter(|info| info.name.starts_with(&prefix))
        .map(|info| (info.name, info.ack_floor.stream_sequence))
        .collect())
}

fn configuration(name: &str, filter: String, resume_after: Option<u64>) -> pull::Config {
    pull::Config {
        durable_name: Some(name.to_owned()),
        filter_subject: filter,
        deliver_policy: match resume_after {
            Some(sequence) => DeliverPolicy::ByStartSequence {
                start_sequence: sequence + 1,
            },
            None => DeliverPolicy::All,
        },
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_ack_pending: MAX_UNACKNOWLEDGED,
        max_deliver: -1,
        ..pull::Config::default()
    }
}
