use std::{
    collections::HashMap,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use claw_bus::{Bus, BusError};
use claw_calls::{CallUpdate, LiveCalls};
use claw_domain::CallId;
use claw_events::{CallStatus, TurnStatus};
use futures_util::StreamExt;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

/// Pause before a watch that ended is begun again.
const WATCH_PAUSE: Duration = Duration::from_millis(200);

/// What others lay ready for our callers. One watch for all of them; whoever waits looks once before and
/// once after, so a watch that is down costs time and no answer.
#[derive(Clone)]
pub(crate) struct Board {
    live_calls: LiveCalls,
    waiting: Arc<Mutex<HashMap<Place, Waiters>>>,
    notes: TaskTracker,
}

/// A call as a whole, or one of its turns.
type Place = (CallId, Option<u32>);

/// Those who wait for one place.
#[derive(Default)]
struct Waiters {
    news: Arc<Notify>,
    count: usize,
}

/// Somebody who waits, until dropped.
struct Waiting<'a> {
    board: &'a Board,
    place: Place,
    news: Arc<Notify>,
}

impl Board {
    pub(crate) async fn open(bus: &Bus) -> Result<Self, BusError> {
        Ok(Self {
            live_calls: LiveCalls::open(bus).await?,
            waiting: Arc::default(),
            notes: TaskTracker::new(),
        })
    }

    /// Wakes those who wait, until `stop`; then sees to it that what is being noted is written.
    pub(crate) async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            loop {
                match self.live_calls.watch().await {
                    Ok(news) => {
                        // What was written while nobody watched has to be looked for.
                        self.wake_all();
                        let mut news = pin!(news);
                        while let Some(news) = news.next().await {
                            self.wake(&news);
                        }
                    }
                    Err(error) => warn!(
                        error = &error as &dyn std::error::Error,
                        "what is laid ready for callers is not heard at once"
                    ),
                }
                sleep(WATCH_PAUSE).await;
            }
        })
        .await;
        self.notes.close();
        self.notes.wait().await;
    }

    /// What came of a turn, as soon as it is there; `None` at `until`.
    pub(crate) async fn turn(
        &self,
        call: CallId,
        turn: u32,
        until: Instant,
    ) -> Result<Option<TurnStatus>, BusError> {
        let look = || self.live_calls.turn_status(call, turn);
        self.wait((call, Some(turn)), until, look, |_| true).await
    }

    /// What a call has come to, as soon as it is what `wanted` says; otherwise what it is at `until`, if
    /// anything is known of it.
    pub(crate) async fn standing(
        &self,
        call: CallId,
        until: Instant,
        wanted: impl Fn(&CallStatus) -> bool,
    ) -> Result<Option<CallStatus>, BusError> {
        let look = || self.live_calls.status(call);
        self.wait((call, None), until, look, wanted).await
    }

    /// The state that is waited for, without waiting.
    pub(crate) const fn live_calls(&self) -> &LiveCalls {
        &self.live_calls
    }

    /// Notes that the answer to a turn is said to the caller, who need not wait for that. If it cannot be
    /// noted, they may read the answer as well.
    pub(crate) fn note_heard(&self, call: CallId, turn: u32) {
        let live_calls = self.live_calls.clone();
        self.notes.spawn(async move {
            if let Err(error) = live_calls.note_heard(call, turn).await {
                warn!(
                    error = &error as &dyn std::error::Error,
                    "that an answer was heard is not noted"
                );
            }
        });
    }

    async fn wait<T, F>(
        &self,
        place: Place,
        until: Instant,
        look: impl Fn() -> F,
        wanted: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, BusError>
    where
        F: Future<Output = Result<Option<T>, BusError>>,
    {
        let waiting = self.join(place);
        loop {
            let news = waiting.news.notified();
            let mut news = pin!(news);
            // Whatever is written from here on is heard.
            news.as_mut().enable();
            let seen = look().await?;
            if seen.as_ref().is_some_and(&wanted) {
                return Ok(seen);
            }
            if timeout_at(until, news).await.is_err() {
                return look().await;
            }
        }
    }

    fn join(&self, place: Place) -> Waiting<'_> {
        let mut waiting = self.waiting();
        let waiters = waiting.entry(place).or_default();
        waiters.count += 1;
        Waiting {
            board: self,
            place,
            news: Arc::clone(&waiters.news),
        }
    }

    fn wake(&self, news: &CallUpdate) {
        let place = match news {
            CallUpdate::Call(call, _) => (*call, None),
            CallUpdate::Turn(call, turn, _) => (*call, Some(*turn)),
        };
        if let Some(waiters) = self.waiting().get(&place) {
            waiters.news.notify_waiters();
        }
    }

    fn wake_all(&self) {
        for waiters in self.waiting().values() {
            waiters.news.notify_waiters();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Place, Waiters>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.board.waiting();
        if let Some(waiters) = waiting.get_mut(&self.place) {
            waiters.count -= 1;
            if waiters.count == 0 {
                waiting.remove(&self.place);
            }
        }
    }
}
