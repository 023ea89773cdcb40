use super::*;
use crate::ownership::{
    unit::Share,
    view::{Change, Claim, MemberStatus},
};

const UNIT: Unit = Unit::Partition(3);
const OTHERS: Unit = Unit::Partition(4);
const GRACE: Duration = Duration::from_secs(20);

fn id(name: &str) -> MemberId {
    MemberId::new(name)
}

/// A view in which `members` live and `UNIT` was claimed at revision 7 by `holder`.
fn view(members: &[&str], holder: Option<&str>) -> View {
    let mut view = View::default();
    for member in members {
        view.learn(Change::Member(id(member), Some(MemberStatus::Staying)));
    }
    let holder = holder.map(id);
    view.learn(Change::Claim(
        UNIT,
        Claim {
            holder,
            revision: 7,
        },
    ));
    view
}

/// The next step of "me" on `UNIT`; `is_wanted` says whether it should hold the unit.
fn step(view: &View, is_wanted: bool, state: Option<UnitState>, now: Instant) -> Option<ClaimStep> {
    let wanted = BTreeSet::from([if is_wanted { UNIT } else { OTHERS }]);
    let situation = Situation {
        view,
        me: &id("me"),
        wanted: &wanted,
        hand_over_grace: HAND_OVER_GRACE,
        now,
    };
    next_step(&situation, UNIT, state)
}

fn claim(cause: Cause) -> ClaimStep {
    ClaimStep::Claim { over: 7, cause }
}

#[test]
fn a_free_unit_and_the_unit_of_a_dead_replica_are_claimed_by_the_replica_that_wants_them() {
    let now = Instant::now();

    let free = view(&["me", "you"], None);
    assert_eq!(step(&free, true, None, now), Some(claim(Cause::Free)));
    assert_eq!(step(&free, false, None, now), None);
    let dead = view(&["me", "you"], Some("gone"));
    assert_eq!(step(&dead, true, None, now), Some(claim(Cause::Lapsed)));
    assert_eq!(step(&dead, false, None, now), None);
    let live = view(&["me", "you"], Some("you"));
    assert_eq!(
        step(&live, true, None, now),
        None,
        "claimed from a live replica"
    );
    let never_claimed = View::default();
    assert_eq!(
        step(&never_claimed, true, None, now),
        Some(ClaimStep::Claim {
            over: 0,
            cause: Cause::Free
        })
    );
}

#[test]
fn an_unwanted_unit_ends_and_is_released_when_idle_or_after_the_grace_period() {
    let now = Instant::now();
    let view = view(&["me", "you"], Some("me"));
    let release = Some(ClaimStep::Release { over: 7 });
    let ending = |is_idle| {
        Some(UnitState::Ending {
            epoch: 7,
            since: now,
            is_idle,
        })
    };

    let held = Some(UnitState::Held { epoch: 7 });
    assert_eq!(step(&view, true, held, now), None);
    assert_eq!(step(&view, false, held, now), Some(ClaimStep::End));
    assert_eq!(step(&view, false, ending(false), now), None);
    assert_eq!(step(&view, false, ending(true), now), release);
    let late = now + HAND_OVER_GRACE;
    assert_eq!(step(&view, false, ending(false), late), release);
}

#[test]
fn a_unit_that_another_replica_claimed_is_lost_in_every_state() {
    let now = Instant::now();
    let theirs = view(&["me", "you"], Some("you"));

    for state in [
        UnitState::Held { epoch: 5 },
        UnitState::Stale {
            epoch: 5,
            not_before: now,
        },
        UnitState::Ending {
            epoch: 5,
            since: now,
            is_idle: false,
        },
    ] {
        assert_eq!(step(&theirs, true, Some(state), now), Some(ClaimStep::Lose));
    }
}

