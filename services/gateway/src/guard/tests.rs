use chrono::{NaiveTime, TimeDelta};
use proptest::prelude::*;

use super::*;

#[test]
fn by_day_and_within_the_limit_a_text_goes_out() {
    let verdict = decide(
        at("2026-03-10T12:00:00Z"),
        2,
        &preferences(Tz::Europe__Berlin),
    );

    assert_eq!(verdict, Verdict::Send);
}

#[test]
fn what_comes_at_night_waits_for_the_morning() {
    for (night, morning) in [
        // Before midnight, after midnight, and the first quiet minute; Berlin is at +1.
        ("2026-01-10T22:30:00Z", "2026-01-11T06:00:00Z"),
        ("2026-01-11T03:00:00Z", "2026-01-11T06:00:00Z"),
        ("2026-01-10T21:00:00Z", "2026-01-11T06:00:00Z"),
    ] {
        assert_eq!(
            decide(at(night), 0, &preferences(Tz::Europe__Berlin)),
            held(morning, HoldReason::QuietHours),
            "{night}"
        );
    }
}

#[test]
fn quiet_hours_end_with_their_last_minute() {
    let berlin = preferences(Tz::Europe__Berlin);

    assert_eq!(
        decide(at("2026-01-11T05:59:59Z"), 0, &berlin),
        held("2026-01-11T06:00:00Z", HoldReason::QuietHours)
    );
    assert_eq!(
        decide(at("2026-01-11T06:00:00Z"), 0, &berlin),
        Verdict::Send
    );
}

#[test]
fn quiet_hours_are_those_of_the_person_not_of_the_server() {
    let noon_in_london = at("2026-01-10T12:00:00Z");

    assert_eq!(
        decide(noon_in_london, 0, &preferences(Tz::America__Los_Angeles)),
        held("2026-01-10T15:00:00Z", HoldReason::QuietHours)
    );
    assert_eq!(
        decide(noon_in_london, 0, &preferences(Tz::Asia__Kolkata)),
        Verdict::Send
    );
}

#[test]
fn a_siesta_is_quiet_and_the_night_around_it_is_not() {
    let siesta = Preferences {
        quiet: quiet("13:00", "15:30"),
        ..preferences(Tz::UTC)
    };

    assert_eq!(
        decide(at("2026-01-10T13:10:00Z"), 0, &siesta),
        held("2026-01-10T15:30:00Z", HoldReason::QuietHours)
    );
    assert_eq!(
        decide(at("2026-01-10T03:00:00Z"), 0, &siesta),
        Verdict::Send
    );
}

#[test]
fn who_minds_no_hour_is_written_at_night_too() {
    let sleepless = Preferences {
        quiet: None,
        ..preferences(Tz::UTC)
    };

    assert_eq!(
        decide(at("2026-01-10T03:00:00Z"), 0, &sleepless),
        Verdict::Send
    );
}

#[test]
fn over_the_limit_a_text_waits_for_the_next_day_and_its_morning() {
    let sleepless = Preferences {
        quiet: None,
        ..preferences(Tz::Europe__Berlin)
    };

    for (preferences, until) in [
        (preferences(Tz::Europe__Berlin), "2026-01-11T06:00:00Z"),
        (sleepless, "2026-01-10T23:00:00Z"),
    ] {
        assert_eq!(
            decide(at("2026-01-10T12:00:00Z"), 3, &preferences),
            held(until, HoldReason::DailyLimit)
        );
    }
}

#[test]
fn over_the_limit_after_midnight_a_text_waits_a_whole_day() {
    assert_eq!(
        decide(at("2026-01-11T00:30:00Z"), 3, &preferences(Tz::UTC)),
        held("2026-01-12T07:00:00Z", HoldReason::DailyLimit)
    );
}

