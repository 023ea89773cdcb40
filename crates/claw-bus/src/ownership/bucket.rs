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
    view::{MemberId, Standing},
};
use crate::{
    Bus, BusError,
    streams::{MARKERS_KEPT, OWNERS},
};

/// Claims written at once when they are not one batch.
const CLAIMS_AT_ONCE: usize = 16;

/// How long an answer of the server is waited for. Two of these fit into a lease.
const ANSWER: Duration = Duration::from_millis(750);

/// The keys of our group.
#[derive(Clone)]
pub(crate) struct Bucket {
    bus: Bus,
    store: Store,
}

/// Why a key was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// Its revision is another by now.
    #[error("the key was written by another")]
    Refused,
    /// The server said something else, or nothing: it may have been written.
    #[error("writing to the bucket of owners")]
    Unknown(#[source] Option<PublishError>),
}

/// What is to be written of a unit.
#[derive(Debug, Clone)]
pub(crate) struct NewClaim {
    pub(crate) unit: Unit,
    /// Who is to have it; `None` gives it back.
    pub(crate) holder: Option<MemberId>,
    /// The revision of the claim that this one follows; 0 where there was none.
    pub(crate) over: u64,
}

impl NewClaim {
    fn value(&self) -> &[u8] {
        self.holder.as_ref().map_or("", MemberId::as_str).as_bytes()
    }
}

/// Our key as last written.
#[derive(Debug)]
pub(crate) struct Renewed {
    pub(crate) revision: u64,
    pub(crate) standing: Standing,
    /// A moment before it was sent.
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

    /// Everything our group has written, and then what it writes.
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

    /// Shows for one more lease that `member` lives, if its key is still there. `last` is its revision
    /// as far as we know, 0 to begin with.
    pub(crate) async fn renew(
        &self,
        member: &MemberId,
        standing: Standing,
        last: u64,
    ) -> Result<Renewed, WriteError> {
        let key = self.member_key(member);
        let mut connections = self.bus.connections.clone();
        connections.mark_unchanged();
        let mut over = last;
        loop {
            let sent = Instant::now();
            let value = standing.as_str().as_bytes();
            let written = tokio::select! {
                written = self.write(&key, value, over, Some(LEASE)) => written,
                // Asked over a connection that is gone: ask again.
                Ok(()) = connections.changed() => continue,
            };
            match written {
                Ok(revision) => {
                    return Ok(Renewed {
                        revision,
                        standing,
                        sent,
                    });
                }
                // Nobody else writes this key: it lapsed, or an answer to us was lost.
                Err(WriteError::Refused) => over = self.live_revision(&key).await?,
                Err(error @ WriteError::Unknown(_)) => return Err(error),
            }
        }
    }

    /// Writes claims, each if the revision of its unit is still the one it names. The answers are the new
    /// revisions, in the order of `claims`.
    ///
    /// Several claims are one atomic batch, which the server syncs to disk once: synced one by one, the
    /// claims of a starting replica would delay its own renewals past the end of its lease on a slow disk.
    pub(crate) async fn claim_all(&self, claims: Vec<NewClaim>) -> Vec<Result<u64, WriteError>> {
        if claims.len() > 1
            && let Some(revisions) = self.claim_atomically(&claims).await
        {
            return revisions.map(Ok).collect();
        }
        // A batch is refused as a whole: one by one, those that can succeed do.
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

    /// `None` when the batch was refused, or not acknowledged in time: then it may have been stored.
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
                // Only the last one is acknowledged.
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

    /// Removes the key of a member that has given everything back. Should that fail, it lapses.
    pub(crate) async fn forget(&self, member: &MemberId) {
        let key = self.member_key(member);
        let forgotten = timeout(ANSWER, self.store.purge_with_ttl(&key, MARKERS_KEPT)).await;
        if !matches!(forgotten, Ok(Ok(()))) {
            warn!(
                "{} could not say that it left: its lease will lapse",
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
