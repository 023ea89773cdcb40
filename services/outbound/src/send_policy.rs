//! The rules for sending, waiting, retrying and giving up, without effects.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use claw_domain::DeliveryState;
use claw_store::Delivery;
use claw_whatsapp::send::SendError;

/// How long outbound waits for WhatsApp's delivery reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From a send of unknown outcome until the next attempt. Long enough for WhatsApp's report, in case the
    /// piece went out.
    pub outcome: Duration,
    /// The minimum wait for a report on a piece of unknown outcome, however long ago it was sent: WhatsApp may only
    /// now deliver the reports of a time when nobody took them.
    pub catching_up: Duration,
    /// Until the next piece of a reply is sent although the previous one is not reported as delivered. WhatsApp does
    /// not keep the order of messages that are in flight at the same time.
    pub arrival: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            outcome: Duration::from_secs(30),
            catching_up: Duration::from_secs(10),
            arrival: Duration::from_secs(10),
        }
    }
}

/// The next step for a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextAction {
    Send,
    /// The piece may have gone out: wait for a report.
    AwaitReport {
        /// After this long, send again unless a report is stored that we have not handled yet.
        at_most: Duration,
    },
    /// Nothing: WhatsApp accepted the piece.
    Settled,
    /// Nothing: the piece will not arrive.
    Failed {
        /// WhatsApp's error code, if it gave one.
        code: Option<i64>,
    },
}

/// The next step for a piece whose row was read at `now`.
pub fn next_action(piece: &Delivery, timeouts: Timeouts, now: DateTime<Utc>) -> NextAction {
    match piece.state {
        DeliveryState::Pending => NextAction::Send,
        DeliveryState::Sending => {
            let deadline = later(piece.sending_since.unwrap_or(now), timeouts.outcome);
            let at_most = (deadline - now).to_std().unwrap_or_default();
            NextAction::AwaitReport {
                at_most: at_most.max(timeouts.catching_up),
            }
        }
        DeliveryState::Failed => NextAction::Failed {
            code: piece.error_code,
        },
        DeliveryState::Accepted
        | DeliveryState::Sent
        | DeliveryState::Delivered
        | DeliveryState::Read
        | DeliveryState::Played => NextAction::Settled,
    }
}

/// Whether the next piece can no longer overtake this one: it was delivered or has failed.
pub fn has_arrived(state: DeliveryState) -> bool {
    state.rank() >= DeliveryState::Failed.rank()
}

/// How to go on after a failed attempt to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryDecision {
    /// The piece may have gone out: see [`NextAction::AwaitReport`].
    AwaitReport,
    /// Retry. Later replies to this user wait.
    Retry {
        /// The pause before the retry; `None` for the lane's own backoff.
        after: Option<Duration>,
    },
    /// Pause all sends, then retry.
    PauseAll,
    /// Alert the operator, keep the reply, and retry after [`OPERATOR_PAUSE`].
    AlertOperator,
    /// Mark the piece as failed.
    GiveUp,
}

/// Refusals after which an error that may be our own mistake is final.
const MOST_REFUSALS: u32 = 5;

/// Most failures of one piece after which we still wait for a report on an unknown outcome. After more, reports
/// evidently do not reach us, and the user may have received the piece several times.
const MOST_UNKNOWN_OUTCOMES: u32 = 3;

/// Meta's code while it upgrades a number's throughput, which takes about a minute.
const MAINTENANCE: i64 = 131_057;
const MAINTENANCE_PAUSE: Duration = Duration::from_mins(1);

/// The pause before a retry while the operator is needed.
pub const OPERATOR_PAUSE: Duration = Duration::from_mins(1);

/// Meta asks for a pause of 4^x seconds, with x counting up from 0; we stop at this x, about 4 minutes.
const LARGEST_PAIR_RATE_EXPONENT: u32 = 4;

/// How to go on after this error. `failures` counts the piece's refusals and unknown outcomes, this one
/// included.
pub fn retry_decision(error: &SendError, failures: u32) -> RetryDecision {
    match error {
        SendError::Unknown(_) if failures <= MOST_UNKNOWN_OUTCOMES => RetryDecision::AwaitReport,
        SendError::NotSent(_) => RetryDecision::Retry { after: None },
        SendError::Retry(refusal) => RetryDecision::Retry {
            after: (refusal.code == Some(MAINTENANCE)).then_some(MAINTENANCE_PAUSE),
        },
        SendError::RetryFewTimes(_) if failures < MOST_REFUSALS => {
            RetryDecision::Retry { after: None }
        }
        SendError::PairRate(_) => RetryDecision::Retry {
            after: Some(pair_rate_pause(failures)),
        },
        SendError::SlowDown(_) => RetryDecision::PauseAll,
        // A retry would hold up every later reply to this user until somebody fixed the template.
        SendError::Operator(refusal) if refusal.concerns_the_template() => RetryDecision::GiveUp,
        SendError::Operator(_) => RetryDecision::AlertOperator,
        SendError::Unknown(_)
        | SendError::RetryFewTimes(_)
        | SendError::NeedsTemplate(_)
        | SendError::Permanent(_) => RetryDecision::GiveUp,
    }
}

