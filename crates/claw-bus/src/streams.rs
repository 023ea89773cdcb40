use std::time::Duration;

use async_nats::jetstream::{
    self, kv,
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, SubjectTransform},
};
use claw_events::{PARTITIONS, Stream};

use crate::{Bus, BusError};

const DAY: Duration = Duration::from_hours(24);
const GIB: i64 = 1024 * 1024 * 1024;

/// How long the server itself remembers ids. It keeps them in memory, so this is a fast filter for
/// the usual quick repetitions; consumers remember for the 7 days Meta goes on repeating.
const DUPLICATE_WINDOW: Duration = Duration::from_mins(10);

/// Largest event: a message of an unknown kind travels whole. The server's `max_payload` is as large.
const MAX_EVENT_BYTES: i32 = 1024 * 1024;

/// The bucket in which replicas share out their work; its revisions are the epochs. On disk: the
/// revisions of a bucket in memory begin again at 1 when the server restarts.
pub(crate) const OWNERS: &str = "OWN";

/// How long the bucket remembers that a key lapsed. It is told to whoever watches at that moment; the
/// mark must only outlive the key's last writer.
pub(crate) const MARKERS_KEPT: Duration = Duration::from_mins(1);

/// The bucket of how far each consumer has come.
pub(crate) const FLOORS: &str = "FLOORS";

/// The bucket of people who changed their address.
const ALIASES: &str = "ALIASES";

/// The bucket that `claw-calls` keeps live calls in.
pub const CALLS: &str = "CALLS";

/// How long an entry of [`CALLS`] is kept: Twilio ends a call after four hours by default.
const CALLS_KEPT: Duration = Duration::from_hours(6);

/// A stream or bucket that exists on the server as it is defined here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// A stream of this name.
    Stream(&'static str),
    /// A bucket of this name.
    Bucket(&'static str),
}

/// Creates the streams and buckets, or brings existing ones to this definition. Safe to repeat.
pub async fn ensure(bus: &Bus) -> Result<Vec<Ensured>, BusError> {
    let mut ensured = Vec::new();
    for stream in Stream::ALL {
        bus.jetstream
            .create_or_update_stream(definition(stream))
            .await
            .map_err(|error| {
                BusError::jetstream(format!("making stream {}", stream.name()), error)
            })?;
        ensured.push(Ensured::Stream(stream.name()));
    }
    for bucket in [OWNERS, FLOORS, ALIASES, CALLS] {
        bus.jetstream
            .create_or_update_key_value(bucket_definition(bucket))
            .await
            .map_err(|error| BusError::jetstream(format!("making bucket {bucket}"), error))?;
        ensured.push(Ensured::Bucket(bucket));
    }
    Ok(ensured)
}

fn definition(stream: Stream) -> Config {
    let limits = limits(stream);
    Config {
        name: stream.name().to_owned(),
        subjects: vec![format!("{}.*.*", stream.family())],
        subject_transform: partitioned(stream),
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        max_age: limits.age,
        max_bytes: limits.bytes,
        max_message_size: MAX_EVENT_BYTES,
        discard: limits.when_full,
        duplicate_window: DUPLICATE_WINDOW,
        allow_direct: true,
        allow_atomic_publish: stream == Stream::Inbound,
        deny_delete: stream == Stream::Dead,
        ..Config::default()
    }
}

struct Limits {
    age: Duration,
    bytes: i64,
    when_full: DiscardPolicy,
}

/// Where losing an event would go unnoticed, a full stream refuses (the publisher tries again, and
/// the sender of a webhook gets a 503); receipts only inform, so the oldest go.
fn limits(stream: Stream) -> Limits {
    let (days, gibibytes, when_full) = match stream {
        Stream::Inbound => (30, 16, DiscardPolicy::New),
        Stream::Outbound => (30, 8, DiscardPolicy::New),
        Stream::Receipts => (30, 4, DiscardPolicy::Old),
        Stream::Sandbox => (30, 1, DiscardPolicy::New),
        Stream::Dead => (90, 4, DiscardPolicy::New),
    };
    Limits {
        age: DAY * days,
        bytes: gibibytes * GIB,
        when_full,
    }
}

/// `in.message.usr_1` is stored as `in.17.message.usr_1`: the partition follows from the user.
fn partitioned(stream: Stream) -> Option<SubjectTransform> {
    let family = stream.family();
    (stream != Stream::Dead).then(|| SubjectTransform {
        source: format!("{family}.*.*"),
        destination: format!(
            "{family}.{{{{partition({PARTITIONS},2)}}}}.{{{{wildcard(1)}}}}.{{{{wildcard(2)}}}}"
        ),
    })
}

fn bucket_definition(bucket: &str) -> kv::Config {
    kv::Config {
        bucket: bucket.to_owned(),
        history: 1,
        storage: jetstream::stream::StorageType::File,
        max_age: if bucket == CALLS {
            CALLS_KEPT
        } else {
            Duration::ZERO
        },
        // Lets keys lapse one by one, and tells those who watch.
        limit_markers: (bucket == OWNERS).then_some(MARKERS_KEPT),
        ..kv::Config::default()
    }
}
