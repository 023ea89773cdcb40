use std::sync::Arc;

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};
use tokio_util::sync::PollSemaphore;

use super::LONGEST_MESSAGE_BYTES;

/// Longer messages take part in the budget. All messages of an ordinary turn are shorter.
pub(super) const LONG_BYTES: usize = 32 * 1024;

/// Long messages in memory at the same time: together at most 32 MiB.
const LONG_MESSAGES: usize = 32 * 1024 * 1024 / LONGEST_MESSAGE_BYTES;

/// Memory and processor time for long messages, shared by all connections of a process. Connections wait for each other
/// in the order in which their messages began to arrive, and each has one message at a time.
#[derive(Debug, Clone)]
pub struct FrameBudget {
    long_messages: Arc<Semaphore>,
    /// One long message is decoded at a time, outside the threads that everybody's connections share.
    decoding: Arc<Semaphore>,
}

impl Default for FrameBudget {
    fn default() -> Self {
        Self {
            long_messages: Arc::new(Semaphore::new(LONG_MESSAGES)),
            decoding: Arc::new(Semaphore::new(1)),
        }
    }
}

impl FrameBudget {
    pub(super) fn long_messages(&self) -> PollSemaphore {
        PollSemaphore::new(Arc::clone(&self.long_messages))
    }

    /// Does work that takes a time in proportion to the `bytes` of a message. `None` if the runtime shuts down.
    pub(super) async fn decode<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        if bytes <= LONG_BYTES {
            return Some(work());
        }
        let turn = Arc::clone(&self.decoding).acquire_owned().await.ok()?;
        let working = move || {
            let done = work();
            drop(turn);
            done
        };
        spawn_blocking(working).await.ok()
    }
}

/// The right to have one long message in memory.
pub(crate) type LongMessagePermit = OwnedSemaphorePermit;
