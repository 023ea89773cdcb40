use std::time::Duration;

use async_nats::jetstream::stream::{
    Config, DiscardPolicy, PersistenceMode, RetentionPolicy, StorageType, SubjectTransform,
};
use claw_events::{PARTITIONS, Stream};

use crate::{
    Bus, BusError,
    accounts::Account,
    installation::{recorded_check, with_check},
};

const DAY: Duration = Duration::from_hours(24);
const GIB: i64 = 1024 * 1024 * 1024;

/// How long the server remembers message ids. It keeps them in memory, so this only filters the usual quick
/// repetitions; the database recognises those of the 7 days for which Meta retries a webhook.
const DUPLICATE_WINDOW: Duration = Duration::from_mins(10);

/// How long the server drops an operator event with the key of an earlier one: what lasts is told once an hour.
const TOLD_ONCE_IN: Duration = Duration::from_hours(1);

/// Largest event, in bytes. A message of an unknown kind is stored whole. Equals `max_payload` in `nats.conf`.
const MAX_EVENT_BYTES: i32 = 1024 * 1024;

/// The bucket of leases and claims, whose revisions are the epochs. On disk, because the revisions of a bucket
/// in memory start again at 1 after a restart of the server.
pub(crate) const OWNERS: &str = "OWN";

/// How long the bucket keeps the marker of an expired key. Watchers get the marker at once; it must only outlive
/// the last writer of the key.
pub(crate) const MARKERS_KEPT: Duration = Duration::from_mins(1);

/// The bucket of ack floors.
pub(crate) const FLOORS: &str = "FLOORS";

/// The bucket of further addresses of users.
const ALIASES: &str = "ALIASES";

/// The bucket that `claw-calls` keeps live calls in.
pub const CALLS: &str = "CALLS";

/// How long an entry of [`CALLS`] is kept: Twilio ends a call after four hours by default.
const CALLS_KEPT: Duration = Duration::from_hours(6);

/// The account of [`CALLS`] and `ALIASES`.
pub(crate) const ACCOUNT_OF_JSON_BUCKETS: Account = Account::Ingress;

/// A stream or bucket that exists on the server as it is defined here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ensured {
    /// The name of the account that holds it.
    pub account: &'static str,
    /// Whether it is a stream or a bucket.
    pub kind: EnsuredKind,
    /// Its name in the account.
    pub name: &'static str,
}

/// What [`ensure`] has created or updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnsuredKind {
    /// A stream of events.
    Stream,
    /// A key-value bucket.
    Bucket,
}

/// Creates the streams and buckets, or updates existing ones to this definition, except that what
/// [`Bus::record_user_id_key`] has recorded stays. Idempotent.
pub async fn ensure(bus: &Bus) -> Result<Vec<Ensured>, BusError> {
    let mut ensured = Vec::new();
    for &stream in Stream::ALL {
        let account = Account::of(stream);
        bus.jetstream_in(account)
            .create_or_update_stream(definition(stream))
            .await
            .map_err(|error| {
                BusError::jetstream(format!("making stream {}", stream.name()), error)
            })?;
        ensured.push(Ensured {
            account: account.user(),
            kind: EnsuredKind::Stream,
            name: stream.name(),
        });
    }
    let check = recorded_check(bus).await?;
    for (account, bucket) in buckets() {
        let check = check.clone().filter(|_| bucket == CALLS);
        bus.jetstream_in(account)
            .create_or_update_stream(with_check(bucket_definition(bucket), check))
            .await
            .map_err(|error| BusError::jetstream(format!("making bucket {bucket}"), error))?;
        ensured.push(Ensured {
            account: account.user(),
            kind: EnsuredKind::Bucket,
            name: bucket,
        });
    }
    Ok(ensured)
}

fn buckets() -> impl Iterator<Item = (Account, &'static str)> {
    let of_replicas = |account| [(account, OWNERS), (account, FLOORS)];
    Account::SHARED_BY_REPLICAS
        .into_iter()
        .flat_map(of_replicas)
        .chain([CALLS, ALIASES].map(|bucket| (ACCOUNT_OF_JSON_BUCKETS, bucket)))
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
        duplicate_window: if stream == Stream::Operator {
            TOLD_ONCE_IN
        } else {
            DUPLICATE_WINDOW
        },
        allow_direct: true,
        allow_atomic_publish: matches!(stream, Stream::Inbound | Stream::Status),
        deny_delete: matches!(stream, Stream::Dead | Stream::Operator),
        ..Config::default()
    }
}

struct Limits {
    age: Duration,
    bytes: i64,
    when_full: DiscardPolicy,
}

/// A full stream refuses new events where a lost one would go unnoticed: the publisher retries, and the sender of
/// a webhook gets a 503. Receipts and operator events are for information only, so the oldest are dropped.
fn limits(stream: Stream) -> Limits {
    let (days, gibibytes, when_full) = match stream {
        Stream::Inbound => (30, 16, DiscardPolicy::New),
        // Meta repeats a webhook for 7 days.
        Stream::Status => (7, 4, DiscardPolicy::New),
        Stream::Outbound => (30, 8, DiscardPolicy::New),
        Stream::Receipts => (30, 4, DiscardPolicy::Old),
        Stream::Sandbox => (30, 1, DiscardPolicy::New),
        Stream::Dead => (90, 4, DiscardPolicy::New),
        Stream::Operator => (90, 1, DiscardPolicy::Old),
    };
    Limits {
        age: DAY * days,
        bytes: gibibytes * GIB,
        when_full,
    }
}

/// `in.message.usr_1` is stored as `in.17.message.usr_1`: the partition follows from the user. Nothing consumes dead letters
/// and operator events by partition.
fn partitioned(stream: Stream) -> Option<SubjectTransform> {
    let family = stream.family();
    (!matches!(stream, Stream::Dead | Stream::Operator)).then(|| SubjectTransform {
        source: format!("{family}.*.*"),
        destination: format!(
            "{family}.{{{{partition({PARTITIONS},2)}}}}.{{{{wildcard(1)}}}}.{{{{wildcard(2)}}}}"
        ),
    })
}

/// The stream behind a key-value bucket, as the client library defines it, with two settings that the
/// library does not offer for buckets.
pub(crate) fn bucket_definition(bucket: &str) -> Config {
    Config {
        name: format!("KV_{bucket}"),
        subjects: vec![format!("$KV.{bucket}.>")],
        max_messages_per_subject: 1,
        storage: StorageType::File,
        max_age: if bucket == CALLS {
            CALLS_KEPT
        } else {
            Duration::ZERO
        },
        discard: DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        // Leases expire, and watchers are notified.
        allow_message_ttl: bucket == OWNERS,
        subject_delete_marker_ttl: (bucket == OWNERS).then_some(MARKERS_KEPT),
        // All claims of a replica are one write to disk.
        allow_atomic_publish: bucket == OWNERS,
        // A floor may be out of date, so the server need not sync it before the acknowledgement.
        persist_mode: (bucket == FLOORS).then_some(PersistenceMode::Async),
        ..Config::default()
    }
}
