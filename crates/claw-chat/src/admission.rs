use chrono::{DateTime, TimeDelta, Utc};
use claw_domain::InviteId;

use crate::Notice;

/// Wrong invite codes that are answered. After the last of them, pauses begin.
const WRONG_CODES_ANSWERED: u32 = 3;

/// The pause after the last wrong code that is answered. Each further one doubles the pause.
const FIRST_PAUSE: TimeDelta = TimeDelta::minutes(1);
const LONGEST_PAUSE: TimeDelta = TimeDelta::days(1);

/// How long it is remembered that somebody was told that there is no room: they may hear it again tomorrow.
const FULL_REMEMBERED_FOR: TimeDelta = TimeDelta::days(1);

/// How long other refusals are remembered. Longer than [`LONGEST_PAUSE`], so that no guesser gains by waiting.
const REMEMBERED_FOR: TimeDelta = TimeDelta::days(7);

/// Whom the operator lets in, besides those on the allow list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Everybody, but only so many. An invite lets in more.
    Open {
        /// Most newcomers in an hour, on the clock.
        per_hour: u32,
        /// Most newcomers in a day (UTC).
        per_day: u32,
    },
    /// Those who have an invite.
    Invite,
    /// No newcomer, except those on the allow list.
    Closed,
}

/// What is known of a newcomer when they write or call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// Whether they are on the allow list.
    pub is_allowed: bool,
    /// Newcomers who were counted this hour.
    pub this_hour: u32,
    /// Newcomers who were counted today.
    pub today: u32,
    /// The invite code in their message.
    pub code: Code,
    /// What is remembered of an earlier refusal.
    pub refused: Option<Refused>,
    /// The time of the decision.
    pub now: DateTime<Utc>,
}

/// An invite code in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The message contains no code.
    Missing,
    /// It is the code of no invite, or of one that is used up or expired.
    Wrong,
    /// It is the code of this invite.
    Right(InviteId),
}

/// What is remembered of an earlier refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// How many wrong codes they have sent.
    pub wrong_codes: u32,
    /// No code of theirs is tried before.
    pub wait_until: DateTime<Utc>,
}

/// What becomes of a newcomer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They come in by the allow list.
    AdmitListed,
    /// They come in as one of at most so many.
    AdmitCounted {
        /// Most newcomers in an hour.
        per_hour: u32,
        /// Most newcomers in a day.
        per_day: u32,
    },
    /// They come in by this invite.
    AdmitInvited(InviteId),
    /// They are refused, and this is remembered.
    Refuse {
        /// Why. They are told if `is_told`.
        why: Notice,
        /// Whether they are told.
        is_told: bool,
        /// What is remembered.
        refused: Refused,
        /// How long it is remembered.
        until: DateTime<Utc>,
    },
    /// They are refused again; nothing is said, and nothing changes.
    Ignore,
}

impl Verdict {
    /// The verdict while everybody is suspended: nobody is told anything, because nothing can be sent. A refusal without
    /// a code is not remembered, so that they are told at their next message after the suspension. A wrong code counts.
    #[must_use]
    pub fn untold(self) -> Self {
        match self {
            Self::Refuse { refused, .. } if refused.wrong_codes == 0 => Self::Ignore,
            Self::Refuse {
                why,
                refused,
                until,
                ..
            } => Self::Refuse {
                why,
                is_told: false,
                refused,
                until,
            },
            Self::Ignore
            | Self::AdmitListed
            | Self::AdmitCounted { .. }
            | Self::AdmitInvited(_) => self,
        }
    }
}

impl Admission {
    /// Decides about a newcomer who is not blocked.
    pub fn decide(self, arrival: &Arrival) -> Verdict {
        if arrival.is_allowed {
            return Verdict::AdmitListed;
        }
        let why = match self {
            Self::Closed => return refuse(Notice::Closed, arrival),
            Self::Open { per_hour, per_day } => {
                if arrival.today >= per_day {
                    Notice::FullToday
                } else if arrival.this_hour >= per_hour {
                    Notice::FullThisHour
                } else {
                    return Verdict::AdmitCounted { per_hour, per_day };
                }
            }
            Self::Invite => Notice::InviteNeeded,
        };
        match arrival.code {
            Code::Missing => refuse(why, arrival),
            // The code is not looked at: otherwise, pauses would slow nobody down.
            Code::Right(_) | Code::Wrong if arrival.has_to_wait() => Verdict::Ignore,
            Code::Right(invite) => Verdict::AdmitInvited(invite),
            Code::Wrong => refuse_code(arrival),
        }
    }
}

