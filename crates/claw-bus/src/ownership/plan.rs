use std::{collections::BTreeSet, time::Duration};

use tokio::time::Instant;

use super::{
    HAND_OVER_GRACE,
    unit::Unit,
    view::{MemberId, View},
};

/// Where we stand with a unit. No seat: it is nothing of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seat {
    /// Something was asked of the bucket, and the answer is awaited.
    Asking,
    /// Asking did not work: not again before this moment.
    Paused { until: Instant },
    /// Ours.
    Held { epoch: u64 },
    /// Ours, under an epoch of a lost connection: to be claimed again, not before this moment.
    Stale { epoch: u64, not_before: Instant },
    /// Somebody else's turn: given back when nothing runs any more, or when its time is over.
    Ending {
        epoch: u64,
        since: Instant,
        is_idle: bool,
    },
}

/// What to do about a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Claim it, if its revision is still this one.
    Claim { over: u64, cause: Cause },
    /// Begin nothing new under it.
    End,
    /// Give it back, if its revision is still this one.
    Release { over: u64 },
    /// It is another's already.
    Lose,
}

/// Why a unit can be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Nobody has it.
    Free,
    /// Whoever has it is gone.
    Lapsed,
    /// It is ours by the bucket.
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

/// All that decides what to do next.
pub(crate) struct Situation<'a> {
    pub(crate) view: &'a View,
    pub(crate) me: &'a MemberId,
    /// What should be ours.
    pub(crate) wanted: &'a BTreeSet<Unit>,
    /// How long what runs under an ending tenure may go on.
    pub(crate) patience: Duration,
    pub(crate) now: Instant,
}

/// The next thing to do about `unit`, if there is one.
pub(crate) fn next_step(situation: &Situation<'_>, unit: Unit, seat: Option<Seat>) -> Option<Step> {
    let now = situation.now;
    let Some(seat) = seat else {
        return step_to_a_seat(situation, unit);
    };
    match seat {
        Seat::Paused { until } if until <= now => step_to_a_seat(situation, unit),
        Seat::Asking | Seat::Paused { .. } => None,
        Seat::Held { epoch } | Seat::Stale { epoch, .. } | Seat::Ending { epoch, .. }
            if situation.is_superseded(unit, epoch) =>
        {
            Some(Step::Lose)
        }
        Seat::Held { .. } => (!situation.wanted.contains(&unit)).then_some(Step::End),
        Seat::Stale { epoch, not_before } => (not_before <= now).then_some(Step::Claim {
            over: situation.newest(unit, epoch),
            cause: Cause::Regained,
        }),
        Seat::Ending {
            epoch,
            since,
            is_idle,
        } => (is_idle || since + situation.patience <= now).then_some(Step::Release {
            over: situation.newest(unit, epoch),
        }),
    }
}

fn step_to_a_seat(situation: &Situation<'_>, unit: Unit) -> Option<Step> {
    let over = situation.view.revision_of(unit);
    let cause = situation.claimable(unit)?;
    if situation.wanted.contains(&unit) {
        return Some(Step::Claim { over, cause });
    }
    match cause {
        // The answer to a claim was lost, and it should be another's by now: it would bar everyone else.
        Cause::Regained => Some(Step::Release { over }),
        Cause::Free | Cause::Lapsed => None,
    }
}

impl Situation<'_> {
    /// Why `unit` could be claimed by us, if it could.
    fn claimable(&self, unit: Unit) -> Option<Cause> {
        match self.view.claim_of(unit).map(|claim| &claim.holder) {
            None | Some(None) => Some(Cause::Free),
            Some(Some(holder)) if holder == self.me => Some(Cause::Regained),
            Some(Some(holder)) => (!self.view.lives(holder)).then_some(Cause::Lapsed),
        }
    }

    /// Whether what was ours under `epoch` was claimed by another, or given back by hand.
    fn is_superseded(&self, unit: Unit, epoch: u64) -> bool {
        self.view
            .claim_of(unit)
            .is_some_and(|claim| claim.revision > epoch && claim.holder.as_ref() != Some(self.me))
    }

    /// The newest revision we know of. The view may be behind what we did ourselves, and ahead of what
    /// we were answered.
    fn newest(&self, unit: Unit, epoch: u64) -> u64 {
        self.view.revision_of(unit).max(epoch)
    }
}

/// When `seat` wants to be looked at again.
pub(crate) fn wakes_at(seat: Seat, patience: Duration) -> Option<Instant> {
    match seat {
        Seat::Asking | Seat::Held { .. } => None,
        Seat::Paused { until } => Some(until),
        Seat::Stale { not_before, .. } => Some(not_before),
        Seat::Ending { since, .. } => Some(since + patience),
    }
}

/// Which of `units` should be ours. Everyone who sees the same replicas gives the same answer, and a
/// replica that comes or goes moves only its own part.
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

/// How long what runs under our ending tenures may go on. When the whole service stops with nobody to
/// go on, nobody waits for it either.
pub(crate) fn patience(view: &View, me: &MemberId, stops_within: Option<Duration>) -> Duration {
    match stops_within {
        Some(grace) if view.staying().all(|member| member == me) => grace,
        Some(_) | None => HAND_OVER_GRACE,
    }
}

/// Rendezvous hashing: each unit belongs to the member with the largest weight. FNV-1a, whose last
/// bytes change few bits, finished as `splitmix64` does. Never change it while replicas run.
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
