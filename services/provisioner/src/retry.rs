use std::time::Duration;

use chrono::{DateTime, Utc};
use claw_domain::{Backoff, FailureReason};

/// The pauses between two tries while a dependency fails.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_millis(250),
    longest: Duration::from_secs(5),
};

/// The consecutive failures of a sandbox's dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryState {
    /// The reason of the latest failure, which the user is told if the sandbox is given up.
    pub reason: FailureReason,
    /// Whether the latest failure makes retries useless.
    pub is_permanent: bool,
    /// The time of the first failure.
    pub since: DateTime<Utc>,
    failures: u32,
    asked_pause: Option<Duration>,
}

impl RetryState {
    /// The state after the first failure.
    pub const fn first(
        reason: FailureReason,
        is_permanent: bool,
        asked_pause: Option<Duration>,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            reason,
            is_permanent,
            since: now,
            failures: 1,
            asked_pause,
        }
    }

    /// The state after this failure, if there were `earlier` ones and no success since.
    #[must_use]
    pub fn after(self, earlier: Option<Self>) -> Self {
        match earlier {
            Some(earlier) => Self {
                since: earlier.since,
                failures: earlier.failures.saturating_add(1),
                ..self
            },
            None => self,
        }
    }

    /// The pause before the next try: the backoff, or longer if the dependency asked for that.
    pub fn pause(&self) -> Duration {
        let asked = self.asked_pause.unwrap_or_default();
        BACKOFF.delay(self.failures).max(asked)
    }

    /// Whether to log this failure: the 1st, 2nd, 4th, 8th and so on.
    pub const fn is_worth_logging(&self) -> bool {
        self.failures.is_power_of_two()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    #[test]
    fn pauses_double_up_to_five_seconds_and_are_never_shorter_than_asked() {
        let mut state = first(None);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            pauses.push(state.pause().as_millis());
            state = first(None).after(Some(state));
        }

        assert_eq!(pauses, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
        assert_eq!(
            first(Some(Duration::from_secs(9))).pause(),
            Duration::from_secs(9)
        );
    }

    #[test]
    fn a_further_failure_keeps_the_time_of_the_first_and_replaces_the_reason() {
        let later = NOW + Duration::from_mins(1);
        let second = RetryState::first(FailureReason::ModelKey, false, None, later);

        let state = second.after(Some(first(None)));

        assert_eq!((state.since, state.reason), (NOW, FailureReason::ModelKey));
    }

    fn first(asked_pause: Option<Duration>) -> RetryState {
        RetryState::first(FailureReason::Engine, false, asked_pause, NOW)
    }
}