impl Arrival {
    fn has_to_wait(&self) -> bool {
        self.refused
            .is_some_and(|refused| self.now < refused.wait_until)
    }
}

/// A refusal, of which the newcomer is told unless they were refused before.
fn refuse(why: Notice, arrival: &Arrival) -> Verdict {
    if arrival.refused.is_some() {
        return Verdict::Ignore;
    }
    let is_full = matches!(why, Notice::FullToday | Notice::FullThisHour);
    let remembered = if is_full {
        FULL_REMEMBERED_FOR
    } else {
        REMEMBERED_FOR
    };
    Verdict::Refuse {
        why,
        is_told: true,
        refused: Refused {
            wrong_codes: 0,
            wait_until: arrival.now,
        },
        until: arrival.now + remembered,
    }
}

/// Tells them a few times, and then lets them wait longer and longer.
fn refuse_code(arrival: &Arrival) -> Verdict {
    let wrong_codes = arrival.refused.map_or(0, |refused| refused.wrong_codes) + 1;
    Verdict::Refuse {
        why: Notice::UnknownInvite,
        is_told: wrong_codes <= WRONG_CODES_ANSWERED,
        refused: Refused {
            wrong_codes,
            wait_until: arrival.now + pause_after(wrong_codes),
        },
        until: arrival.now + REMEMBERED_FOR,
    }
}

