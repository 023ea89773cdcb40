use std::future::pending;

use async_nats::jetstream::kv::{Entry, Operation, Watch};
use futures_util::StreamExt;

use super::view::{Change, View};

/// What we see of the bucket. Only a whole view may be acted on: a member not yet read of would look
/// dead.
pub(crate) enum Sight {
    /// Nothing: never looked, or not since the connection was lost.
    Blind,
    /// What was there when we began to look is still being read.
    Reading(Box<Watch>, View),
    /// All of it.
    Clear(Box<Watch>, View),
}

/// What came of looking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// There is something more to see.
    More,
    /// The view is whole, for the first time since we began to look.
    Whole,
    /// The watch is over and must be begun again.
    Over,
}

impl Sight {
    /// The whole view, if there is one.
    pub(crate) fn view(&self) -> Option<&View> {
        match self {
            Self::Clear(_, view) => Some(view),
            Self::Blind | Self::Reading(..) => None,
        }
    }

    /// Adds what we did ourselves.
    pub(crate) fn learn(&mut self, change: Change) {
        match self {
            Self::Reading(_, view) | Self::Clear(_, view) => view.learn(change),
            Self::Blind => {}
        }
    }

    /// The next entry of the watch. Nothing is missed by dropping the wait.
    pub(crate) async fn next(&mut self) -> Option<Entry> {
        match self {
            // An error of the watch means a gap: begin again.
            Self::Reading(watch, _) | Self::Clear(watch, _) => watch.next().await?.ok(),
            Self::Blind => pending().await,
        }
    }

    /// Takes in what [`Sight::next`] gave, for keys that begin with `group.`.
    pub(crate) fn take_in(&mut self, group: &str, seen: Option<&Entry>) -> Look {
        let Some(entry) = seen else {
            *self = Self::Blind;
            return Look::Over;
        };
        if let Some(change) = change_of(group, entry) {
            self.learn(change);
        }
        match std::mem::replace(self, Self::Blind) {
            Self::Reading(watch, view) if entry.seen_current => {
                *self = Self::Clear(watch, view);
                Look::Whole
            }
            same @ (Self::Blind | Self::Reading(..) | Self::Clear(..)) => {
                *self = same;
                Look::More
            }
        }
    }
}

fn change_of(group: &str, entry: &Entry) -> Option<Change> {
    let key = entry.key.strip_prefix(group)?.strip_prefix('.')?;
    let value = match entry.operation {
        Operation::Put => Some(entry.value.as_ref()),
        // A lapsed lease reaches us as a purge.
        Operation::Delete | Operation::Purge => None,
    };
    Change::read(key, value, entry.revision)
}