#[test]
fn a_view_older_than_our_own_claim_does_not_lose_the_unit() {
    let now = Instant::now();
    let before = view(&["me", "you"], Some("gone"));

    let held = Some(UnitState::Held { epoch: 8 });
    assert_eq!(step(&before, true, held, now), None);
    let ending = Some(UnitState::Ending {
        epoch: 8,
        since: now,
        is_idle: true,
    });
    assert_eq!(
        step(&before, false, ending, now),
        Some(ClaimStep::Release { over: 8 })
    );
}

#[test]
fn a_stale_unit_is_claimed_again_after_its_pause() {
    let now = Instant::now();
    let ours = view(&["me"], Some("me"));
    let later = now + Duration::from_millis(1);

    let stale = |not_before| {
        Some(UnitState::Stale {
            epoch: 5,
            not_before,
        })
    };
    assert_eq!(
        step(&ours, true, stale(now), now),
        Some(claim(Cause::Regained))
    );
    assert_eq!(step(&ours, true, stale(later), now), None);
}

#[test]
fn a_claim_whose_answer_was_lost_is_repeated_if_wanted_and_released_otherwise() {
    let now = Instant::now();
    let ours = view(&["me", "you"], Some("me"));

    assert_eq!(step(&ours, true, None, now), Some(claim(Cause::Regained)));
    assert_eq!(
        step(&ours, false, None, now),
        Some(ClaimStep::Release { over: 7 })
    );
}

#[test]
fn a_unit_is_not_claimed_while_a_claim_is_in_flight_or_paused() {
    let now = Instant::now();
    let free = view(&["me"], None);
    let until = now + Duration::from_millis(100);
    let paused = Some(UnitState::Paused { until });

    assert_eq!(step(&free, true, Some(UnitState::Asking), now), None);
    assert_eq!(step(&free, true, paused, now), None);
    assert_eq!(step(&free, true, paused, until), Some(claim(Cause::Free)));
}

#[test]
fn every_partition_is_wanted_by_one_replica_and_the_parts_are_about_equal() {
    let units = Share::Partitions.units();
    let names = ["a1", "b2", "c3"];
    let view = view(&names, None);

    let shares: Vec<_> = names
        .iter()
        .map(|name| wanted_by(&id(name), &view, &units))
        .collect();

    let together: usize = shares.iter().map(BTreeSet::len).sum();
    let all: BTreeSet<_> = shares.iter().flatten().copied().collect();
    assert_eq!((together, all.len()), (64, 64));
    assert!(shares.iter().all(|share| (12..=32).contains(&share.len())));
}

#[test]
fn a_joining_replica_takes_units_from_others_and_gives_none_away() {
    let units = Share::Partitions.units();
    let before = wanted_by(&id("a"), &view(&["a", "b"], None), &units);
    let after = wanted_by(&id("a"), &view(&["a", "b", "c"], None), &units);

    assert!(after.is_subset(&before) && after.len() < before.len());
}

#[test]
fn a_leaving_replica_wants_no_unit_and_the_others_want_all() {
    let units = Share::Partitions.units();
    let mut view = view(&["a", "b"], None);

    view.learn(Change::Member(id("b"), Some(MemberStatus::Leaving)));

    assert_eq!(wanted_by(&id("a"), &view, &units).len(), 64);
    assert!(wanted_by(&id("b"), &view, &units).is_empty());
    assert!(view.lives(&id("b")), "its claims are no longer valid");
}

#[test]
fn a_stopping_replica_uses_its_whole_grace_period_only_if_no_other_stays() {
    let me = id("me");
    let mut alone = view(&["me"], None);
    let both = view(&["me", "you"], None);
    assert_eq!(hand_over_grace(&alone, &me, None), HAND_OVER_GRACE);
    assert_eq!(hand_over_grace(&both, &me, Some(GRACE)), HAND_OVER_GRACE);
    assert_eq!(hand_over_grace(&alone, &me, Some(GRACE)), GRACE);

    alone.learn(Change::Member(id("you"), Some(MemberStatus::Leaving)));

    assert_eq!(
        hand_over_grace(&alone, &me, Some(GRACE)),
        GRACE,
        "both are stopping"
    );
}
