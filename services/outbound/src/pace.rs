//! When to send, wait, try again or give up: rules without effects.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use claw_domain::DeliveryState;
use claw_store::Delivery;
use claw_whatsapp::send::SendError;

/// How long outbound waits for what it cannot know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// After handing a piece over without learning the outcome, until it is sent again: long enough for
    /// WhatsApp's report about it, should it have gone out.
    pub outcome: Duration,
    /// The least time a piece of unknown outcome is watched, however long ago it was handed over: reports
    /// may have piled up while nobody was there to read them.
    pub catching_up: Duration,
    /// Until the next piece of a reply follows, when the one before is not reported as arrived. WhatsApp
    /// does not keep the order of messages that are under way together.
    pub arrival: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            outcome: Duration::from_secs(30),
            catching_up: Duration::from_secs(10),
            arrival: Duration::from_secs(10),
        }
    }
}

/// What is to be done about a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Hand it over.
    Send,
    /// It may have gone out: wait for a report about it.
    AwaitReport {
        /// How long at most; then hand it over again.
        at_most: Duration,
    },
    /// Nothing, WhatsApp has it.
    Settled,
    /// Nothing, it will not arrive.
    Failed {
        /// WhatsApp's code, if it gave one.
        code: Option<i64>,
    },
}

/// What is to be done about a piece that was found in this state at `found`.
pub fn next_step(
    piece: &Delivery,
    found: DateTime<Utc>,
    patience: Patience,
    now: DateTime<Utc>,
) -> Step {
    match piece.state {
        DeliveryState::Pending => Step::Send,
        DeliveryState::Sending => {
            let handed_over = piece.sending_since.unwrap_or(found);
            let waited_enough =
                later(handed_over, patience.outcome).max(later(found, patience.catching_up));
            match (waited_enough - now).to_std() {
                Ok(at_most) if !at_most.is_zero() => Step::AwaitReport { at_most },
                Ok(_) | Err(_) => Step::Send,
            }
        }
        DeliveryState::Failed => Step::Failed {
            code: piece.error_code,
        },
        DeliveryState::Accepted
        | DeliveryState::Sent
        | DeliveryState::Delivered
        | DeliveryState::Read
        | DeliveryState::Played => Step::Settled,
    }
}

/// Whether the next piece may follow this one without overtaking it. A failed one is overtaken by none.
pub fn has_arrived(state: DeliveryState) -> bool {
    state.rank() >= DeliveryState::Failed.rank()
}

/// What a failed attempt to send asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// It may have gone out: see [`Step::AwaitReport`].
    AwaitReport,
    /// Try again; later things to say to this person wait.
    TryAgain {
        /// When; `None` for the lane's own growing pause.
        after: Option<Duration>,
    },
    /// Everyone pauses, then try again.
    SlowDown,
    /// Tell the operator, keep the reply, and look again after a while.
    CallOperator,
    /// It will not arrive.
    GiveUp,
}

/// Refusals after which trouble that may be our own doing counts as final.
const FEW_REFUSALS: u32 = 5;

/// Sends of one piece whose outcome nobody tells us: past this, statuses do not reach us at all, and
/// the person may have it several times already.
const MOST_DOUBTFUL_SENDS: u32 = 3;

/// Meta's upgrade of a number's throughput takes about a minute.
const MAINTENANCE: i64 = 131_057;
const MAINTENANCE_PAUSE: Duration = Duration::from_mins(1);

/// How long a reply rests while an operator is needed.
pub const OPERATOR_PAUSE: Duration = Duration::from_mins(1);

/// Meta asks for 4^x seconds, x from 0; past this (about 4 minutes) it grows no more.
const MOST_PAIR_RATE_DOUBLINGS: u32 = 4;

/// What to do about this error, the piece having been refused or sent in doubt so often (this time
/// included).
pub fn remedy(error: &SendError, troubles: u32) -> Remedy {
    match error {
        SendError::Unknown(_) if troubles <= MOST_DOUBTFUL_SENDS => Remedy::AwaitReport,
        SendError::NotSent(_) => Remedy::TryAgain { after: None },
        SendError::Retry(refusal) => Remedy::TryAgain {
            after: (refusal.code == Some(MAINTENANCE)).then_some(MAINTENANCE_PAUSE),
        },
        SendError::RetryFewTimes(_) if troubles < FEW_REFUSALS => Remedy::TryAgain { after: None },
        SendError::PairRate(_) => Remedy::TryAgain {
            after: Some(pair_rate_pause(troubles)),
        },
        SendError::SlowDown(_) => Remedy::SlowDown,
        // Until a template is mended, what else is said to this person would wait behind it.
        SendError::Operator(refusal) if refusal.concerns_the_template() => Remedy::GiveUp,
        SendError::Operator(_) => Remedy::CallOperator,
        SendError::Unknown(_)
        | SendError::RetryFewTimes(_)
        | SendError::NeedsTemplate(_)
        | SendError::Permanent(_) => Remedy::GiveUp,
    }
}

