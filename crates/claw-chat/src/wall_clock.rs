use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, Utc};
use chrono_tz::{GapInfo, Tz};

/// When the local day around `now` began. Not always at 00:00: some zones change their clocks at midnight.
pub fn local_midnight(now: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
    let today = now.with_timezone(&zone).date_naive();
    first_instant_at(today.into(), zone, DateTime::<Utc>::MIN_UTC)
}

/// When the local day after the one around `now` begins.
pub(crate) fn next_local_midnight(now: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
    let today = now.with_timezone(&zone).date_naive();
    first_instant_at(day_after(today).into(), zone, now)
}

/// The next day; for the last day of the calendar, a quarter of a million years from now, that day itself.
pub(crate) fn day_after(day: NaiveDate) -> NaiveDate {
    day.checked_add_days(Days::new(1)).unwrap_or(day)
}

/// The first instant later than `after` at which clocks in `zone` show `local`. When clocks go back they
/// show it twice; when they go forward past it, the instant of the change counts.
pub(crate) fn first_instant_at(
    local: NaiveDateTime,
    zone: Tz,
    after: DateTime<Utc>,
) -> DateTime<Utc> {
    let shown = local.and_local_timezone(zone);
    let instants = [shown.earliest(), shown.latest()];
    instants
        .into_iter()
        .flatten()
        .chain(GapInfo::new(&local, &zone).and_then(|gap| gap.end))
        .map(|instant| instant.to_utc())
        .find(|instant| *instant > after)
        // Unreachable: clocks show a time once, twice, or skip it.
        .unwrap_or_else(|| local.and_utc())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_day_begins_at_local_midnight() {
        for (zone, now, midnight) in [
            (Tz::UTC, "2026-01-10T00:00:00Z", "2026-01-10T00:00:00Z"),
            (
                Tz::Asia__Kolkata,
                "2026-01-10T20:00:00Z",
                "2026-01-10T18:30:00Z",
            ),
            (
                Tz::America__New_York,
                "2026-07-10T02:00:00Z",
                "2026-07-09T04:00:00Z",
            ),
            // In Havana clocks go forward at midnight, and back to midnight at one.
            (
                Tz::America__Havana,
                "2026-03-08T12:00:00Z",
                "2026-03-08T05:00:00Z",
            ),
            (
                Tz::America__Havana,
                "2026-11-01T05:30:00Z",
                "2026-11-01T04:00:00Z",
            ),
        ] {
            assert_eq!(local_midnight(at(now), zone), at(midnight), "{zone} {now}");
        }
    }

    proptest! {
        #[test]
        fn now_lies_between_this_midnight_and_the_next(
            now in any_moment(),
            zone in proptest::sample::select(chrono_tz::TZ_VARIANTS.as_slice()),
        ) {
            prop_assert!(local_midnight(now, zone) <= now);
            prop_assert!(next_local_midnight(now, zone) > now);
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    /// A moment between 2025 and 2035.
    fn any_moment() -> impl Strategy<Value = DateTime<Utc>> {
        (1_735_689_600_i64..2_051_222_400)
            .prop_map(|seconds| DateTime::from_timestamp(seconds, 0).unwrap())
    }
}
