use std::time::Duration;

use crate::RetryClass;

/// The first pause after a failure without advice of its own.
const SHORTEST: Duration = Duration::from_secs(1);
/// No pause of our own choosing is longer.
const LONGEST: Duration = Duration::from_secs(30);
/// Approval happens inside the container, within seconds: ask again every 2 to 5 s.
const APPROVAL_SHORTEST: Duration = Duration::from_secs(2);
const APPROVAL_SPREAD: Duration = Duration::from_secs(3);
/// Spread over what the gateway advised, so that many of us do not return at once.
const ADVICE_SPREAD: Duration = Duration::from_secs(1);

/// How long to wait before trying again, or `None` for "do not: tell people".
///
/// `failures` counts the failures in a row, this one included (1 = the first). `jitter` is a random
/// number from 0 to 1, handed in so that the rule stays a plain function.
pub fn pause_before(class: RetryClass, failures: u32, jitter: f64) -> Option<Duration> {
    let jitter = jitter.clamp(0.0, 1.0);
    match class {
        RetryClass::Backoff => Some(growing(failures).mul_f64(0.5 + jitter / 2.0)),
        RetryClass::After(advice) => Some(advice + ADVICE_SPREAD.mul_f64(jitter)),
        RetryClass::AwaitApproval => Some(APPROVAL_SHORTEST + APPROVAL_SPREAD.mul_f64(jitter)),
        RetryClass::Never => None,
    }
}

fn growing(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(10);
    (SHORTEST * 2u32.pow(doublings)).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_half_a_minute() {
        let pauses: Vec<u64> = (1..=7)
            .filter_map(|failures| pause_before(RetryClass::Backoff, failures, 1.0))
            .map(|pause| pause.as_secs())
            .collect();

        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30]);
    }

    #[test]
    fn jitter_takes_away_at_most_half_of_a_pause() {
        assert_eq!(
            pause_before(RetryClass::Backoff, 3, 0.0),
            Some(Duration::from_secs(2))
        );
    }

    #[test]
    fn a_pause_the_gateway_asked_for_is_never_cut_short() {
        let advice = Duration::from_mins(5);

        for jitter in [0.0, 0.5, 1.0] {
            assert!(pause_before(RetryClass::After(advice), 9, jitter) >= Some(advice));
        }
    }

    #[test]
    fn waiting_for_approval_asks_every_two_to_five_seconds_however_often_it_failed() {
        for failures in [1, 50] {
            assert_eq!(
                pause_before(RetryClass::AwaitApproval, failures, 0.0),
                Some(Duration::from_secs(2))
            );
            assert_eq!(
                pause_before(RetryClass::AwaitApproval, failures, 1.0),
                Some(Duration::from_secs(5))
            );
        }
    }

    #[test]
    fn what_no_retry_can_help_is_not_retried() {
        assert_eq!(pause_before(RetryClass::Never, 1, 0.5), None);
    }

    #[test]
    fn a_failure_count_of_a_year_does_not_overflow() {
        assert_eq!(
            pause_before(RetryClass::Backoff, u32::MAX, 1.0),
            Some(LONGEST)
        );
    }
}
