use std::time::Duration;

/// Exponential backoff: the pause before a retry starts at `first` and doubles with every further
/// failure, up to `longest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// The limit of every pause.
    pub longest: Duration,
}

impl Backoff {
    /// The pause after this many failures in a row. The count includes the latest failure: 1 is the
    /// first one, and 0 counts as 1.
    pub fn delay(self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1);
        let growing = self.first.saturating_mul(2_u32.saturating_pow(doublings));
        growing.min(self.longest)
    }

    /// The same pause, shortened by up to a half, so that many clients do not retry at the same
    /// moment. `jitter` is a random number from 0 (half the pause) to 1 (the whole pause), drawn by
    /// the caller to keep this function pure.
    pub fn jittered_delay(self, failures: u32, jitter: f64) -> Duration {
        let share = jitter.clamp(0.0, 1.0).midpoint(1.0);
        self.delay(failures).mul_f64(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(30),
    };

    #[test]
    fn the_delay_doubles_with_every_failure_up_to_the_longest() {
        let delays = (0..=7).map(|failures| BACKOFF.delay(failures).as_secs());

        assert!(delays.eq([1, 1, 2, 4, 8, 16, 30, 30]));
    }

    #[test]
    fn the_largest_failure_count_does_not_overflow() {
        assert_eq!(BACKOFF.delay(u32::MAX), BACKOFF.longest);
    }

    #[test]
    fn jitter_takes_away_at_most_half_of_a_delay() {
        let delays = [-1.0, 0.0, 0.5, 1.0, 2.0].map(|jitter| BACKOFF.jittered_delay(3, jitter));

        assert_eq!(
            delays,
            [2_000, 2_000, 3_000, 4_000, 4_000].map(Duration::from_millis)
        );
    }
}
