use chrono::{NaiveTime, TimeDelta};
use chrono_tz::Tz;
use proptest::prelude::*;

use super::*;
use crate::QuietHours;

#[test]
fn a_message_by_day_and_within_the_limit_is_sent() {
    let decision = decide(
        at("2026-03-10T12:00:00Z"),
        2,
        &preferences(Tz::Europe__Berlin),
    );

    assert_eq!(decision, Decision::Send);
}

#[test]
fn a_message_at_night_is_held_until_the_morning() {
    for (night, morning) in [
        // Before midnight, after midnight, and the first quiet minute; Berlin is at UTC+1.
        ("2026-01-10T22:30:00Z", "2026-01-11T06:00:00Z"),
        ("2026-01-11T03:00:00Z", "2026-01-11T06:00:00Z"),
        ("2026-01-10T21:00:00Z", "2026-01-11T06:00:00Z"),
    ] {
        assert_eq!(
            decide(at(night), 0, &preferences(Tz::Europe__Berlin)),
            held(morning),
            "{night}"
        );
    }
}

#[test]
fn quiet_hours_end_at_their_end_time() {
    let berlin = preferences(Tz::Europe__Berlin);

    assert_eq!(
        decide(at("2026-01-11T05:59:59Z"), 0, &berlin),
        held("2026-01-11T06:00:00Z")
    );
    assert_eq!(
        decide(at("2026-01-11T06:00:00Z"), 0, &berlin),
        Decision::Send
    );
}

#[test]
fn quiet_hours_follow_the_users_clock_not_the_servers() {
    let noon_in_london = at("2026-01-10T12:00:00Z");

    assert_eq!(
        decide(noon_in_london, 0, &preferences(Tz::America__Los_Angeles)),
        held("2026-01-10T15:00:00Z")
    );
    assert_eq!(
        decide(noon_in_london, 0, &preferences(Tz::Asia__Kolkata)),
        Decision::Send
    );
}

#[test]
fn quiet_hours_can_lie_within_a_day() {
    let siesta = Preferences {
        quiet_hours: quiet("13:00", "15:30"),
        ..preferences(Tz::UTC)
    };

    assert_eq!(
        decide(at("2026-01-10T13:10:00Z"), 0, &siesta),
        held("2026-01-10T15:30:00Z")
    );
    assert_eq!(
        decide(at("2026-01-10T03:00:00Z"), 0, &siesta),
        Decision::Send
    );
}

#[test]
fn without_quiet_hours_a_message_is_sent_at_night() {
    let sleepless = Preferences {
        quiet_hours: None,
        ..preferences(Tz::UTC)
    };

    assert_eq!(
        decide(at("2026-01-10T03:00:00Z"), 0, &sleepless),
        Decision::Send
    );
}

#[test]
fn over_the_limit_a_message_is_held_until_the_next_days_morning() {
    let sleepless = Preferences {
        quiet_hours: None,
        ..preferences(Tz::Europe__Berlin)
    };

    for (preferences, until) in [
        (preferences(Tz::Europe__Berlin), "2026-01-11T06:00:00Z"),
        (sleepless, "2026-01-10T23:00:00Z"),
    ] {
        assert_eq!(
            decide(at("2026-01-10T12:00:00Z"), 3, &preferences),
            held(until)
        );
    }
}

#[test]
fn over_the_limit_after_midnight_a_message_is_held_for_a_whole_day() {
    assert_eq!(
        decide(at("2026-01-11T00:30:00Z"), 3, &preferences(Tz::UTC)),
        held("2026-01-12T07:00:00Z")
    );
}

#[test]
fn stopped_updates_are_withheld_at_any_hour() {
    let stopped = Preferences {
        updates: Updates::Stopped,
        ..preferences(Tz::UTC)
    };

    for moment in ["2026-01-10T12:00:00Z", "2026-01-10T23:00:00Z"] {
        assert_eq!(decide(at(moment), 0, &stopped), Decision::Withhold);
    }
}

#[test]
fn quiet_hours_follow_the_wall_clock_through_a_clock_change() {
    let berlin = preferences(Tz::Europe__Berlin);

    // Clocks go forward on 29 March and back on 25 October: 07:00 is 05:00 and 06:00 UTC.
    assert_eq!(
        decide(at("2026-03-28T22:00:00Z"), 0, &berlin),
        held("2026-03-29T05:00:00Z")
    );
    assert_eq!(
        decide(at("2026-10-24T22:00:00Z"), 0, &berlin),
        held("2026-10-25T06:00:00Z")
    );
}

#[test]
fn quiet_hours_that_end_in_a_skipped_hour_end_at_the_clock_change() {
    let berlin = Preferences {
        quiet_hours: quiet("22:00", "02:30"),
        ..preferences(Tz::Europe__Berlin)
    };

    assert_eq!(
        decide(at("2026-03-29T00:30:00Z"), 0, &berlin),
        held("2026-03-29T01:00:00Z")
    );
}

#[test]
fn quiet_hours_that_end_in_a_repeated_hour_end_at_its_next_occurrence() {
    let berlin = Preferences {
        quiet_hours: quiet("22:00", "02:30"),
        ..preferences(Tz::Europe__Berlin)
    };

    for (now, until) in [
        ("2026-10-25T00:10:00Z", "2026-10-25T00:30:00Z"), // 02:10, the first time
        ("2026-10-25T01:10:00Z", "2026-10-25T01:30:00Z"), // 02:10, the second time
    ] {
        assert_eq!(decide(at(now), 0, &berlin), held(until), "{now}");
    }
}

proptest! {
    #[test]
    fn a_held_message_can_be_sent_at_the_given_moment_and_not_before(
        now in any_moment(),
        sent_today in 0_u32..6,
        from in 0_u32..96,
        to in 0_u32..96,
        zone in proptest::sample::select(chrono_tz::TZ_VARIANTS.as_slice()),
    ) {
        let preferences = Preferences {
            quiet_hours: QuietHours::new(quarter(from), quarter(to)),
            ..preferences(zone)
        };
        match decide(now, sent_today, &preferences) {
            Decision::Send => prop_assert!(sent_today < preferences.daily_limit),
            Decision::HoldUntil(until) => {
                prop_assert!(until > now);
                prop_assert_eq!(decide(until, 0, &preferences), Decision::Send);
                let just_before = until - TimeDelta::seconds(1);
                prop_assert_ne!(decide(just_before, sent_today, &preferences), Decision::Send);
            }
            Decision::Withhold => prop_assert!(false, "updates are on"),
        }
    }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn quiet(from: &str, to: &str) -> Option<QuietHours> {
    let time = |text| NaiveTime::parse_from_str(text, "%H:%M").unwrap();
    QuietHours::new(time(from), time(to))
}

fn preferences(zone: Tz) -> Preferences {
    Preferences {
        zone,
        quiet_hours: quiet("22:00", "07:00"),
        daily_limit: 3,
        updates: Updates::On,
    }
}

fn held(until: &str) -> Decision {
    Decision::HoldUntil(at(until))
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
