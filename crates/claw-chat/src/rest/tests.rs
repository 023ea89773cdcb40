use chrono_tz::Tz;
use claw_domain::MessageId;
use proptest::prelude::*;

use super::*;
use crate::{QuietHours, Updates};

const LIMITS: WakeLimits = WakeLimits {
    jobs_per_day: 24,
    heartbeats_per_day: 3,
};

#[test]
fn without_jobs_and_heartbeats_it_sleeps_until_it_is_asked() {
    assert_eq!(decided(&agenda()), Rest::Asleep(None));
}

#[test]
fn it_is_ready_for_the_earliest_job() {
    let jobs = vec![once(3_600), repeating(1_800), once(7_200)];

    assert_eq!(decided(&Agenda { jobs, ..agenda() }), until_job(1_800));
}

#[test]
fn it_stays_awake_for_a_job_that_is_near_or_runs() {
    for (job, until, counts) in [
        (once(100), 105, false),
        (once(0), 5, false),
        // It has been due for a minute, or a start came too late for it.
        (once(-60), 5, false),
        (repeating(100), 105, true),
        (running(-600), 5, false),
    ] {
        let agenda = Agenda {
            jobs: vec![job],
            ..agenda()
        };
        let awake = Rest::Awake {
            until: at(until),
            counts,
        };
        assert_eq!(decided(&agenda), awake, "{job:?}");
    }
}

#[test]
fn a_stuck_job_keeps_nobody_awake() {
    let jobs = vec![once(-3_700), repeating(-3_700), running(-3_700)];

    assert_eq!(decided(&Agenda { jobs, ..agenda() }), Rest::Asleep(None));
}

#[test]
fn a_job_that_repeats_every_minute_has_to_do_with_the_wakes_of_a_day() {
    let of_today = |job_wakes, job| {
        decided(&Agenda {
            jobs: vec![job],
            job_wakes,
            ..agenda()
        })
    };
    let midnight = 24 * 3_600 - 12 * 3_600;

    assert_eq!(
        of_today(23, repeating(60)),
        Rest::Awake {
            until: at(65),
            counts: true
        }
    );
    assert_eq!(of_today(24, repeating(60)), until_job(midnight + ADA_SHARE));
    for on_time in [midnight, midnight + 60] {
        assert_eq!(of_today(24, repeating(on_time)), until_job(on_time));
    }
    assert_eq!(
        of_today(24, once(3_600)),
        until_job(3_600),
        "a reminder always counts"
    );
}

/// How long after midnight Ada's jobs wake her sandbox, in seconds.
const ADA_SHARE: i64 = 1_518;

#[test]
fn jobs_that_wait_for_the_next_day_do_not_wake_everybody_at_midnight() {
    let midnight = at(12 * 3_600);
    let mut needs: Vec<_> = (0..100)
        .map(|number| {
            let used_up = Agenda {
                user: user(&number.to_string()),
                jobs: vec![repeating(60)],
                job_wakes: 24,
                ..agenda()
            };
            let Rest::Asleep(Some(need)) = decided(&used_up) else {
                panic!("{:?}", decided(&used_up))
            };
            need.at - midnight
        })
        .collect();

    needs.sort();
    needs.dedup();
    assert!(needs.len() > 90, "{} different times", needs.len());
    let of_an_hour = TimeDelta::zero()..TimeDelta::hours(1);
    assert!(needs.iter().all(|need| of_an_hour.contains(need)));
}

#[test]
fn a_sandbox_that_started_early_for_a_job_stays_awake_for_it() {
    // The provisioner starts it up to 210 s early, and it is ready soon after.
    for seconds in [165, 179] {
        let early = Agenda {
            jobs: vec![once(seconds)],
            ..agenda()
        };
        assert!(matches!(decided(&early), Rest::Awake { .. }), "{seconds}");
    }
}

#[test]
fn nothing_but_its_person_wakes_one_whose_policy_is_off() {
    let off = Agenda {
        policy: SleepPolicy::Off,
        jobs: vec![once(60), repeating(3_600)],
        ..with_heartbeats()
    };
    let at_work = Agenda {
        jobs: vec![running(-60)],
        ..off.clone()
    };

    assert_eq!(decided(&off), Rest::Asleep(None));
    assert!(
        matches!(decided(&at_work), Rest::Awake { .. }),
        "the job may end"
    );
}

#[test]
fn one_whose_policy_is_to_stay_awake_does_not_sleep() {
    let always_on = Agenda {
        policy: SleepPolicy::AlwaysOn,
        ..agenda()
    };

    assert!(matches!(decided(&always_on), Rest::Awake { .. }));
}

#[test]
fn heartbeats_lie_at_equal_distances_in_the_waking_hours_and_differ_between_users() {
    let slots = |name: &str| -> Vec<String> {
        let user = user(name);
        let mut after = at(9 * 3_600);
        (0..4)
            .map(|_| {
                let agenda = Agenda {
                    user,
                    ..with_heartbeats()
                };
                after = heartbeats::next(&agenda, 3, after).unwrap();
                after
                    .with_timezone(&Tz::Europe__Berlin)
                    .format("%d %H:%M")
                    .to_string()
            })
            .collect()
    };

    // The waking hours are 7:00 to 22:00, so the distance is five hours.
    assert_eq!(slots("ada"), ADA_SLOTS);
    assert_ne!(slots("ada"), slots("bob"));
}