#[test]
fn who_stopped_updates_gets_none_at_any_hour() {
    let stopped = Preferences {
        updates: Updates::Stopped,
        ..preferences(Tz::UTC)
    };

    for moment in ["2026-01-10T12:00:00Z", "2026-01-10T23:00:00Z"] {
        assert_eq!(decide(at(moment), 0, &stopped), Verdict::Withhold);
    }
}

#[test]
fn quiet_hours_keep_to_the_wall_clock_when_it_is_moved() {
    let berlin = preferences(Tz::Europe__Berlin);

    // Put forward on 29 March, put back on 25 October: 07:00 is 05:00 and 06:00 UTC.
    assert_eq!(
        decide(at("2026-03-28T22:00:00Z"), 0, &berlin),
        held("2026-03-29T05:00:00Z", HoldReason::QuietHours)
    );
    assert_eq!(
        decide(at("2026-10-24T22:00:00Z"), 0, &berlin),
        held("2026-10-25T06:00:00Z", HoldReason::QuietHours)
    );
}

#[test]
fn quiet_hours_that_end_in_a_skipped_hour_end_when_it_is_skipped() {
    let berlin = Preferences {
        quiet: quiet("22:00", "02:30"),
        ..preferences(Tz::Europe__Berlin)
    };

    assert_eq!(
        decide(at("2026-03-29T00:30:00Z"), 0, &berlin),
        held("2026-03-29T01:00:00Z", HoldReason::QuietHours)
    );
}

#[test]
fn quiet_hours_that_end_in_a_repeated_hour_end_at_its_next_pass() {
    let berlin = Preferences {
        quiet: quiet("22:00", "02:30"),
        ..preferences(Tz::Europe__Berlin)
    };

    for (now, until) in [
        ("2026-10-25T00:10:00Z", "2026-10-25T00:30:00Z"), // 02:10, the first time
        ("2026-10-25T01:10:00Z", "2026-10-25T01:30:00Z"), // 02:10 again
    ] {
        assert_eq!(
            decide(at(now), 0, &berlin),
            held(until, HoldReason::QuietHours),
            "{now}"
        );
    }
}

proptest! {
    #[test]
    fn what_waits_goes_out_when_told_and_not_before(
        now in any_moment(),
        sent_today in 0_u32..6,
        from in 0_u32..96,
        to in 0_u32..96,
        zone in proptest::sample::select(chrono_tz::TZ_VARIANTS.as_slice()),
    ) {
        let preferences = Preferences {
            quiet: Quiet::new(quarter(from), quarter(to)),
            ..preferences(zone)
        };
        match decide(now, sent_today, &preferences) {
            Verdict::Send => prop_assert!(sent_today < preferences.most_a_day),
            Verdict::Hold { until, .. } => {
                prop_assert!(until > now);
                prop_assert_eq!(decide(until, 0, &preferences), Verdict::Send);
                let just_before = until - TimeDelta::seconds(1);
                prop_assert_ne!(decide(just_before, sent_today, &preferences), Verdict::Send);
            }
            Verdict::Withhold => prop_assert!(false, "updates are on"),
        }
    }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn quiet(from: &str, to: &str) -> Option<Quiet> {
    let time = |text| NaiveTime::parse_from_str(text, "%H:%M").unwrap();
    Quiet::new(time(from), time(to))
}

fn preferences(zone: Tz) -> Preferences {
    Preferences {
        zone,
        quiet: quiet("22:00", "07:00"),
        most_a_day: 3,
        updates: Updates::On,
    }
}

fn held(until: &str, why: HoldReason) -> Verdict {
    Verdict::Hold {
        until: at(until),
        why,
    }
}

/// The n-th quarter of an hour of a day.
fn quarter(n: u32) -> NaiveTime {
    NaiveTime::from_hms_opt(n / 4, n % 4 * 15, 0).unwrap()
}

/// A moment between 2025 and 2035.
fn any_moment() -> impl Strategy<Value = DateTime<Utc>> {
    (1_735_689_600_i64..2_051_222_400)
        .prop_map(|seconds| DateTime::from_timestamp(seconds, 0).unwrap())
}