fn pause_after(wrong_codes: u32) -> TimeDelta {
    let Some(doublings) = wrong_codes.checked_sub(WRONG_CODES_ANSWERED) else {
        return TimeDelta::zero();
    };
    let factor = 1_i32.checked_shl(doublings).filter(|factor| *factor > 0);
    let pause = factor.and_then(|factor| FIRST_PAUSE.checked_mul(factor));
    pause.map_or(LONGEST_PAUSE, |pause| pause.min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Admission = Admission::Open {
        per_hour: 2,
        per_day: 5,
    };
    const ROOM: Verdict = Verdict::AdmitCounted {
        per_hour: 2,
        per_day: 5,
    };

    #[test]
    fn who_comes_in_and_what_the_others_are_told() {
        use Admission::{Closed, Invite};
        use Verdict::{AdmitInvited, AdmitListed};
        let invite = InviteId::derived_from("a code");
        let (none, wrong, right) = (Code::Missing, Code::Wrong, Code::Right(invite));
        // Policy, counts of this hour and today, code; the verdict, or what a refused newcomer is told.
        for (policy, this_hour, today, code, expected) in [
            (OPEN, 0, 0, none, Ok(ROOM)),
            (OPEN, 1, 4, none, Ok(ROOM)),
            (OPEN, 0, 0, wrong, Ok(ROOM)),
            (OPEN, 0, 0, right, Ok(ROOM)),
            (OPEN, 2, 2, none, Err(Notice::FullThisHour)),
            (OPEN, 0, 5, none, Err(Notice::FullToday)),
            (OPEN, 2, 5, none, Err(Notice::FullToday)),
            (OPEN, 2, 5, wrong, Err(Notice::UnknownInvite)),
            (OPEN, 2, 5, right, Ok(AdmitInvited(invite))),
            (Invite, 0, 0, none, Err(Notice::InviteNeeded)),
            (Invite, 0, 0, wrong, Err(Notice::UnknownInvite)),
            (Invite, 9, 9, right, Ok(AdmitInvited(invite))),
            (Closed, 0, 0, none, Err(Notice::Closed)),
            (Closed, 0, 0, wrong, Err(Notice::Closed)),
            (Closed, 0, 0, right, Err(Notice::Closed)),
        ] {
            let arrival = Arrival {
                this_hour,
                today,
                code,
                ..arrival()
            };
            let case = format!("{policy:?} {this_hour} {today} {code:?}");

            let verdict = policy.decide(&arrival);

            match expected {
                Ok(admit) => assert_eq!(verdict, admit, "{case}"),
                Err(notice) => assert_eq!(told(verdict), Some(notice), "{case}"),
            }
            let allowed = Arrival {
                is_allowed: true,
                ..arrival
            };
            assert_eq!(policy.decide(&allowed), AdmitListed, "{case}");
        }
    }

    #[test]
    fn a_refused_newcomer_is_told_once_and_comes_in_when_there_is_room() {
        for policy in [OPEN, Admission::Invite, Admission::Closed] {
            let full = Arrival {
                this_hour: 2,
                ..arrival()
            };
            let again = Arrival {
                refused: refused(policy.decide(&full)),
                ..full
            };

            assert_eq!(policy.decide(&again), Verdict::Ignore, "{policy:?}");
        }
        let later = Arrival {
            refused: Some(Refused {
                wrong_codes: 0,
                wait_until: at(0),
            }),
            ..arrival()
        };
        assert_eq!(OPEN.decide(&later), ROOM);
    }

    #[test]
    fn a_guesser_is_answered_three_times_and_waits_longer_and_longer() {
        let mut guess = Arrival {
            code: Code::Wrong,
            ..arrival()
        };
        let (mut answers, mut tried) = (0, 0);

        // A guess every second for thirty days.
        for second in 0..30 * 86_400 {
            guess.now = at(second);
            let verdict = Admission::Invite.decide(&guess);
            answers += u32::from(told(verdict).is_some());
            if let Some(refused) = refused(verdict) {
                tried += 1;
                guess.refused = Some(refused);
            }
        }

        assert_eq!(answers, WRONG_CODES_ANSWERED);
        assert!((30..50).contains(&tried), "{tried} guesses were tried");
    }

    #[test]
    fn while_everybody_is_suspended_nobody_is_told_and_wrong_codes_count() {
        for policy in [OPEN, Admission::Invite, Admission::Closed] {
            let full = Arrival {
                this_hour: 2,
                ..arrival()
            };
            assert_eq!(policy.decide(&full).untold(), Verdict::Ignore, "{policy:?}");
        }
        let guess = Arrival {
            code: Code::Wrong,
            ..arrival()
        };
        let verdict = Admission::Invite.decide(&guess);
        assert_eq!(told(verdict.untold()), None);
        assert_eq!(refused(verdict.untold()), refused(verdict));
        assert_eq!(OPEN.decide(&arrival()).untold(), ROOM);
    }

    #[test]
    fn a_code_is_not_tried_in_a_pause_and_is_tried_afterwards() {
        let invite = InviteId::derived_from("a code");
        let waiting = Arrival {
            code: Code::Right(invite),
            refused: Some(Refused {
                wrong_codes: 3,
                wait_until: at(60),
            }),
            now: at(59),
            ..arrival()
        };
        let later = Arrival {
            now: at(60),
            ..waiting
        };

        assert_eq!(Admission::Invite.decide(&waiting), Verdict::Ignore);
        assert_eq!(
            Admission::Invite.decide(&later),
            Verdict::AdmitInvited(invite)
        );
    }

    fn arrival() -> Arrival {
        Arrival {
            is_allowed: false,
            this_hour: 0,
            today: 0,
            code: Code::Missing,
            refused: None,
            now: at(0),
        }
    }

    fn told(verdict: Verdict) -> Option<Notice> {
        match verdict {
            Verdict::Refuse {
                why, is_told: true, ..
            } => Some(why),
            Verdict::Refuse { .. }
            | Verdict::Ignore
            | Verdict::AdmitListed
            | Verdict::AdmitCounted { .. }
            | Verdict::AdmitInvited(_) => None,
        }
    }

    fn refused(verdict: Verdict) -> Option<Refused> {
        match verdict {
            Verdict::Refuse { refused, .. } => Some(refused),
            Verdict::Ignore
            | Verdict::AdmitListed
            | Verdict::AdmitCounted { .. }
            | Verdict::AdmitInvited(_) => None,
        }
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
    }
}