fn pair_rate_pause(refusals: u32) -> Duration {
    let exponent = refusals.saturating_sub(1).min(MOST_PAIR_RATE_DOUBLINGS);
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

    const PATIENCE: Patience = Patience {
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

    fn refused(code: i64, refusals: u32) -> Remedy {
        remedy(&SendError::refused(Refusal::with_code(code)), refusals)
    }

    #[test]
    fn what_was_handed_over_is_watched_for_a_while_and_then_sent_again() {
        let sending = piece(DeliveryState::Sending);

        let step = |found, now| next_step(&sending, at(found), PATIENCE, at(now));

        let wait = |seconds| Step::AwaitReport {
            at_most: Duration::from_secs(seconds),
        };
        assert_eq!(step(0, 0), wait(30));
        assert_eq!(step(0, 29), wait(1));
        assert_eq!(step(0, 30), Step::Send);
    }

    #[test]
    fn after_a_long_outage_reports_get_time_to_catch_up() {
        let sending = piece(DeliveryState::Sending);

        let step = |now| next_step(&sending, at(500), PATIENCE, at(now));

        let at_most = Duration::from_secs(10);
        assert_eq!(step(500), Step::AwaitReport { at_most });
        assert_eq!(step(510), Step::Send);
    }

    #[test]
    fn settled_and_failed_pieces_are_left_alone() {
        for state in DeliveryState::ALL {
            let step = next_step(&piece(state), at(0), PATIENCE, at(0));
            match state {
                DeliveryState::Pending => assert_eq!(step, Step::Send),
                DeliveryState::Sending => assert!(matches!(step, Step::AwaitReport { .. })),
                DeliveryState::Failed => {
                    assert_eq!(
                        step,
                        Step::Failed {
                            code: Some(131_026)
                        }
                    );
                }
                DeliveryState::Accepted
                | DeliveryState::Sent
                | DeliveryState::Delivered
                | DeliveryState::Read
                | DeliveryState::Played => assert_eq!(step, Step::Settled),
            }
        }
    }

    #[test]
    fn pieces_follow_one_another_only_after_arrival() {
        assert!(!has_arrived(DeliveryState::Accepted));
        assert!(!has_arrived(DeliveryState::Sent));
        assert!(has_arrived(DeliveryState::Failed));
        assert!(has_arrived(DeliveryState::Delivered));
        assert!(has_arrived(DeliveryState::Read));
    }

    #[test]
    fn the_pause_for_one_person_grows_fourfold_up_to_a_limit() {
        let pauses: Vec<_> = (1..8).map(pair_rate_pause).map(|p| p.as_secs()).collect();

        assert_eq!(pauses, [1, 4, 16, 64, 256, 256, 256]);
        assert!(matches!(
            refused(131_056, 1),
            Remedy::TryAgain { after: Some(_) }
        ));
    }

    #[test]
    fn doubtful_trouble_is_tried_a_few_times() {
        assert_eq!(refused(131_000, 1), Remedy::TryAgain { after: None });
        assert_eq!(refused(131_000, 5), Remedy::GiveUp);
        assert_eq!(refused(131_016, 500), Remedy::TryAgain { after: None });
    }

    #[test]
    fn each_kind_of_error_has_its_remedy() {
        assert_eq!(refused(130_429, 1), Remedy::SlowDown);
        assert_eq!(refused(190, 1), Remedy::CallOperator);
        assert_eq!(refused(131_047, 1), Remedy::GiveUp);
        assert_eq!(refused(132_001, 1), Remedy::GiveUp);
        assert_eq!(refused(132_015, 1), Remedy::GiveUp);
        assert_eq!(refused(131_026, 1), Remedy::GiveUp);
        let after = Some(Duration::from_mins(1));
        assert_eq!(refused(131_057, 1), Remedy::TryAgain { after });
        let in_doubt = SendError::Unknown("lost".into());
        assert_eq!(remedy(&in_doubt, 1), Remedy::AwaitReport);
        assert_eq!(remedy(&in_doubt, 4), Remedy::GiveUp);
        let not_sent = SendError::NotSent("refused".into());
        assert_eq!(remedy(&not_sent, 9), Remedy::TryAgain { after: None });
    }
}
