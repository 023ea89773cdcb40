//! What can go wrong outside, and for how long it has.

use std::time::Duration;

use chrono::{DateTime, Utc};
use claw_docker::RuntimeError;
use claw_domain::{Backoff, FailureReason};
use claw_openrouter::KeyError;

/// The pauses between two tries while a dependency fails.
const RETRY: Backoff = Backoff {
    first: Duration::from_millis(250),
    longest: Duration::from_secs(5),
};

/// Why a step, or a look, did not work.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Something outside does not work. It is waited for, or the sandbox is given up.
    #[error("{}", reason.as_str())]
    Outside {
        /// What the person is told should it not go away.
        reason: FailureReason,
        /// Whether trying again cannot help.
        is_permanent: bool,
        /// The shortest pause we were asked for.
        asked_pause: Option<Duration>,
        /// What happened.
        #[source]
        source: anyhow::Error,
    },
    /// Our own database or bus does not work: that is no fault of the sandbox.
    #[error("our own database or bus")]
    Ours(#[source] anyhow::Error),
}

impl From<RuntimeError> for Fault {
    fn from(error: RuntimeError) -> Self {
        let reason = match &error {
            RuntimeError::ImageMissing { .. } => FailureReason::ImageMissing,
            RuntimeError::PortTaken { .. } => FailureReason::NoFreePort,
            RuntimeError::EngineAway { .. }
            | RuntimeError::NotOurs { .. }
            | RuntimeError::Refused { .. }
            | RuntimeError::Unreadable { .. } => FailureReason::Engine,
        };
        let is_permanent = !error.is_transient();
        Self::Outside {
            reason,
            is_permanent,
            asked_pause: None,
            source: error.into(),
        }
    }
}

impl From<KeyError> for Fault {
    fn from(error: KeyError) -> Self {
        Self::Outside {
            reason: FailureReason::ModelKey,
            is_permanent: !error.is_transient(),
            asked_pause: error.retry_after(),
            source: error.into(),
        }
    }
}

impl From<claw_store::StoreError> for Fault {
    fn from(error: claw_store::StoreError) -> Self {
        Self::Ours(error.into())
    }
}

impl From<claw_bus::PublishError> for Fault {
    fn from(error: claw_bus::PublishError) -> Self {
        Self::Ours(error.into())
    }
}

/// Something outside that has not worked for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trouble {
    /// What the person is told should it not go away.
    pub reason: FailureReason,
    /// Whether trying again cannot help.
    pub is_permanent: bool,
    /// When it began.
    pub since: DateTime<Utc>,
    tries: u32,
    asked_pause: Option<Duration>,
}

impl Trouble {
    /// Trouble that begins now.
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
            tries: 1,
            asked_pause,
        }
    }

    /// This trouble after `earlier`, if nothing has worked since.
    #[must_use]
    pub fn after(self, earlier: Option<Self>) -> Self {
        match earlier {
            Some(earlier) => Self {
                since: earlier.since,
                tries: earlier.tries.saturating_add(1),
                ..self
            },
            None => self,
        }
    }

    /// How long to wait before the next try.
    pub fn pause(&self) -> Duration {
        let asked = self.asked_pause.unwrap_or_default();
        RETRY.delay(self.tries).max(asked)
    }

    /// Whether this try should be logged: the 1st, 2nd, 4th, 8th, …
    pub const fn is_worth_telling(&self) -> bool {
        self.tries.is_power_of_two()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    #[test]
    fn pauses_double_up_to_five_seconds_and_are_never_shorter_than_asked() {
        let again = |trouble: Trouble| first(None).after(Some(trouble));
        let mut trouble = first(None);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            pauses.push(trouble.pause().as_millis());
            trouble = again(trouble);
        }

        assert_eq!(pauses, [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
        assert_eq!(
            first(Some(Duration::from_secs(9))).pause(),
            Duration::from_secs(9)
        );
    }

    #[test]
    fn trouble_goes_on_since_it_began() {
        let later = NOW + Duration::from_mins(1);
        let second = Trouble::first(FailureReason::ModelKey, false, None, later);

        let trouble = second.after(Some(first(None)));

        assert_eq!(
            (trouble.since, trouble.reason),
            (NOW, FailureReason::ModelKey)
        );
    }

    fn first(asked_pause: Option<Duration>) -> Trouble {
        Trouble::first(FailureReason::Engine, false, asked_pause, NOW)
    }
}
