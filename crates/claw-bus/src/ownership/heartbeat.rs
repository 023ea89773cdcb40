use tokio::time::Instant;

use super::{RENEW, view::Standing};

/// When to renew our key, and over which revision.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    revision: u64,
    /// What the key should say, and what it says.
    standing: Standing,
    told: Standing,
    due: Instant,
    is_beating: bool,
}

impl Heartbeat {
    /// The key was first written, as `revision`, by what was sent at `sent`.
    pub(crate) fn begun(revision: u64, sent: Instant) -> Self {
        Self {
            revision,
            standing: Standing::Staying,
            told: Standing::Staying,
            due: sent + RENEW,
            is_beating: false,
        }
    }

    pub(crate) fn is_leaving(&self) -> bool {
        self.standing == Standing::Leaving
    }

    /// Everyone is to know at once that we leave.
    pub(crate) fn leave(&mut self) {
        self.standing = Standing::Leaving;
    }

    /// What to write now, if something is to be written, and over which revision. The answer goes to
    /// [`Heartbeat::beaten`] or [`Heartbeat::missed`].
    pub(crate) fn beat(&mut self, now: Instant) -> Option<(Standing, u64)> {
        let is_due = self.due <= now || self.told != self.standing;
        if self.is_beating || !is_due {
            return None;
        }
        self.is_beating = true;
        Some((self.standing, self.revision))
    }

    pub(crate) fn beaten(&mut self, told: Standing, revision: u64, sent: Instant) {
        self.is_beating = false;
        self.told = told;
        self.revision = revision;
        self.due = sent + RENEW;
    }

    /// It is not known whether the key was written: to be tried again soon.
    pub(crate) fn missed(&mut self, now: Instant) {
        self.is_beating = false;
        self.told = self.standing;
        self.due = now + RENEW / 10;
    }

    /// When the next one is due; `None` while one is under way.
    pub(crate) fn wakes_at(&self) -> Option<Instant> {
        (!self.is_beating).then_some(self.due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_beats_every_half_second_and_one_at_a_time() {
        let start = Instant::now();
        let mut heart = Heartbeat::begun(5, start);

        assert_eq!(heart.beat(start), None);
        assert_eq!(heart.beat(start + RENEW), Some((Standing::Staying, 5)));
        assert_eq!(heart.beat(start + RENEW * 3), None, "one is under way");
        heart.beaten(Standing::Staying, 9, start + RENEW);
        assert_eq!(heart.beat(start + RENEW), None);
        assert_eq!(heart.beat(start + RENEW * 2), Some((Standing::Staying, 9)));
    }

    #[test]
    fn leaving_is_told_at_once_and_again_if_that_got_lost() {
        let start = Instant::now();
        let mut heart = Heartbeat::begun(5, start);

        heart.leave();
        assert_eq!(heart.beat(start), Some((Standing::Leaving, 5)));
        heart.missed(start);
        assert_eq!(heart.beat(start), None, "not without a pause");
        assert_eq!(heart.beat(start + RENEW), Some((Standing::Leaving, 5)));
    }
}
