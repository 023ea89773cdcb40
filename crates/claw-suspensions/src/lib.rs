//! Who is suspended or blocked, in the memory of a service. The database is authoritative: it is read when the service
//! starts, whenever the watch on the bus begins, when an operator's command signals a change, and once a minute.
//!
//! Does not know what a suspension means for its service.

use std::{pin::pin, sync::Arc, time::Duration};

use claw_bus::Bus;
use claw_domain::UserId;
use claw_events::SuspensionChanged;
use claw_metrics::{SUSPENDED, WAITS_ENDED_BY_CLOCK};
use claw_store::{Store, StoreError, SuspensionSet};
use futures_util::{Stream, StreamExt};
use tokio::{
    sync::{Mutex, watch},
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Pause before a watch that has ended is begun again.
const WATCH_PAUSE: Duration = Duration::from_millis(500);

/// How often the database is read although no signal came: signals can get lost.
const READ_EVERY: Duration = Duration::from_mins(1);

/// The suspensions in force, as far as this process knows. Cheap to clone.
#[derive(Clone)]
pub struct SuspensionView {
    store: Store,
    known: Arc<watch::Sender<Arc<SuspensionSet>>>,
    /// Held while the database is read, so that an older reading does not replace a newer one.
    reading: Arc<Mutex<()>>,
}

/// Why the database is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    WatchBegan,
    Signal,
    Clock,
}

impl SuspensionView {
    /// A view of what the database says now.
    pub async fn read(store: &Store) -> Result<Self, StoreError> {
        let view = Self {
            store: store.clone(),
            known: Arc::default(),
            reading: Arc::default(),
        };
        view.refresh().await?;
        Ok(view)
    }

    /// The suspensions in force.
    pub fn current(&self) -> Arc<SuspensionSet> {
        Arc::clone(&self.known.borrow())
    }

    /// Whether this user is suspended or blocked.
    pub fn is_suspended(&self, user: UserId) -> bool {
        self.known.borrow().of(user).is_some()
    }

    /// Whether this user is blocked: what is for them is dropped, and does not wait.
    pub fn is_blocked(&self, user: UserId) -> bool {
        self.known.borrow().is_blocked(user)
    }

    /// The suspensions in force; the receiver is notified of each change.
    pub fn changes(&self) -> watch::Receiver<Arc<SuspensionSet>> {
        self.known.subscribe()
    }

    /// Returns when this user is suspended or blocked.
    pub async fn until_suspended(&self, user: UserId) {
        self.until(|known| known.of(user).is_some()).await;
    }

    /// Returns when nothing for this user waits any longer: they are not suspended, or they are blocked.
    pub async fn until_resumed(&self, user: UserId) {
        self.until(|known| known.is_blocked(user) || known.of(user).is_none())
            .await;
    }

    /// Reads the database, which somebody may just have changed. Returns whether there was a change.
    pub async fn refresh(&self) -> Result<bool, StoreError> {
        let _reading = self.reading.lock().await;
        let current = self.store.suspensions().in_force().await?;
        let before = self.current();
        if *before == current {
            return Ok(false);
        }
        log_changes(&before, &current);
        SUSPENDED.set(
            f64::from(u8::from(current.everybody.is_some())),
            ["everybody"],
        );
        let suspended = current.users.values().filter(|known| !known.is_block);
        let users = u32::try_from(suspended.count()).unwrap_or(u32::MAX);
        SUSPENDED.set(f64::from(users), ["user"]);
        self.known.send_replace(Arc::new(current));
        Ok(true)
    }

    /// Keeps the view up to date until `stop`.
    pub async fn keep_current(self, bus: Bus, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            loop {
                match bus.watch_signals::<SuspensionChanged>().await {
                    Ok(signals) => self.follow(signals).await,
                    Err(error) => warn!(
                        error = &error as &dyn std::error::Error,
                        "could not watch suspensions; trying again"
                    ),
                }
                sleep(WATCH_PAUSE).await;
            }
        })
        .await;
    }

    async fn follow(&self, signals: impl Stream<Item = SuspensionChanged>) {
        let mut signals = pin!(signals);
        let mut ticks = interval(READ_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is due at once.
        ticks.tick().await;
        let mut cause = Cause::WatchBegan;
        loop {
            match self.refresh().await {
                Ok(has_changed) => {
                    if has_changed && cause == Cause::Clock {
                        WAITS_ENDED_BY_CLOCK.increment(["suspension"]);
                    }
                }
                Err(error) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "could not read who is suspended; trying again"
                    );
                    // Then the watch begins again, and with it the reading.
                    return;
                }
            }
            cause = tokio::select! {
                signal = signals.next() => match signal {
                    Some(signal) => {
                        log_reason(&signal);
                        Cause::Signal
                    }
                    None => return,
                },
                _ = ticks.tick() => Cause::Clock,
            };
        }
    }

    async fn until(&self, is_reached: impl Fn(&SuspensionSet) -> bool) {
        let mut known = self.known.subscribe();
        // Fails only if the sender is gone, which this view holds.
        let _reached = known.wait_for(|known| is_reached(known)).await;
    }
}

fn log_reason(signal: &SuspensionChanged) {
    if let Some(reason) = &signal.resumed_because {
        let whom = signal
            .user
            .map_or_else(|| "everybody".to_owned(), |user| user.to_string());
        info!(reason, "an operator resumes {whom}: {reason}");
    }
}

fn log_changes(before: &SuspensionSet, current: &SuspensionSet) {
    match (&before.everybody, &current.everybody) {
        (was, Some(now)) if was.as_ref() != Some(now) => {
            info!(
                reason = now.reason,
                "everybody is suspended: {}", now.reason
            );
        }
        (Some(_), None) => info!("the suspension of everybody is over"),
        (None, None) | (_, Some(_)) => {}
    }
    for (user, now) in &current.users {
        if before.users.get(user) != Some(now) {
            info!(user.id = %user, reason = now.reason, "{user} is suspended: {}", now.reason);
        }
    }
    for user in before.users.keys() {
        if !current.users.contains_key(user) {
            info!(user.id = %user, "{user} is no longer suspended");
        }
    }
}
