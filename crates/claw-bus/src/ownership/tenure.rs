use std::{fmt, sync::Arc};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{lease::Lease, plan::Cause, unit::Unit};

/// A lease on one unit of work with a fencing token, its *epoch*. It lasts from the claim until the unit is
/// released or lost. Cheap to clone.
#[derive(Clone)]
pub struct Tenure(Arc<Inner>);

struct Inner {
    unit: Unit,
    /// Increases with every tenure of this process.
    number: u64,
    lease: Arc<Lease>,
    cause: Cause,
    epoch: watch::Sender<u64>,
    work: watch::Sender<Work>,
    ending: CancellationToken,
    lost: CancellationToken,
}

/// The work that runs under a tenure.
#[derive(Debug, Default)]
struct Work {
    is_closed: bool,
    holds: usize,
}

impl Tenure {
    /// `cause` is why the unit could be claimed.
    pub(crate) fn new(
        unit: Unit,
        number: u64,
        epoch: u64,
        lease: Arc<Lease>,
        cause: Cause,
    ) -> Self {
        Self(Arc::new(Inner {
            unit,
            number,
            lease,
            cause,
            epoch: watch::Sender::new(epoch),
            work: watch::Sender::new(Work::default()),
            ending: CancellationToken::new(),
            lost: CancellationToken::new(),
        }))
    }

    /// A tenure of all units that never ends, for a handler that runs alone, such as one under test.
    pub fn unshared() -> Self {
        Self::new(Unit::Whole, 0, 0, Arc::new(Lease::endless()), Cause::Free)
    }

    /// The unit that this replica holds.
    pub fn unit(&self) -> Unit {
        self.0.unit
    }

    /// The partition, if the service shares its work by partitions.
    pub fn partition(&self) -> Option<u16> {
        match self.0.unit {
            Unit::Partition(number) => Some(number),
            Unit::Whole => None,
        }
    }

    /// Whether no other replica can hold this unit now. Check it right before an effect that must not happen
    /// twice. It goes by our own clock and turns `false` before another replica can claim the unit.
    pub fn may_act(&self) -> bool {
        !self.0.lost.is_cancelled() && self.0.lease.holds_at(Instant::now())
    }

    /// Marks work under this tenure: the unit is not released while the hold exists, within the grace period.
    /// `None` if no new work may start.
    pub fn hold(&self) -> Option<Hold> {
        let begins = self.may_act()
            && self.0.work.send_if_modified(|work| {
                work.holds += usize::from(!work.is_closed);
                !work.is_closed
            });
        begins.then(|| Hold(self.clone()))
    }

    /// Cancelled when no new work may start and waiting work should give up.
    pub fn ending(&self) -> CancellationToken {
        self.0.ending.child_token()
    }

    /// Cancelled when another replica may hold the unit. Never before [`Tenure::ending`].
    pub fn lost(&self) -> CancellationToken {
        self.0.lost.child_token()
    }

    /// The epoch of the claim. It changes after a reconnect to the bus: deliveries in flight under the former
    /// epoch are lost and must be requested again.
    pub fn epochs(&self) -> watch::Receiver<u64> {
        self.0.epoch.subscribe()
    }

    pub(crate) fn number(&self) -> u64 {
        self.0.number
    }

    /// Whether the previous holder did not release the unit: it has probably died.
    pub(crate) fn follows_lapse(&self) -> bool {
        match self.0.cause {
            Cause::Free => false,
            // The answer to the claim was lost, and with it whether the unit was free.
            Cause::Lapsed | Cause::Regained => true,
        }
    }

    /// Whether new work may start.
    pub(crate) fn is_open(&self) -> bool {
        !self.0.ending.is_cancelled() && self.may_act()
    }

    pub(crate) fn epoch(&self) -> u64 {
        *self.0.epoch.borrow()
    }

    pub(crate) fn begin_epoch(&self, epoch: u64) {
        self.0.epoch.send_replace(epoch);
    }

    /// Lets no new work start.
    pub(crate) fn end(&self) {
        self.0.work.send_modify(|work| work.is_closed = true);
        self.0.ending.cancel();
    }

    /// Ends the tenure: another replica may hold the unit from now on.
    pub(crate) fn lose(&self) {
        self.0.work.send_modify(|work| work.is_closed = true);
        self.0.lost.cancel();
        self.0.ending.cancel();
    }

    /// Resolves when no work runs under this tenure.
    pub(crate) async fn idle(self) {
        // The sender lives as long as this tenure, so this cannot fail.
        let _ = self
            .0
            .work
            .subscribe()
            .wait_for(|work| work.holds == 0)
            .await;
    }
}

impl fmt::Debug for Tenure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tenure({} under {})", self.0.unit, self.epoch())
    }
}

/// Work that runs under a tenure; see [`Tenure::hold`].
#[derive(Debug)]
pub struct Hold(Tenure);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.0.work.send_modify(|work| work.holds -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn an_ending_tenure_starts_no_new_work_and_becomes_idle_after_the_running_work() {
        let tenure = Tenure::unshared();
        let hold = tenure.hold().unwrap();

        tenure.end();

        assert!(tenure.hold().is_none(), "new work started");
        assert!(tenure.may_act(), "running work must stop");
        assert!(tenure.clone().idle().now_or_never().is_none());
        drop(hold);
        assert!(tenure.idle().now_or_never().is_some());
    }

    #[test]
    fn a_lost_tenure_is_also_ending() {
        let tenure = Tenure::unshared();

        tenure.lose();

        assert!(!tenure.may_act());
        assert!(tenure.ending().is_cancelled() && tenure.lost().is_cancelled());
    }

    #[test]
    fn cancelling_a_token_of_a_tenure_does_not_end_the_tenure() {
        let tenure = Tenure::unshared();

        tenure.ending().cancel();

        assert!(tenure.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_was_paused_past_its_lease_may_not_act() {
        let lease = Arc::new(Lease::renewed_at(Instant::now()));
        let tenure = Tenure::new(Unit::Partition(3), 1, 1, lease, Cause::Free);
        assert!(tenure.may_act());

        tokio::time::advance(Duration::from_millis(1_999)).await;

        assert!(!tenure.may_act());
        assert!(tenure.hold().is_none());
        assert!(!tenure.lost().is_cancelled());
    }
}
