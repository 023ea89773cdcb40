use std::{sync::Arc, time::Duration};

use claw_bus::HandlerError;
use claw_events::{CallStatus, TurnStatus};
use claw_store::{Suspension, SuspensionSet};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{actors::UserActors, context::Context};

/// Pause before a failed attempt to end calls is repeated.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Most calls that are ended because of one change.
const CALLS_AT_ONCE: u32 = 10_000;

/// Whom a suspension concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One user.
    User,
    /// All users, those to come included.
    Everybody,
}

/// How a call of a suspended user goes on. A blocked caller is told nothing of it.
pub(crate) const fn status_of_call(suspension: &Suspension) -> CallStatus {
    if suspension.is_block {
        CallStatus::Refused
    } else {
        CallStatus::Suspended
    }
}

/// Acts on suspensions that begin or end. Turns that are running hear of them themselves.
pub(crate) struct SuspensionWatcher {
    pub(crate) context: Arc<Context>,
    pub(crate) actors: UserActors,
}

impl SuspensionWatcher {
    /// Acts on every change until `stop`, beginning with the suspensions that are in force.
    pub(crate) async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.watch()).await;
    }

    async fn watch(&self) {
        let mut changes = self.context.suspensions.changes();
        let mut before = Arc::new(SuspensionSet::default());
        loop {
            let current = Arc::clone(&changes.borrow_and_update());
            self.wake_users(&before, &current);
            while let Err(error) = self.end_calls(&current).await {
                warn!("could not end the calls of suspended users; trying again: {error:?}");
                sleep(RETRY_PAUSE).await;
            }
            before = current;
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// Wakes the actors of users who are to be told that they are suspended, or whose messages are to be answered.
    fn wake_users(&self, before: &SuspensionSet, current: &SuspensionSet) {
        if before.everybody.is_some() && current.everybody.is_none() {
            self.actors.wake_all();
        }
        let began = current.users.iter().filter(|(user, now)| {
            let earlier = before.users.get(user);
            earlier.is_none_or(|earlier| earlier.since != now.since)
        });
        let began = began.map(|(user, _)| user);
        let ended = before
            .users
            .keys()
            .filter(|user| !current.users.contains_key(user));
        for user in began.chain(ended) {
            self.actors.sandbox_changed(*user);
        }
    }

    /// Lets callers who are suspended or blocked hear that the call is over, at their next word or while they wait.
    /// Every replica does: doing it again changes nothing.
    async fn end_calls(&self, current: &SuspensionSet) -> Result<(), HandlerError> {
        if *current == SuspensionSet::default() {
            return Ok(());
        }
        let calls = self.context.store.calls();
        for call in calls.in_progress(CALLS_AT_ONCE).await? {
            let Some(suspension) = current.of(call.user).filter(|_| call.is_open()) else {
                continue;
            };
            let live_calls = &self.context.live_calls;
            let status = status_of_call(suspension);
            live_calls.set_status(call.id, status).await?;
            if call.last_turn > 0 {
                live_calls
                    .settle(call.id, call.last_turn, TurnStatus::SeeCall)
                    .await?;
            }
        }
        Ok(())
    }
}
