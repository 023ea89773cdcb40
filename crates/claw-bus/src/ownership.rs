//! Shares a service's work out among its replicas, each piece under exactly one of them.
//!
//! All a service's replicas write into one bucket, hence into one order of revisions. A replica that
//! lives renews one key with a lease; what it has claimed is good while that key lives. The revision of
//! a claim is its *epoch*: it only grows, and names everything that is done under the claim.
//!
//! What to do is decided in `plan`, from what `view` has gathered; `member` does it; `tenure` is what
//! the rest of the service sees. A replica stops acting by its own clock ([`Tenure::may_act`]) before
//! the server can let its key lapse, so two never act at once, whatever is paused or cut off.

mod bucket;
mod heartbeat;
mod lease;
mod member;
mod plan;
mod roll;
mod sight;
mod tenure;
mod unit;
mod view;

use std::{sync::Arc, time::Duration};

use claw_domain::UserId;
use claw_events::partition_of;
use tokio_util::sync::CancellationToken;

pub use tenure::{Hold, Tenure};
pub use unit::{Share, Unit};

use crate::Bus;
use member::{End, Member};
use roll::Roll;
pub use roll::Tenures;

/// How long a replica that says nothing keeps what it has. The server counts leases in whole seconds.
/// A single key a replica makes one this short affordable: hundreds would be lost on a busy machine.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// How often a replica renews its lease.
pub(crate) const RENEW: Duration = Duration::from_millis(500);

/// How long a unit whose work goes on may keep the replica waiting that should have it.
pub(crate) const HAND_OVER_GRACE: Duration = Duration::from_millis(300);

/// What of the time to stop is left for giving back the claims themselves.
const RELEASE_MARGIN: Duration = Duration::from_secs(1);

/// This replica's part of its service's work. Cheap to clone; run it once.
#[derive(Clone)]
pub struct Ownership {
    bus: Bus,
    share: Share,
    grace: Duration,
    roll: Arc<Roll>,
}

impl Ownership {
    /// Nothing is ours until [`Ownership::run`] runs. `grace` is how long the service may take to stop.
    pub fn new(bus: &Bus, share: Share, grace: Duration) -> Self {
        Self {
            bus: bus.clone(),
            share,
            grace: grace.saturating_sub(RELEASE_MARGIN),
            roll: Arc::new(Roll::new(bus.service)),
        }
    }

    /// Takes part in the sharing until `stop`: then every tenure ends, and this returns when each was
    /// given back, once nothing runs under it or the grace is over (at once, if others can go on).
    ///
    /// An absent server is waited for. Dropped midway, all tenures are lost, and others take over when
    /// the lease lapses.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let joining = Member::join(
                &self.bus,
                Arc::clone(&self.roll),
                self.share.units(),
                self.grace,
            );
            let Some(member) = stop.run_until_cancelled(joining).await else {
                return;
            };
            match member.run(&stop).await {
                End::Left => return,
                End::Fenced if stop.is_cancelled() => return,
                End::Fenced => {}
            }
        }
    }

    /// Every tenure we have, and then every new one.
    pub fn tenures(&self) -> Tenures {
        self.roll.tenures()
    }

    /// The tenure under which this person's events are ours, if they are.
    pub fn tenure_of(&self, user: UserId) -> Option<Tenure> {
        let unit = match self.share {
            Share::Partitions => Unit::Partition(partition_of(user)),
            Share::Whole => Unit::Whole,
        };
        self.roll.tenure(unit).filter(Tenure::may_act)
    }

    /// Whether the other replicas know of us and we of them: work that should be ours is or will be.
    /// A replica that stands by has joined, too.
    pub fn has_joined(&self) -> bool {
        self.roll.has_joined()
    }

    /// How many units are ours.
    pub fn holdings(&self) -> usize {
        self.roll.holdings()
    }
}
