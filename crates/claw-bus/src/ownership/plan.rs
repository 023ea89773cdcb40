use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;

use super::{
    HAND_OVER_GRACE,
    unit::Unit,
    view::{MemberId, View},
};

/// This replica's relation to a unit. A unit without a state is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnitState {
    /// A claim or release is in flight.
    Asking,
    /// A claim failed; it is not retried before this moment.
    Paused { until: Instant },
    /// Held under this epoch.
    Held { epoch: u64 },
    /// Held under an epoch of a lost connection; to be claimed again, not before this moment.
    Stale { epoch: u64, not_before: Instant },
    /// To be handed over: released when no work runs under it, or when the grace period is over.
    Ending {
        epoch: u64,
        since: Instant,
        is_idle: bool,
    },
}

/// The next operation on a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClaimStep {
    /// Claim the unit if it still has this revision.
    Claim { over: u64, cause: Cause },
    /// Start no new work under the tenure.
    End,
    /// Release the unit if it still has this revision.
    Release { over: u64 },
    /// Another replica holds the unit already.
    Lose,
}

/// Why a unit can be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The unit has no holder.
    Free,
    /// The lease of the holder has expired.
    Lapsed,
    /// The bucket names this replica as the holder.
    Regained,
}

impl Cause {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Lapsed => "lapsed",
            Self::Regained => "regained",
        }
    }
}

/// The input of [`next_step`].
pub(crate) struct Situation<'a> {
    pub(crate) view: &'a View,
    pub(crate) me: &'a MemberId,
    /// The units this replica should hold.
    pub(crate) wanted: &'a BTreeSet<Unit>,
    /// How long work may go on under an ending tenure.
    pub(crate) hand_over_grace: Duration,
    pub(crate) now: Instant,
}

/// The next operation on `unit`, if one is needed.
pub(crate) fn next_step(
    situation: &Situation<'_>,
    unit: Unit,
    state: Option<UnitState>,
) -> Option<ClaimStep> {
    let now = situation.now;
    let Some(state) = state else {
        return step_to_claim(situation, unit);
    };
    match state {
        UnitState::Paused { until } if until <= now => step_to_claim(situation, unit),
        UnitState::Asking | UnitState::Paused { .. } => None,
        UnitState::Held { epoch }
        | UnitState::Stale { epoch, .. }
        | UnitState::Ending { epoch, .. }
            if situation.is_superseded(unit, epoch) =>
        {
            Some(ClaimStep::Lose)
        }
        UnitState::Held { .. } => (!situation.wanted.contains(&unit)).then_some(ClaimStep::End),
        UnitState::Stale { epoch, not_before } => (not_before <= now).then_some(ClaimStep::Claim {
            over: situation.newest(unit, epoch),
            cause: Cause::Regained,
        }),
        UnitState::Ending {
            epoch,
            since,
            is_idle,
        } => (is_idle || since + situation.hand_over_grace <= now).then_some(ClaimStep::Release {
            over: situation.newest(unit, epoch),
        }),
    }
}

fn step_to_claim(situation: &Situation<'_>, unit: Unit) -> Option<ClaimStep> {
    let over = situation.view.revision_of(unit);
    let cause = situation.claimable(unit)?;
    if situation.wanted.contains(&unit) {
        return Some(ClaimStep::Claim { over, cause });
    }
    match cause {
        // The answer to our claim was lost, and another replica should hold the unit by now. It cannot claim the unit
        // until we release it.
        Cause::Regained => Some(ClaimStep::Release { over }),
        Cause::Free | Cause::Lapsed => None,
    }
}

impl Situation<'_> {
    /// Why this replica can claim `unit`; `None` if it cannot.
    fn claimable(&self, unit: Unit) -> Option<Cause> {
        match self.view.claim_of(unit).map(|claim| &claim.holder) {
            None | Some(None) => Some(Cause::Free),
            Some(Some(holder)) if holder == self.me => Some(Cause::Regained),
            Some(Some(holder)) => (!self.view.lives(holder)).then_some(Cause::Lapsed),
        }
    }

    /// Whether a unit held under `epoch` has since been claimed by another replica, or released by an operator.
    fn is_superseded(&self, unit: Unit, epoch: u64) -> bool {
        self.view
            .claim_of(unit)
            .is_some_and(|claim| claim.revision > epoch && claim.holder.as_ref() != Some(self.me))
    }

    /// The newest known revision of `unit`. The view may be behind our own writes, or ahead of their answers.
    fn newest(&self, unit: Unit, epoch: u64) -> u64 {
        self.view.revision_of(unit).max(epoch)
    }
}

/// When a unit in this state needs its next operation.
pub(crate) fn wakes_at(state: UnitState, hand_over_grace: Duration) -> Option<Instant> {
    match state {
        UnitState::Asking | UnitState::Held { .. } => None,
        UnitState::Paused { until } => Some(until),
        UnitState::Stale { not_before, .. } => Some(not_before),
        UnitState::Ending { since, .. } => Some(since + hand_over_grace),
    }
}

/// The units that `me` should hold. All replicas with the same view agree, and a replica that joins or leaves
/// moves only its own units.
pub(crate) fn wanted_by(me: &MemberId, view: &View, units: &[Unit]) -> BTreeSet<Unit> {
    units
        .iter()
        .copied()
        .filter(|unit| {
            view.staying()
                .max_by_key(|member| (weight(*unit, member), *member))
                == Some(me)
        })
        .collect()
}

/// How long work may go on under ending tenures. A service that stops without another replica uses all of its
/// grace period, because no replica waits for its units.
pub(crate) fn hand_over_grace(
    view: &View,
    me: &MemberId,
    stops_within: Option<Duration>,
) -> Duration {
    match stops_within {
        Some(grace) if view.staying().all(|member| member == me) => grace,
        Some(_) | None => HAND_OVER_GRACE,
    }
}

/// Rendezvous hashing: each unit belongs to the member with the largest weight. The weight is FNV-1a, in which
/// the last bytes change few bits, mixed further as in `splitmix64`. Never change it while replicas run.
fn weight(unit: Unit, member: &MemberId) -> u64 {
    let hash = format!("{unit}/{}", member.as_str())
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests;
