use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use super::LEASE;

/// How long a renewal counts, by our own clock: nine tenths of the lease.
const TERM: Duration = Duration::from_millis(1_800);

const _: () = assert!(TERM.as_millis() * 10 == LEASE.as_millis() * 9);

/// Until when this replica may act, by its own clock.
///
/// The server expires the key one lease after it *stored* the last renewal. We count [`TERM`], which is a tenth
/// shorter, from before the renewal was *sent*, so a paused process sees the end of its lease before another
/// replica can. A lease that was once seen to be over stays over: its owner has dropped its work by then.
#[derive(Debug)]
pub(crate) struct Lease {
    base: Instant,
    /// Nanoseconds after `base`, or [`OVER`].
    ends: AtomicU64,
}

/// Marks a lease that was seen to be over.
const OVER: u64 = 0;

impl Lease {
    /// A lease that starts with a successful renewal, sent at `sent`.
    pub(crate) fn renewed_at(sent: Instant) -> Self {
        Self {
            base: sent,
            ends: AtomicU64::new(nanoseconds(TERM)),
        }
    }

    /// A lease that never ends.
    pub(crate) fn endless() -> Self {
        Self {
            base: Instant::now(),
            ends: AtomicU64::new(u64::MAX),
        }
    }

    /// Extends the lease after a successful renewal, sent at `sent`.
    pub(crate) fn extend(&self, sent: Instant) {
        let new = nanoseconds(sent.duration_since(self.base) + TERM);
        // Fails if the lease is over, and so the lease stays over.
        let _ = self
            .ends
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |ends| {
                (ends != OVER).then_some(ends.max(new))
            });
    }

    /// The end of the lease, unless it is extended.
    pub(crate) fn ends(&self) -> Instant {
        self.base + Duration::from_nanos(self.ends.load(Ordering::Acquire))
    }

    /// Whether the lease is valid at `now`. Once this returned `false`, it never returns `true` again.
    pub(crate) fn holds_at(&self, now: Instant) -> bool {
        let now = nanoseconds(now.duration_since(self.base));
        self.ends
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |ends| {
                (ends <= now).then_some(OVER)
            })
            .is_err()
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_ends_one_term_after_its_renewal_was_sent() {
        let sent = Instant::now();
        let lease = Lease::renewed_at(sent);

        assert!(lease.holds_at(sent + TERM - Duration::from_millis(1)));
        assert!(!lease.holds_at(sent + TERM));
    }

    #[test]
    fn a_late_answer_does_not_extend_a_lease_that_was_seen_to_be_over() {
        let sent = Instant::now();
        let lease = Lease::renewed_at(sent);

        assert!(!lease.holds_at(sent + TERM));
        lease.extend(sent + Duration::from_millis(500));

        assert!(!lease.holds_at(sent + TERM));
        assert!(!lease.holds_at(sent));
    }

    #[test]
    fn the_answer_of_an_older_renewal_does_not_shorten_a_lease() {
        let sent = Instant::now();
        let lease = Lease::renewed_at(sent);

        lease.extend(sent + Duration::from_millis(500));
        lease.extend(sent + Duration::from_millis(200));

        assert_eq!(lease.ends(), sent + Duration::from_millis(500) + TERM);
    }
}
