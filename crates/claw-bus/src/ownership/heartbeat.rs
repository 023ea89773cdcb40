use tokio::time::Instant;

use super::{RENEW, view::MemberStatus};

/// Schedules the renewals of our member key.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    revision: u64,
    /// The status the key should have; `announced` is the status last written.
    status: MemberStatus,
    announced: MemberStatus,
    due: Instant,
    is_beating: bool,
}

impl Heartbeat {
    /// Starts after the first write of the key, sent at `sent` and stored as `revision`.
    pub(crate) fn begun(revision: u64, sent: Instant) -> Self {
        Self {
            revision,
            status: MemberStatus::Staying,
            announced: MemberStatus::Staying,
            due: sent + RENEW,
            is_beating: false,
        }
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.status == MemberStatus::Leaving
    }

    /// Makes the next renewal due now, which announces the leaving.
    pub(crate) fn leave(&mut self) {
        self.status = MemberStatus::Leaving;
    }

    /// The status to write and the expected revision, if a renewal is due. The result must be reported with
    /// [`Heartbeat::beaten`] or [`Heartbeat::missed`].
    pub(crate) fn beat(&mut self, now: Instant) -> Option<(MemberStatus, u64)> {
        let is_due = self.due <= now || self.announced != self.status;
        if self.is_beating || !is_due {
            return None;
        }
        self.is_beating = true;
        Some((self.status, self.revision))
    }

    pub(crate) fn beaten(&mut self, announced: MemberStatus, revision: u64, sent: Instant) {
        self.is_beating = false;
        self.announced = announced;
        self.revision = revision;
        self.due = sent + RENEW;
    }

    /// Records a renewal without a known result, which is retried after a tenth of the interval.
    pub(crate) fn missed(&mut self, now: Instant) {
        self.is_beating = false;
        self.announced = self.status;
        self.due = now + RENEW / 10;
    }

    /// When the next renewal is due; `None` while one is in flight.
    pub(crate) fn wakes_at(&self) -> Option<Instant> {
        (!self.is_beating).then_some(self.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_renewal_is_due_every_half_second_unless_one_is_in_flight() {
        let start = Instant::now();
        let mut heart = Heartbeat::begun(5, start);

        assert_eq!(heart.beat(start), None);
        assert_eq!(heart.beat(start + RENEW), Some((MemberStatus::Staying, 5)));
        assert_eq!(
            heart.beat(start + RENEW * 3),
            None,
            "a renewal is in flight"
        );
        heart.beaten(MemberStatus::Staying, 9, start + RENEW);
        assert_eq!(heart.beat(start + RENEW), None);
        assert_eq!(
            heart.beat(start + RENEW * 2),
            Some((MemberStatus::Staying, 9))
        );
    }

    #[test]
    fn leaving_is_announced_at_once_and_again_if_the_answer_was_lost() {
        let start = Instant::now();
        let mut heart = Heartbeat::begun(5, start);

        heart.leave();
        assert_eq!(heart.beat(start), Some((MemberStatus::Leaving, 5)));
        heart.missed(start);
        assert_eq!(heart.beat(start), None, "a retry waits");
        assert_eq!(heart.beat(start + RENEW), Some((MemberStatus::Leaving, 5)));
    }
}
