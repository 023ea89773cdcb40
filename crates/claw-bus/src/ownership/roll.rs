use std::{collections::BTreeMap, sync::Arc};

use metrics::gauge;
use tokio::sync::watch;

use super::{lease::Lease, tenure::Tenure, unit::Unit};

/// The tenures of this replica.
pub(crate) struct Roll {
    pub(crate) group: &'static str,
    current: watch::Sender<Current>,
}

#[derive(Default)]
struct Current {
    has_joined: bool,
    tenures: BTreeMap<Unit, Tenure>,
    /// Tenures begun so far.
    begun: u64,
}

impl Roll {
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

    /// A claim of `unit` succeeded: the tenure goes on under this epoch, or begins.
    pub(crate) fn begin(&self, unit: Unit, epoch: u64, lease: &Arc<Lease>) {
        self.current.send_modify(|current| {
            if let Some(tenure) = current.tenures.get(&unit) {
                tenure.begin_epoch(epoch);
                return;
            }
            current.begun += 1;
            let tenure = Tenure::new(unit, current.begun, epoch, Arc::clone(lease));
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

    /// We are no member any more: everything is lost.
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
        gauge!("claw_partitions_owned", "group" => self.group).set(f64::from(holdings));
    }
}

/// The tenures a replica has, oldest first, and then each new one. One that was lost before it was
/// asked for is left out.
pub struct Tenures {
    current: watch::Receiver<Current>,
    last: u64,
}

impl Tenures {
    /// The next one; `None` when the [`Ownership`](super::Ownership) is gone. Nothing is missed by
    /// dropping the wait.
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
    fn whoever_asks_late_gets_what_is_there_and_each_tenure_once() {
        let roll = Roll::new("test");
        let lease = Arc::new(Lease::endless());
        for partition in [5, 4, 3] {
            roll.begin(Unit::Partition(partition), 1, &lease);
        }
        roll.lose(Unit::Partition(4));
        let mut tenures = roll.tenures();
        let mut next = || {
            let tenure = tenures.next().now_or_never()?;
            tenure.and_then(|tenure| tenure.partition())
        };

        assert_eq!((next(), next(), next()), (Some(5), Some(3), None));
        roll.begin(Unit::Partition(3), 2, &lease);
        assert_eq!(next(), None, "a new epoch is no new tenure");
        roll.begin(Unit::Partition(4), 3, &lease);
        assert_eq!(next(), Some(4));
    }

    #[test]
    fn leaving_loses_everything() {
        let roll = Roll::new("test");
        roll.begin(Unit::Whole, 1, &Arc::new(Lease::endless()));
        let tenure = roll.tenure(Unit::Whole).unwrap();

        roll.leave();

        assert!(tenure.lost().is_cancelled());
        assert_eq!(roll.holdings(), 0);
    }
}
