use std::{pin::pin, time::Duration};

use claw_bus::{Bus, BusError};
use claw_calls::{CallUpdate, LiveCalls};
use claw_domain::CallId;
use claw_events::{CallStatus, TurnStatus};
use claw_metrics::WAITS_ENDED_BY_CLOCK;
use claw_runtime::KeyedNotify;
use futures_util::StreamExt;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

/// Pause before a watch that has ended is started again.
const WATCH_PAUSE: Duration = Duration::from_millis(200);

/// Waits for changes in live calls. One watch serves all waiting tasks. Every task also reads the state before and
/// after its wait, so a broken watch delays an answer and loses none.
#[derive(Clone)]
pub(crate) struct CallWatcher {
    live_calls: LiveCalls,
    changes: KeyedNotify<WaitKey>,
    background: TaskTracker,
}

/// A call as a whole, or one of its turns.
type WaitKey = (CallId, Option<u32>);

impl CallWatcher {
    pub(crate) async fn open(bus: &Bus) -> Result<Self, BusError> {
        Ok(Self {
            live_calls: LiveCalls::open(bus).await?,
            changes: KeyedNotify::default(),
            background: TaskTracker::new(),
        })
    }

    /// Wakes waiting tasks until `stop`, then finishes the writes under way.
    pub(crate) async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            loop {
                match self.live_calls.watch().await {
                    Ok(updates) => {
                        // Updates may have been missed before the watch began.
                        self.changes.notify_all();
                        let mut updates = pin!(updates);
                        while let Some(update) = updates.next().await {
                            self.wake(&update);
                        }
                    }
                    Err(error) => warn!(
                        error = &error as &dyn std::error::Error,
                        "cannot watch live calls: callers wait longer for their answers"
                    ),
                }
                sleep(WATCH_PAUSE).await;
            }
        })
        .await;
        self.background.close();
        self.background.wait().await;
    }

    /// The state of live calls, for reads and writes that need not wait.
    pub(crate) const fn live_calls(&self) -> &LiveCalls {
        &self.live_calls
    }

    /// Waits for the status of a turn; `None` if it has none by `until`.
    pub(crate) async fn turn_status(
        &self,
        call: CallId,
        turn: u32,
        until: Instant,
    ) -> Result<Option<TurnStatus>, BusError> {
        let read = || self.live_calls.turn_status(call, turn);
        self.wait((call, Some(turn)), until, read, |_| true).await
    }

    /// Waits for a status that `wanted` accepts; otherwise returns the status at `until`, if the call has one.
    pub(crate) async fn call_status(
        &self,
        call: CallId,
        until: Instant,
        wanted: impl Fn(&CallStatus) -> bool,
    ) -> Result<Option<CallStatus>, BusError> {
        let read = || self.live_calls.status(call);
        self.wait((call, None), until, read, wanted).await
    }

    /// Records in the background that the answer to a turn is spoken, so that the caller does not wait for the
    /// write. If it fails, the caller may find the answer in their chat as well.
    pub(crate) fn note_heard(&self, call: CallId, turn: u32) {
        let live_calls = self.live_calls.clone();
        self.background.spawn(async move {
            if let Err(error) = live_calls.note_heard(call, turn).await {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot record that an answer was heard"
                );
            }
        });
    }

    async fn wait<T, F>(
        &self,
        key: WaitKey,
        until: Instant,
        read: impl Fn() -> F,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, BusError>
    where
        F: Future<Output = Result<Option<T>, BusError>>,
    {
        let mut changes = self.changes.listen(key);
        loop {
            let status = read().await?;
            if status.as_ref().is_some_and(&wanted) {
                return Ok(status);
            }
            if timeout_at(until, changes.notified()).await.is_err() {
                let status = read().await?;
                if status.as_ref().is_some_and(&wanted) {
                    WAITS_ENDED_BY_CLOCK.increment(["call"]);
                }
                return Ok(status);
            }
        }
    }

    fn wake(&self, update: &CallUpdate) {
        let key = match update {
            CallUpdate::Call(call, _) => (*call, None),
            CallUpdate::Turn(call, turn, _) => (*call, Some(*turn)),
        };
        self.changes.notify(&key);
    }
}
