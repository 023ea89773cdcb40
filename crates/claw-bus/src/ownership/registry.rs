use std::{collections::BTreeMap, sync::Arc};

use claw_metrics::PARTITIONS_OWNED;
use tokio::sync::watch;

use super::{lease::Lease, plan::Cause, tenure::Tenure, unit::Unit};

/// The tenures of this replica, shared with the rest of the service.
pub(crate) struct Registry {
    pub(crate) group: &'static str,
    current: watch::Sender<Current>,
}

#[derive(Default)]
struct Current {
    has_joined: bool,
    tenures: BTreeMap<Unit, Tenure>,
    /// The number of tenures so far.
    begun: u64,
}

impl Registry {
    pub(crate) fn new(group: &'static str) -> Self {
        Self {
            group,
            current: watch::Sender::default(),
        }
    }

    pub(crate) fn tenures(&self) -> Tenures {
        Tenures {
            current: self.current.subscribe(),
            last: 0,
        }
    }

    pub(crate) fn tenure(&self, unit: Unit) -> Option<Tenure> {
        self.current.borrow().tenures.get(&unit).cloned()
    }

    pub(crate) fn has_joined(&self) -> bool {
        self.current.borrow().has_joined
    }

    pub(crate) fn holdings(&self) -> usize {
        self.current.borrow().tenures.len()
    }

    pub(crate) fn join(&self) {
        self.current
            .send_modify(|current| current.has_joined = true);
    }

    /// Records a successful claim of `unit`: starts a tenure, or continues it under the new epoch.
    pub(crate) fn begin(&self, unit: Unit, epoch: u64, lease: &Arc<Lease>, cause: Cause) {
        self.current.send_modify(|current| {
            if let Some(tenure) = current.tenures.get(&unit) {
                tenure.begin_epoch(epoch);
                return;
            }
            current.begun += 1;
            let tenure = Tenure::new(unit, current.begun, epoch, Arc::clone(lease), cause);
            current.tenures.insert(unit, tenure);
        });
        self.count();
    }

    pub(crate) fn lose(&self, unit: Unit) {
        self.current.send_modify(|current| {
            if let Some(tenure) = current.tenures.remove(&unit) {
                tenure.lose();
            }
        });
        self.count();
    }

    /// Ends the membership: every tenure is lost.
    pub(crate) fn leave(&self) {
        self.current.send_modify(|current| {
            current.has_joined = false;
            for tenure in std::mem::take(&mut current.tenures).into_values() {
                tenure.lose();
            }
        });
        self.count();
    }

    fn count(&self) {
        let holdings = u16::try_from(self.holdings()).unwrap_or(u16::MAX);
        PARTITIONS_OWNED.set(f64::from(holdings), [self.group]);
    }
}

/// The tenures of a replica, oldest first, then each new one. Skips tenures that were lost in the meantime.
pub struct Tenures {
    current: watch::Receiver<Current>,
    last: u64,
}

impl Tenures {
    /// Waits for the next tenure; `None` when the [`Ownership`](super::Ownership) was dropped. Cancel-safe.
    pub async fn next(&mut self) -> Option<Tenure> {
        loop {
            let next = self
                .current
                .borrow_and_update()
                .tenures
                .values()
                .filter(|tenure| tenure.number() > self.last)
                .min_by_key(|tenure| tenure.number())
                .cloned();
            if let Some(tenure) = next {
                self.last = tenure.number();
                return Some(tenure);
            }
            self.current.changed().await.ok()?;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_late_listener_gets_each_current_tenure_once() {
        let registry = Registry::new("test");
        let lease = Arc::new(Lease::endless());
        for partition in [5, 4, 3] {
            registry.begin(Unit::Partition(partition), 1, &lease, Cause::Free);
        }
        registry.lose(Unit::Partition(4));
        let mut tenures = registry.tenures();
        let mut next = || {
            let tenure = tenures.next().now_or_never()?;
            tenure.and_then(|tenure| tenure.partition())
        };

        assert_eq!((next(), next(), next()), (Some(5), Some(3), None));
        registry.begin(Unit::Partition(3), 2, &lease, Cause::Regained);
        assert_eq!(next(), None, "a new epoch continues the tenure");
        registry.begin(Unit::Partition(4), 3, &lease, Cause::Free);
        assert_eq!(next(), Some(4));
    }

    #[test]
    fn leaving_loses_every_tenure() {
        let registry = Registry::new("test");
        registry.begin(Unit::Whole, 1, &Arc::new(Lease::endless()), Cause::Free);
        let tenure = registry.tenure(Unit::Whole).unwrap();

        registry.leave();

        assert!(tenure.lost().is_cancelled());
        assert_eq!(registry.holdings(), 0);
    }
}
