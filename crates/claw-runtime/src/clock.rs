//! The time, passed in as a value so that tests can set it.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;

/// A source of the current time.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time of this clock at the moment of the call.
    fn now(&self) -> DateTime<Utc>;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that the lint asks for"
    )]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// A clock for tests: its time changes only when it is set.
#[derive(Debug)]
pub struct FixedClock(Mutex<DateTime<Utc>>);

impl FixedClock {
    /// Creates a clock whose time is `now`.
    pub const fn at(now: DateTime<Utc>) -> Self {
        Self(Mutex::new(now))
    }

    /// Sets the time to `now`.
    pub fn set(&self, now: DateTime<Utc>) {
        *self.0.lock() = now;
    }

    /// Adds `step` to the time.
    pub fn advance(&self, step: TimeDelta) {
        *self.0.lock() += step;
    }
}

impl Clock for FixedClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_fixed_clock_changes_only_when_it_is_set() {
        let clock = FixedClock::at(DateTime::UNIX_EPOCH);

        clock.advance(TimeDelta::seconds(90));

        assert_eq!(clock.now().timestamp(), 90);
        clock.set(DateTime::UNIX_EPOCH);
        assert_eq!(clock.now(), DateTime::UNIX_EPOCH);
    }
}
