//! Shares the work of a service among its replicas: each unit of work is held by one of them.
//!
//! All replicas of a service write to one bucket, so their writes have one order of revisions. A live replica
//! renews one key with a lease; its claims are valid while that key exists. The revision of a claim is its
//! *epoch*, a fencing token: it only grows, and is part of the name of every consumer made under the claim.
//!
//! `view` collects the state of the bucket, `plan` decides, `member` acts, and the rest of the service sees only
//! `tenure`. A replica stops acting by its own clock ([`Tenure::may_act`]) before the server can expire its
//! key, so two replicas never act at once, even if one is paused or cut off.

mod bucket;
mod heartbeat;
mod lease;
mod member;
mod plan;
mod registry;
mod tenure;
mod unit;
mod view;
mod watch_state;

use std::{sync::Arc, time::Duration};

use claw_domain::UserId;
use claw_events::partition_of;
use tokio_util::sync::CancellationToken;

pub use tenure::{Hold, Tenure};
pub use unit::{Share, Unit};

use crate::{Bus, suspects::SuspectGate};
use member::{Member, MembershipEnd};
use registry::Registry;
pub use registry::Tenures;

/// How long a silent replica keeps its units. The server counts leases in whole seconds. So short a lease is
/// affordable because each replica renews one key; with hundreds of keys a busy machine would lose some.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// How often a replica renews its lease.
pub(crate) const RENEW: Duration = Duration::from_millis(500);

/// How long running work may delay the hand-over of its unit to another replica.
pub(crate) const HAND_OVER_GRACE: Duration = Duration::from_millis(300);

/// The part of the service's grace period that is reserved for releasing the claims.
const RELEASE_MARGIN: Duration = Duration::from_secs(1);

/// This replica's share of its service's work. Cheap to clone; run it once.
#[derive(Clone)]
pub struct Ownership {
    bus: Bus,
    share: Share,
    grace: Duration,
    registry: Arc<Registry>,
    suspect_gate: Arc<SuspectGate>,
}

impl Ownership {
    /// Holds nothing until [`Ownership::run`] runs. `grace` is how long the service may take to stop.
    pub fn new(bus: &Bus, share: Share, grace: Duration) -> Self {
        Self {
            bus: bus.clone(),
            share,
            grace: grace.saturating_sub(RELEASE_MARGIN),
            registry: Arc::new(Registry::new(bus.service)),
            suspect_gate: Arc::new(SuspectGate::new(bus.unique())),
        }
    }

    /// Claims and holds units until `stop` is cancelled. Then every tenure ends, and this returns when all units are
    /// released: when no work runs under them, or when the grace period is over, which is 300 ms if another replica can
    /// take over.
    ///
    /// Waits for an absent server. If this future is dropped, all tenures are lost, and other replicas take over
    /// when the lease expires.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let joining = Member::join(
                &self.bus,
                Arc::clone(&self.registry),
                self.share.units(),
                self.grace,
            );
            let Some(member) = stop.run_until_cancelled(joining).await else {
                return;
            };
            match member.run(&stop).await {
                MembershipEnd::Left => return,
                MembershipEnd::Fenced if stop.is_cancelled() => return,
                MembershipEnd::Fenced => {}
            }
        }
    }

    /// Yields every current tenure, then every new one.
    pub fn tenures(&self) -> Tenures {
        self.registry.tenures()
    }

    /// The tenure of this user's unit, if this replica holds it.
    pub fn tenure_of(&self, user: UserId) -> Option<Tenure> {
        let unit = match self.share {
            Share::Partitions => Unit::Partition(partition_of(user)),
            Share::Whole => Unit::Whole,
        };
        self.registry.tenure(unit).filter(Tenure::may_act)
    }

    /// Whether this replica has joined the others and knows the state of all units. A standby has joined, too.
    pub fn has_joined(&self) -> bool {
        self.registry.has_joined()
    }

    /// What all consumers of this process share to handle suspects.
    pub(crate) fn suspect_gate(&self) -> Arc<SuspectGate> {
        Arc::clone(&self.suspect_gate)
    }

    /// The number of units this replica holds.
    pub fn holdings(&self) -> usize {
        self.registry.holdings()
    }
}
