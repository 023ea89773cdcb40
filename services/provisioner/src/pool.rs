//! Decides how the pool of spare sandboxes grows and shrinks. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::step::RETRY_PAUSES;

/// How long after a pause the next failure still counts as one in a row.
const STREAK: Duration = Duration::from_mins(10);

/// The number of failures in a row after which the operator is told.
const FAILURES_TOLD: u32 = 3;

/// The part of all places that the pool leaves free, for those who come back: a tenth.
const KEPT_FREE: u32 = 10;

/// What the size of the pool depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PoolState {
    /// How many spare sandboxes the operator wants.
    pub(crate) size: u32,
    /// Those that are ready.
    pub(crate) ready: u32,
    /// Those that are being started.
    pub(crate) starting: u32,
    /// The number of places on all hosts together.
    pub(crate) places: u32,
    /// The places that nobody has and nobody waits for.
    pub(crate) free: u32,
    /// How many wait for a place that nobody else gives up.
    pub(crate) wanted: u32,
    /// The starts that wait for a permit.
    pub(crate) waiting_starts: usize,
    /// How many sandboxes may start at the same time.
    pub(crate) starts_at_once: usize,
    /// Whether no spare sandbox may start for now.
    pub(crate) is_pausing: bool,
}

/// A change of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PoolChange {
    /// It stays as it is.
    Keep,
    /// This many more spare sandboxes are started.
    Grow(u32),
    /// This many are removed.
    Shrink(u32),
}

/// The spare sandboxes that failed, in memory: a new process tries at once.
#[derive(Debug, Default)]
pub(crate) struct PoolFailures {
    in_a_row: u32,
    pause_ends: Option<DateTime<Utc>>,
}

/// How the pool is to change.
pub(crate) fn pool_change(state: &PoolState) -> PoolChange {
    let spares = state.ready + state.starting;
    let surplus = spares.saturating_sub(state.size);
    let wanted = state.wanted.min(spares);
    match surplus.max(wanted) {
        0 => {}
        fewer => return PoolChange::Shrink(fewer),
    }
    if state.is_pausing || state.waiting_starts > 0 || state.wanted > 0 {
        return PoolChange::Keep;
    }
    let room = state.free.saturating_sub(kept_free(state.places));
    let at_once = u32::try_from(state.starts_at_once).unwrap_or(u32::MAX);
    let more = (state.size - spares)
        .min(room)
        .min(at_once.saturating_sub(state.starting));
    match more {
        0 => PoolChange::Keep,
        more => PoolChange::Grow(more),
    }
}

/// The places that the pool leaves free.
pub(crate) const fn kept_free(places: u32) -> u32 {
    places.div_ceil(KEPT_FREE)
}

impl PoolFailures {
    /// Whether the pool pauses after failures.
    pub(crate) fn are_pausing(&self, now: DateTime<Utc>) -> bool {
        self.pause_ends.is_some_and(|end| now < end)
    }

    /// Records that a spare sandbox could not be started, or ended by itself. What fails during a pause counts as one
    /// failure. Returns whether the operator is to be told: once for failures in a row.
    pub(crate) fn record(&mut self, now: DateTime<Utc>) -> bool {
        if self.are_pausing(now) {
            return false;
        }
        let is_in_a_row = self.pause_ends.is_some_and(|end| now < end + STREAK);
        self.in_a_row = if is_in_a_row {
            self.in_a_row.saturating_add(1)
        } else {
            1
        };
        self.pause_ends = Some(now + RETRY_PAUSES.delay(self.in_a_row));
        self.in_a_row == FAILURES_TOLD
    }
}

#[cfg(test)]
mod tests {
    use super::{
        PoolChange::{Grow, Keep, Shrink},
        *,
    };

    /// A pool that is to grow, with room to do so.
    const SMALL: PoolState = PoolState {
        size: 10,
        ready: 4,
        starting: 0,
        places: 100,
        free: 50,
        wanted: 0,
        waiting_starts: 0,
        starts_at_once: 2,
        is_pausing: false,
    };

    fn change_if(different: impl FnOnce(&mut PoolState)) -> PoolChange {
        let mut state = SMALL;
        different(&mut state);
        pool_change(&state)
    }

    #[test]
    fn the_pool_grows_while_there_are_places_and_nobody_waits_for_a_start() {
        assert_eq!(change_if(|_| {}), Grow(2));
        assert_eq!(change_if(|state| state.ready = 9), Grow(1));
        assert_eq!(change_if(|state| state.ready = 10), Keep);
        assert_eq!(change_if(|state| state.starting = 1), Grow(1));
        assert_eq!(change_if(|state| state.starting = 2), Keep);
        assert_eq!(change_if(|state| state.free = 11), Grow(1));
        assert_eq!(change_if(|state| state.free = 10), Keep);
        assert_eq!(change_if(|state| state.waiting_starts = 1), Keep);
        assert_eq!(change_if(|state| state.is_pausing = true), Keep);
        let is_nearly_full = change_if(|state| (state.ready, state.starting) = (8, 2));
        assert_eq!(is_nearly_full, Keep);
    }

    #[test]
    fn the_pool_shrinks_to_its_size_and_when_its_places_are_wanted() {
        let wanted = |wanted, ready| {
            change_if(|state| (state.free, state.wanted, state.ready) = (0, wanted, ready))
        };
        assert_eq!(wanted(1, 4), Shrink(1));
        assert_eq!(wanted(9, 4), Shrink(4));
        assert_eq!(wanted(9, 0), Keep);
        assert_eq!(change_if(|state| state.size = 3), Shrink(1));
        let is_off = change_if(|state| (state.size, state.starting) = (0, 2));
        assert_eq!(is_off, Shrink(6));
        let is_wanted_too = change_if(|state| (state.size, state.free, state.wanted) = (2, 0, 3));
        assert_eq!(is_wanted_too, Shrink(3));
        let has_failed = change_if(|state| (state.size, state.is_pausing) = (2, true));
        assert_eq!(has_failed, Shrink(2));
    }

    #[test]
    fn failures_in_a_row_are_followed_by_growing_pauses_and_told_once() {
        let mut failures = PoolFailures::default();
        let (mut now, mut pauses, mut told) = (DateTime::UNIX_EPOCH, Vec::new(), 0);
        for _ in 0..8 {
            told += u32::from(failures.record(now));
            // Others that were starting fail at the same time.
            told += u32::from(failures.record(now));
            let began = now;
            while failures.are_pausing(now) {
                now += Duration::from_mins(1);
            }
            pauses.push((now - began).num_minutes());
            now += Duration::from_mins(2);
        }

        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(told, 1);
        assert!(!failures.are_pausing(now));

        failures.record(now + Duration::from_hours(2));
        assert!(!failures.are_pausing(now + Duration::from_mins(121)));
    }
}