fn pair_rate_pause(refusals: u32) -> Duration {
    let exponent = refusals.saturating_sub(1).min(LARGEST_PAIR_RATE_EXPONENT);
    Duration::from_secs(4_u64.pow(exponent))
}

fn later(time: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    let by = TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX);
    time.checked_add_signed(by)
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}

#[cfg(test)]
mod tests {
    use claw_domain::DeliveryId;
    use claw_whatsapp::send::Refusal;

    use super::*;

    const TIMEOUTS: Timeouts = Timeouts {
        outcome: Duration::from_secs(30),
        catching_up: Duration::from_secs(10),
        arrival: Duration::from_secs(10),
    };

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
    }

    fn piece(state: DeliveryState) -> Delivery {
        Delivery {
            id: DeliveryId::derived_from("p"),
            index: 0,
            state,
            wamid: None,
            attempts: 1,
            sending_since: Some(at(0)),
            error_code: Some(131_026),
        }
    }

    fn refused(code: i64, refusals: u32) -> RetryDecision {
        retry_decision(&SendError::refused(Refusal::with_code(code)), refusals)
    }

    #[test]
    fn a_send_of_unknown_outcome_waits_for_a_report_and_after_an_outage_for_late_ones() {
        let sending = piece(DeliveryState::Sending);

        for (now, wait) in [(0, 30), (5, 25), (25, 10), (30, 10), (500, 10)] {
            let at_most = Duration::from_secs(wait);
            let action = next_action(&sending, TIMEOUTS, at(now));
            assert_eq!(action, NextAction::AwaitReport { at_most }, "after {now} s");
        }
    }

    #[test]
    fn accepted_and_failed_pieces_need_no_action() {
        for &state in DeliveryState::ALL {
            let action = next_action(&piece(state), TIMEOUTS, at(0));
            match state {
                DeliveryState::Pending => assert_eq!(action, NextAction::Send),
                DeliveryState::Sending => assert!(matches!(action, NextAction::AwaitReport { .. })),
                DeliveryState::Failed => {
                    assert_eq!(
                        action,
                        NextAction::Failed {
                            code: Some(131_026)
                        }
                    );
                }
                DeliveryState::Accepted
                | DeliveryState::Sent
                | DeliveryState::Delivered
                | DeliveryState::Read
                | DeliveryState::Played => assert_eq!(action, NextAction::Settled),
            }
        }
    }

    #[test]
    fn a_piece_has_arrived_once_it_was_delivered_or_has_failed() {
        assert!(!has_arrived(DeliveryState::Accepted));
        assert!(!has_arrived(DeliveryState::Sent));
        assert!(has_arrived(DeliveryState::Failed));
        assert!(has_arrived(DeliveryState::Delivered));
        assert!(has_arrived(DeliveryState::Read));
    }

    #[test]
    fn the_pause_for_one_user_grows_fourfold_up_to_a_limit() {
        let pauses: Vec<_> = (1..8).map(pair_rate_pause).map(|p| p.as_secs()).collect();

        assert_eq!(pauses, [1, 4, 16, 64, 256, 256, 256]);
        assert!(matches!(
            refused(131_056, 1),
            RetryDecision::Retry { after: Some(_) }
        ));
    }

    #[test]
    fn an_error_that_may_be_our_mistake_is_retried_a_few_times() {
        assert_eq!(refused(131_000, 1), RetryDecision::Retry { after: None });
        assert_eq!(refused(131_000, 5), RetryDecision::GiveUp);
        assert_eq!(refused(131_016, 500), RetryDecision::Retry { after: None });
    }

    #[test]
    fn each_kind_of_error_has_its_decision() {
        assert_eq!(refused(130_429, 1), RetryDecision::PauseAll);
        assert_eq!(refused(190, 1), RetryDecision::AlertOperator);
        assert_eq!(refused(131_047, 1), RetryDecision::GiveUp);
        assert_eq!(refused(132_001, 1), RetryDecision::GiveUp);
        assert_eq!(refused(132_015, 1), RetryDecision::GiveUp);
        assert_eq!(refused(131_026, 1), RetryDecision::GiveUp);
        let after = Some(Duration::from_mins(1));
        assert_eq!(refused(131_057, 1), RetryDecision::Retry { after });
        let unknown = SendError::Unknown("lost".into());
        assert_eq!(retry_decision(&unknown, 1), RetryDecision::AwaitReport);
        assert_eq!(retry_decision(&unknown, 4), RetryDecision::GiveUp);
        let not_sent = SendError::NotSent("refused".into());
        assert_eq!(
            retry_decision(&not_sent, 9),
            RetryDecision::Retry { after: None }
        );
    }
}
