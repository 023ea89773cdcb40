use std::time::Duration;

use tokio::time::Instant;

/// One message per recipient in this time (Meta: 1 per 6 s, about 600 per hour).
const PAIR_INTERVAL: Duration = Duration::from_secs(6);

/// How many may go to one recipient at once, borrowed from the time after.
const PAIR_BURST: u32 = 45;

/// Messages per second of one business number (80 by default at Meta).
#[derive(Debug)]
pub(crate) struct Throughput {
    interval: Duration,
    burst: Duration,
    next: Option<Instant>,
}

impl Throughput {
    /// A limit of `per_second`, of which one second's worth may come at once.
    pub(crate) fn new(per_second: u32) -> Self {
        Self {
            interval: Duration::from_secs(1) / per_second.max(1),
            burst: Duration::from_secs(1),
            next: None,
        }
    }

    /// Counts one message; false when it is over the limit.
    pub(crate) fn admits(&mut self, now: Instant) -> bool {
        let next = self.next.map_or(now, |next| next.max(now));
        if next + self.interval > now + self.burst {
            return false;
        }
        self.next = Some(next + self.interval);
        true
    }
}

/// Messages to one recipient.
#[derive(Debug, Default)]
pub(crate) struct PairRate {
    burst_began: Option<Instant>,
    in_burst: u32,
    paid_until: Option<Instant>,
}

impl PairRate {
    /// Counts one message; false when it is over the limit.
    pub(crate) fn admits(&mut self, now: Instant) -> bool {
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
    fn eighty_messages_pass_in_a_second_and_the_next_is_refused() {
        let mut limit = Throughput::new(80);
        let start = Instant::now();

        assert_eq!((0..100).filter(|_| limit.admits(start)).count(), 80);
        assert!(limit.admits(start + Duration::from_millis(13)));
        assert!(!limit.admits(start + Duration::from_millis(13)));
    }

    #[test]
    fn a_burst_to_one_person_must_be_paid_back_before_the_next_message() {
        let mut pair = PairRate::default();
        let start = Instant::now();

        assert_eq!((0..60).filter(|_| pair.admits(start)).count(), 45);
        assert!(!pair.admits(start + Duration::from_secs(200)));
        assert!(pair.admits(start + Duration::from_secs(271)));
    }

    #[test]
    fn one_message_in_six_seconds_always_passes() {
        let mut pair = PairRate::default();
        let start = Instant::now();

        assert!((0..100).all(|n| pair.admits(start + PAIR_INTERVAL * n)));
    }
}
