use std::{ops::RangeInclusive, time::Duration};

use async_nats::{
    header::{NATS_BATCH_COMMIT, NATS_BATCH_ID, NATS_BATCH_SEQUENCE},
    jetstream::{
        context::{PublishError, PublishErrorKind},
        kv::{Entry, Operation, Store, Watch},
        message::PublishMessage,
    },
};
use futures_util::{StreamExt, stream};
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::{
    LEASE,
    unit::Unit,
    view::{MemberId, MemberStatus},
};
use crate::{
    Bus, BusError,
    streams::{MARKERS_KEPT, OWNERS},
};

/// Largest number of single claims in flight.
const CLAIMS_AT_ONCE: usize = 16;

/// Longest wait for an answer of the server. A lease allows for two such waits.
const ANSWER: Duration = Duration::from_millis(750);

/// The keys of this service in the bucket `OWN`.
#[derive(Clone)]
pub(crate) struct Bucket {
    bus: Bus,
    store: Store,
}

/// Why a write failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The key has another revision than expected.
    #[error("the key was written by another")]
    Refused,
    /// Another error, or no answer: the key may have been written.
    #[error("writing to the bucket of owners")]
    Unknown(#[source] Option<PublishError>),
}

/// A change to the holder of a unit.
#[derive(Debug, Clone)]
pub(crate) struct NewClaim {
    pub(crate) unit: Unit,
    /// The new holder; `None` releases the unit.
    pub(crate) holder: Option<MemberId>,
    /// The expected revision of the unit's key; 0 if there is none.
    pub(crate) over: u64,
}

impl NewClaim {
    fn value(&self) -> &[u8] {
        self.holder.as_ref().map_or("", MemberId::as_str).as_bytes()
    }
}

/// A successful renewal of our member key.
#[derive(Debug)]
pub(crate) struct Renewed {
    pub(crate) revision: u64,
    pub(crate) status: MemberStatus,
    /// A moment before the renewal was sent.
    pub(crate) sent: Instant,
}

impl Bucket {
    pub(crate) async fn open(bus: &Bus) -> Result<Self, BusError> {
        let opened = bus.jetstream.get_key_value(OWNERS).await;
        let store =
            opened.map_err(|error| BusError::jetstream("finding the bucket of owners", error))?;
        Ok(Self {
            bus: bus.clone(),
            store,
        })
    }

    /// Watches the keys of this service: first the current value of each, then every change.
    pub(crate) async fn watch(&self) -> Result<Box<Watch>, BusError> {
        let watching = self
            .store
            .watch_with_history(format!("{}.>", self.bus.service));
        timeout(ANSWER, watching)
            .await
            .map_err(|late| BusError::jetstream("watching the bucket of owners", late))?
            .map(Box::new)
            .map_err(|error| BusError::jetstream("watching the bucket of owners", error))
    }

    /// Renews the lease of `member` if its key still exists. `last` is the key's last known revision; 0 creates the
    /// key.
    pub(crate) async fn renew(
        &self,
        member: &MemberId,
        status: MemberStatus,
        last: u64,
    ) -> Result<Renewed, WriteError> {
        let key = self.member_key(member);
        let mut connections = self.bus.connections.clone();
        connections.mark_unchanged();
        let mut over = last;
        loop {
            let sent = Instant::now();
            let value = status.as_str().as_bytes();
            let written = tokio::select! {
                written = self.write(&key, value, over, Some(LEASE)) => written,
                // The connection was replaced, and the answer lost with it.
                Ok(()) = connections.changed() => continue,
            };
            match written {
                Ok(revision) => {
                    return Ok(Renewed {
                        revision,
                        status,
                        sent,
                    });
                }
                // Only this process writes the key, so the key has expired or an earlier answer was lost.
                Err(WriteError::Refused) => over = self.live_revision(&key).await?,
                Err(error @ WriteError::Unknown(_)) => return Err(error),
            }
        }
    }