const ADA_SLOTS: [&str; 4] = ["11 10:25", "11 15:25", "11 20:25", "12 10:25"];

#[test]
fn a_heartbeat_wakes_only_who_wrote_within_a_week_and_wants_to_be_written_to() {
    let good = with_heartbeats();
    let week_ago = Some(at(0) - TimeDelta::days(7));
    let stopped = Preferences {
        updates: Updates::Stopped,
        ..good.preferences
    };

    let needs = |agenda: &Agenda| decided(agenda) != Rest::Asleep(None);
    assert!(needs(&good));
    for silent in [
        Agenda {
            last_written: week_ago,
            ..good.clone()
        },
        Agenda {
            last_written: None,
            ..good.clone()
        },
        Agenda {
            preferences: stopped,
            ..good.clone()
        },
        Agenda {
            heartbeat: None,
            ..good.clone()
        },
    ] {
        assert!(!needs(&silent), "{silent:?}");
    }
    let none = WakeLimits {
        heartbeats_per_day: 0,
        ..LIMITS
    };
    assert_eq!(rest(&good, none, at(0)), Rest::Asleep(None));
}

#[test]
fn a_heartbeat_that_is_not_due_yet_waits_for_a_later_slot() {
    let rare = Agenda {
        heartbeat: Some(at(3 * 86_400)),
        ..with_heartbeats()
    };

    let Rest::Asleep(Some(need)) = decided(&rare) else {
        panic!("{:?}", decided(&rare))
    };

    assert_eq!(need.reason, WakeReason::Heartbeat);
    assert!(
        need.at > at(3 * 86_400) && need.at < at(4 * 86_400),
        "{need:?}"
    );
}

proptest! {
    #[test]
    fn a_heartbeat_is_soon_outside_quiet_hours_and_as_often_as_allowed(
        seconds in 1_735_689_600_i64..2_051_222_400,
        zone in proptest::sample::select(chrono_tz::TZ_VARIANTS.as_slice()),
        quiet in proptest::sample::select(vec![None, Some("22:00-07:00"), Some("01:30-02:30"), Some("00:30-23:30")]),
        per_day in 1_u32..=48,
        number in 0_u32..1_000,
    ) {
        let quiet_hours = quiet.and_then(QuietHours::parse);
        let now = DateTime::from_timestamp(seconds, 0).unwrap();
        let agenda = Agenda {
            user: user(&number.to_string()),
            heartbeat: Some(now),
            last_written: Some(now),
            preferences: Preferences { zone, quiet_hours, ..agenda().preferences },
            ..agenda()
        };

        let slot = heartbeats::next(&agenda, per_day, now).unwrap();

        prop_assert!(slot > now);
        // A day may skip its waking hours when the clocks change.
        prop_assert!(slot - now <= TimeDelta::hours(49));
        prop_assert_eq!(quiet_hours.map_or(slot, |quiet| quiet.end_after(slot, zone)), slot);
    }
}

/// Nothing is planned, on a day at noon.
fn agenda() -> Agenda {
    Agenda {
        user: user("ada"),
        policy: SleepPolicy::Sleep,
        jobs: Vec::new(),
        heartbeat: None,
        preferences: Preferences {
            zone: Tz::Europe__Berlin,
            quiet_hours: QuietHours::parse("22:00-07:00"),
            daily_limit: 12,
            updates: Updates::On,
        },
        last_written: Some(at(-3_600)),
        job_wakes: 0,
    }
}

fn with_heartbeats() -> Agenda {
    Agenda {
        heartbeat: Some(at(600)),
        ..agenda()
    }
}

fn decided(agenda: &Agenda) -> Rest {
    rest(agenda, LIMITS, at(0))
}

fn until_job(seconds: i64) -> Rest {
    Rest::Asleep(Some(Need {
        at: at(seconds),
        reason: WakeReason::Job,
    }))
}

fn once(seconds: i64) -> PlannedJob {
    PlannedJob {
        kind: JobKind::Once,
        at: at(seconds),
    }
}

fn repeating(seconds: i64) -> PlannedJob {
    PlannedJob {
        kind: JobKind::Repeating,
        at: at(seconds),
    }
}

fn running(seconds: i64) -> PlannedJob {
    PlannedJob {
        kind: JobKind::Running,
        at: at(seconds),
    }
}

fn user(name: &str) -> UserId {
    UserId::from_uuid(MessageId::derived_from(name).as_uuid())
}

/// Seconds after noon (UTC).
fn at(seconds: i64) -> DateTime<Utc> {
    "2026-03-10T12:00:00Z".parse::<DateTime<Utc>>().unwrap() + TimeDelta::seconds(seconds)
}
