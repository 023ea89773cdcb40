use std::time::Duration;

use async_nats::jetstream::{
    context::{PublishError, PublishErrorKind},
    kv::{Entry, Operation, Store, Watch},
    message::PublishMessage,
};
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

    /// Gives `unit` to `holder`, or back for `None`, if the revision is still `over`. The answer is the
    /// new one.
    pub(crate) async fn claim(
        &self,
        unit: Unit,
        holder: Option<&MemberId>,
        over: u64,
    ) -> Result<u64, WriteError> {
        let key = format!("{}.u.{unit}", self.bus.service);
        let value = holder.map_or("", MemberId::as_str);
        self.write(&key, value.as_bytes(), over, None).await
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

    fn member_key(&self, member: &MemberId) -> String {
        format!("{}.m.{}", self.bus.service, member.as_str())
    }
}