    /// Writes each claim if its unit still has the expected revision. Returns the new revisions in the order of the
    /// claims.
    ///
    /// Several claims are sent as one atomic batch, which the server syncs to disk once. Synced one by one on a
    /// slow disk, the claims of a starting replica would delay its renewals past the end of its lease.
    pub(crate) async fn claim_all(&self, claims: Vec<NewClaim>) -> Vec<Result<u64, WriteError>> {
        if claims.len() > 1
            && let Some(revisions) = self.claim_atomically(&claims).await
        {
            return revisions.map(Ok).collect();
        }
        // A batch is refused as a whole; single claims succeed or fail by themselves.
        stream::iter(claims)
            .map(|claim| async move { self.claim(&claim).await })
            .buffered(CLAIMS_AT_ONCE)
            .collect()
            .await
    }

    async fn claim(&self, claim: &NewClaim) -> Result<u64, WriteError> {
        let key = self.unit_key(claim.unit);
        self.write(&key, claim.value(), claim.over, None).await
    }

    /// `None` if the batch was refused, or not acknowledged in time; in the latter case it may be stored.
    async fn claim_atomically(&self, claims: &[NewClaim]) -> Option<RangeInclusive<u64>> {
        let id = self.bus.unique();
        let stored = async {
            let mut last = None;
            for (index, claim) in claims.iter().enumerate() {
                let mut message = PublishMessage::build()
                    .payload(claim.value().to_vec().into())
                    .expected_last_subject_sequence(claim.over)
                    .header(NATS_BATCH_ID, id.as_str())
                    .header(NATS_BATCH_SEQUENCE, (index + 1).to_string());
                if index + 1 == claims.len() {
                    message = message.header(NATS_BATCH_COMMIT, "1");
                }
                let subject = format!("$KV.{OWNERS}.{}", self.unit_key(claim.unit));
                // The server acknowledges only the last message of a batch.
                last = Some(
                    self.bus
                        .jetstream
                        .send_publish(subject, message)
                        .await
                        .ok()?,
                );
            }
            last?.await.ok()
        };
        let last = timeout(ANSWER, stored).await.ok()??.sequence;
        let count = u64::try_from(claims.len()).ok()?;
        Some(last + 1 - count..=last)
    }

    /// Deletes the key of a member that has released all units. If that fails, the key expires.
    pub(crate) async fn forget(&self, member: &MemberId) {
        let key = self.member_key(member);
        let forgotten = timeout(ANSWER, self.store.purge_with_ttl(&key, MARKERS_KEPT)).await;
        if !matches!(forgotten, Ok(Ok(()))) {
            warn!(
                "{} could not release its lease, which will expire",
                self.bus.service
            );
        }
    }

    async fn live_revision(&self, key: &str) -> Result<u64, WriteError> {
        match timeout(ANSWER, self.store.entry(key)).await {
            Ok(Ok(Some(Entry {
                operation: Operation::Put,
                revision,
                ..
            }))) => Ok(revision),
            Ok(Ok(_)) => Err(WriteError::Refused),
            Ok(Err(_)) | Err(_) => Err(WriteError::Unknown(None)),
        }
    }

    async fn write(
        &self,
        key: &str,
        value: &[u8],
        over: u64,
        lease: Option<Duration>,
    ) -> Result<u64, WriteError> {
        let message = PublishMessage::build()
            .payload(value.to_vec().into())
            .expected_last_subject_sequence(over);
        let message = match lease {
            Some(lease) => message.ttl(lease),
            None => message,
        };
        let subject = format!("$KV.{OWNERS}.{key}");
        let stored = async {
            self.bus
                .jetstream
                .send_publish(subject, message)
                .await?
                .await
        };
        match timeout(ANSWER, stored).await {
            Ok(Ok(stored)) => Ok(stored.sequence),
            Ok(Err(error)) if error.kind() == PublishErrorKind::WrongLastSequence => {
                Err(WriteError::Refused)
            }
            Ok(Err(error)) => Err(WriteError::Unknown(Some(error))),
            Err(_elapsed) => Err(WriteError::Unknown(None)),
        }
    }

    fn unit_key(&self, unit: Unit) -> String {
        format!("{}.u.{unit}", self.bus.service)
    }

    fn member_key(&self, member: &MemberId) -> String {
        format!("{}.m.{}", self.bus.service, member.as_str())
    }
}
