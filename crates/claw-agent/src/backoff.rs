use std::time::Duration;

use claw_domain::Backoff;

use crate::RetryClass;

/// The pauses after failures for which `OpenClaw` advised none.
const RECONNECT: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(30),
};
/// Approval happens inside the container, within seconds: try again every 2 to 5 s.
const APPROVAL_SHORTEST: Duration = Duration::from_secs(2);
const APPROVAL_SPREAD: Duration = Duration::from_secs(3);
/// Added at random to the pause that `OpenClaw` advised, so that clients do not all return at once.
const ADVICE_SPREAD: Duration = Duration::from_secs(1);

/// How long to wait before the next attempt to connect; `None` if there must be none until an
/// operator has acted.
///
/// `failures` counts the failures in a row, including the latest (1 is the first). `jitter` is a
/// random number from 0 to 1, drawn by the caller to keep this function pure.
pub fn pause_before(class: RetryClass, failures: u32, jitter: f64) -> Option<Duration> {
    let jitter = jitter.clamp(0.0, 1.0);
    match class {
        RetryClass::Backoff => Some(RECONNECT.jittered_delay(failures, jitter)),
        RetryClass::After(advice) => Some(advice + ADVICE_SPREAD.mul_f64(jitter)),
        RetryClass::AwaitApproval => Some(APPROVAL_SHORTEST + APPROVAL_SPREAD.mul_f64(jitter)),
        RetryClass::Never => None,
    }
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
    fn a_pause_that_openclaw_advised_is_never_shortened() {
        let advice = Duration::from_mins(5);

        for jitter in [0.0, 0.5, 1.0] {
            assert!(pause_before(RetryClass::After(advice), 9, jitter) >= Some(advice));
        }
    }

    #[test]
    fn approval_is_awaited_with_pauses_of_two_to_five_seconds_after_any_number_of_failures() {
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
    fn there_is_no_pause_before_a_retry_that_cannot_help() {
        assert_eq!(pause_before(RetryClass::Never, 1, 0.5), None);
    }
}
