//! Plans the starts of sleepers of which only a few can be under way at the same time. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// How long before it is needed a sleeper may start at the earliest. The gateway lets a sandbox that is ready stay awake
/// for a job that is due within three minutes; one that started earlier could fall asleep again before its job.
pub const HORIZON: Duration = Duration::from_secs(210);

/// When each of several starts has to begin. Each takes `length`, and only `permits` of them can be under way at the same
/// time. `latest` are the latest times at which they may begin, in ascending order, and so is the result.
///
/// A start begins at its latest time, or earlier if the start `permits` positions later needs its permit.
pub fn start_times(
    latest: &[DateTime<Utc>],
    permits: usize,
    length: Duration,
) -> Vec<DateTime<Utc>> {
    let mut times = latest.to_vec();
    for place in (0..times.len().saturating_sub(permits)).rev() {
        times[place] = times[place].min(times[place + permits] - length);
    }
    times
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_needed_at_the_same_time_starts_one_after_the_other_and_in_time() {
        assert_eq!(planned(&[0; 7], 2), [-135, -90, -90, -45, -45, 0, 0]);
    }

    #[test]
    fn what_has_a_permit_anyway_starts_at_its_latest_time() {
        assert!(planned(&[], 2).is_empty());
        assert_eq!(planned(&[5], 2), [5]);
        assert_eq!(planned(&[0, 0, 45, 50, 200], 2), [0, 0, 45, 50, 200]);
    }

    #[test]
    fn an_early_start_moves_those_before_it() {
        assert_eq!(planned(&[-50, -20, 0, 0], 1), [-135, -90, -45, 0]);
    }

    proptest! {
        #[test]
        fn no_start_is_late_or_waits_for_a_permit(
            mut latest in prop::collection::vec(0_i64..1_000, 0..40),
            permits in 1_usize..5,
        ) {
            latest.sort_unstable();

            let times = planned(&latest, permits);

            prop_assert!(times.is_sorted());
            prop_assert!(times.iter().zip(&latest).all(|(time, latest)| time <= latest));
            for (place, time) in times.iter().enumerate().skip(permits) {
                prop_assert!(*time >= times[place - permits] + 45);
            }
        }
    }

    fn planned(latest: &[i64], permits: usize) -> Vec<i64> {
        let latest: Vec<_> = latest.iter().copied().map(at).collect();
        let times = start_times(&latest, permits, Duration::from_secs(45));
        times
            .into_iter()
            .map(|time| (time - DateTime::UNIX_EPOCH).num_seconds())
            .collect()
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }
}
