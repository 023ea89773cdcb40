use std::time::Duration;

use tokio::time::Instant;

/// One message per recipient in this time (Meta: 1 per 6 s, about 600 per hour).
const PAIR_INTERVAL: Duration = Duration::from_secs(6);

/// Messages to one recipient in a burst; each uses up 6 s of the time that follows.
const PAIR_BURST: u32 = 45;

/// Rate limiter for one business number (80 messages per second by default at Meta).
#[derive(Debug)]
pub(crate) struct ThroughputLimiter {
    interval: Duration,
    burst: Duration,
    next: Option<Instant>,
}

impl ThroughputLimiter {
    /// Allows `per_second` messages, up to one second's worth at once.
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            interval: Duration::from_secs(1) / per_second.max(1),
            burst: Duration::from_secs(1),
            next: None,
        }
    }

    /// Counts one message; false when it is over the limit.
    pub(crate) fn try_acquire(&mut self, now: Instant) -> bool {
        let next = self.next.map_or(now, |next| next.max(now));
        if next + self.interval > now + self.burst {
            return false;
        }
        self.next = Some(next + self.interval);
        true
    }
}

/// Rate limiter for one recipient.
#[derive(Debug, Default)]
pub(crate) struct PairLimiter {
    burst_began: Option<Instant>,
    in_burst: u32,
    paid_until: Option<Instant>,
}

impl PairLimiter {
    /// Counts one message; false when it is over the limit.
    pub(crate) fn try_acquire(&mut self, now: Instant) -> bool {
        match (self.burst_began, self.paid_until) {
            (Some(began), Some(paid_until)) if now < paid_until => {
                let in_time = now.duration_since(began) < PAIR_INTERVAL;
                if !in_time || self.in_burst >= PAIR_BURST {
                    return false;
                }
                self.in_burst += 1;
                self.paid_until = Some(paid_until + PAIR_INTERVAL);
            }
            _ => {
                self.burst_began = Some(now);
                self.in_burst = 1;
                self.paid_until = Some(now + PAIR_INTERVAL);
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eighty_messages_per_second_are_allowed_and_the_next_is_refused() {
        let mut limit = ThroughputLimiter::new(80);
        let start = Instant::now();

        assert_eq!((0..100).filter(|_| limit.try_acquire(start)).count(), 80);
        assert!(limit.try_acquire(start + Duration::from_millis(13)));
        assert!(!limit.try_acquire(start + Duration::from_millis(13)));
    }

    #[test]
    fn after_a_burst_the_recipient_gets_nothing_until_its_time_has_passed() {
        let mut pair = PairLimiter::default();
        let start = Instant::now();

        assert_eq!((0..60).filter(|_| pair.try_acquire(start)).count(), 45);
        assert!(!pair.try_acquire(start + Duration::from_secs(200)));
        assert!(pair.try_acquire(start + Duration::from_secs(271)));
    }

    #[test]
    fn one_message_per_six_seconds_is_always_allowed() {
        let mut pair = PairLimiter::default();
        let start = Instant::now();

        assert!((0..100).all(|n| pair.try_acquire(start + PAIR_INTERVAL * n)));
    }
}
