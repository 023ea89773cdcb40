use std::{fmt, sync::Arc};

use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{lease::Lease, unit::Unit};

/// One unit of work being ours, from the claim until it is given back or lost. Cheap to clone.
#[derive(Clone)]
pub struct Tenure(Arc<Inner>);

struct Inner {
    unit: Unit,
    /// Grows from tenure to tenure within this process.
    number: u64,
    lease: Arc<Lease>,
    epoch: watch::Sender<u64>,
    work: watch::Sender<Work>,
    ending: CancellationToken,
    lost: CancellationToken,
}

/// What goes on under a tenure.
#[derive(Debug, Default)]
struct Work {
    is_closed: bool,
    holds: usize,
}

impl Tenure {
    pub(crate) fn new(unit: Unit, number: u64, epoch: u64, lease: Arc<Lease>) -> Self {
        Self(Arc::new(Inner {
            unit,
            number,
            lease,
            epoch: watch::Sender::new(epoch),
            work: watch::Sender::new(Work::default()),
            ending: CancellationToken::new(),
            lost: CancellationToken::new(),
        }))
    }

    /// Of everything, and for ever: for what is certain to be alone, such as a handler under test.
    pub fn unshared() -> Self {
        Self::new(Unit::Whole, 0, 0, Arc::new(Lease::endless()))
    }

    /// What is ours.
    pub fn unit(&self) -> Unit {
        self.0.unit
    }

    /// The partition that is ours, where work is divided by partitions.
    pub fn partition(&self) -> Option<u16> {
        match self.0.unit {
            Unit::Partition(number) => Some(number),
            Unit::Whole => None,
        }
    }

    /// Whether nobody else can have this unit now. Ask right before an effect that must not happen
    /// twice: the answer comes from our own clock, and is no before anybody else can claim the unit.
    pub fn may_act(&self) -> bool {
        !self.0.lost.is_cancelled() && self.0.lease.holds_at(Instant::now())
    }

    /// To be kept while something runs under this tenure: giving the unit back waits for it, within
    /// the grace. `None` when nothing new may begin.
    pub fn hold(&self) -> Option<Hold> {
        let begins = self.may_act()
            && self.0.work.send_if_modified(|work| {
                work.holds += usize::from(!work.is_closed);
                !work.is_closed
            });
        begins.then(|| Hold(self.clone()))
    }

    /// Cancelled when nothing new may begin, and what waits should give up.
    pub fn ending(&self) -> CancellationToken {
        self.0.ending.child_token()
    }

    /// Cancelled when somebody else may have the unit. Never before [`Tenure::ending`].
    pub fn lost(&self) -> CancellationToken {
        self.0.lost.child_token()
    }

    /// The epoch of the claim. It changes when the connection to the bus was made again: what was on
    /// its way under the former one is to be asked for anew.
    pub fn epochs(&self) -> watch::Receiver<u64> {
        self.0.epoch.subscribe()
    }

    pub(crate) fn number(&self) -> u64 {
        self.0.number
    }

    /// Whether something new may begin.
    pub(crate) fn is_open(&self) -> bool {
        !self.0.ending.is_cancelled() && self.may_act()
    }

    pub(crate) fn epoch(&self) -> u64 {
        *self.0.epoch.borrow()
    }

    pub(crate) fn begin_epoch(&self, epoch: u64) {
        self.0.epoch.send_replace(epoch);
    }

    /// Lets nothing new begin.
    pub(crate) fn end(&self) {
        self.0.work.send_modify(|work| work.is_closed = true);
        self.0.ending.cancel();
    }

    /// The unit may be another's from now on.
    pub(crate) fn lose(&self) {
        self.0.work.send_modify(|work| work.is_closed = true);
        self.0.lost.cancel();
        self.0.ending.cancel();
    }

    /// Resolves when nothing runs under this tenure.
    pub(crate) async fn idle(self) {
        // The sender lives as long as we do, so this cannot fail.
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

/// While this lives, something runs under the tenure.
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
    fn while_something_runs_it_is_not_idle_and_once_ending_nothing_begins() {
        let tenure = Tenure::unshared();
        let hold = tenure.hold().unwrap();

        tenure.end();

        assert!(tenure.hold().is_none(), "nothing new");
        assert!(tenure.may_act(), "what runs may go on");
        assert!(tenure.clone().idle().now_or_never().is_none());
        drop(hold);
        assert!(tenure.idle().now_or_never().is_some());
    }

    #[test]
    fn what_is_lost_is_ending_too() {
        let tenure = Tenure::unshared();

        tenure.lose();

        assert!(!tenure.may_act());
        assert!(tenure.ending().is_cancelled() && tenure.lost().is_cancelled());
    }

    #[test]
    fn whoever_is_told_of_an_end_cannot_bring_it_about() {
        let tenure = Tenure::unshared();

        tenure.ending().cancel();

        assert!(tenure.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_was_paused_may_not_act_though_nobody_told_it() {
        let lease = Arc::new(Lease::renewed_at(Instant::now()));
        let tenure = Tenure::new(Unit::Partition(3), 1, 1, lease);
        assert!(tenure.may_act());

        tokio::time::advance(Duration::from_millis(1_999)).await;

        assert!(!tenure.may_act());
        assert!(tenure.hold().is_none());
        assert!(!tenure.lost().is_cancelled());
    }
}
