use std::future::pending;

use async_nats::jetstream::kv::{Entry, Operation, Watch};
use futures_util::StreamExt;

use super::view::{Change, View};

/// The state of the watch on the bucket. Only a complete view is acted on: in an incomplete one a live replica
/// that has not been read yet would look dead.
pub(crate) enum WatchState {
    /// No watch since the start or the last connection loss.
    Disconnected,
    /// The initial values are still being read.
    Reading(Box<Watch>, View),
    /// All initial values were read.
    Complete(Box<Watch>, View),
}

/// The effect of one entry on the watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WatchProgress {
    /// The watch goes on.
    More,
    /// The view has just become complete.
    Complete,
    /// The watch ended and must be started again.
    Ended,
}

impl WatchState {
    /// The view, if it is complete.
    pub(crate) fn view(&self) -> Option<&View> {
        match self {
            Self::Complete(_, view) => Some(view),
            Self::Disconnected | Self::Reading(..) => None,
        }
    }

    /// Adds a change of our own.
    pub(crate) fn learn(&mut self, change: Change) {
        match self {
            Self::Reading(_, view) | Self::Complete(_, view) => view.learn(change),
            Self::Disconnected => {}
        }
    }

    /// Waits for the next entry of the watch. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Entry> {
        match self {
            // After an error entries may be missing: the watch is started again.
            Self::Reading(watch, _) | Self::Complete(watch, _) => watch.next().await?.ok(),
            Self::Disconnected => pending().await,
        }
    }

    /// Applies a result of [`WatchState::next`], for keys that begin with `group.`.
    pub(crate) fn take_in(&mut self, group: &str, seen: Option<&Entry>) -> WatchProgress {
        let Some(entry) = seen else {
            *self = Self::Disconnected;
            return WatchProgress::Ended;
        };
        if let Some(change) = change_of(group, entry) {
            self.learn(change);
        }
        match std::mem::replace(self, Self::Disconnected) {
            Self::Reading(watch, view) if entry.seen_current => {
                *self = Self::Complete(watch, view);
                WatchProgress::Complete
            }
            same @ (Self::Disconnected | Self::Reading(..) | Self::Complete(..)) => {
                *self = same;
                WatchProgress::More
            }
        }
    }
}

fn change_of(group: &str, entry: &Entry) -> Option<Change> {
    let key = entry.key.strip_prefix(group)?.strip_prefix('.')?;
    let value = match entry.operation {
        Operation::Put => Some(entry.value.as_ref()),
        // The server reports an expired key as a purge.
        Operation::Delete | Operation::Purge => None,
    };
    Change::read(key, value, entry.revision)
}
