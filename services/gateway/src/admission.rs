//! Lets newcomers in, or refuses them. What becomes of one is decided in `claw-chat`.

use std::sync::Arc;

use anyhow::anyhow;
use claw_bus::HandlerError;
use claw_chat::{Admission, Arrival, Code, Notice, Refused, Verdict};
use claw_domain::{Channel, InviteCode, MessageId, ReplyId, ReplySource};
use claw_events::{CallProgressed, MessageReceived, OperatorEvent, ReplyProduced};
use claw_metrics::{BLOCKED, NEWCOMERS, NOTICES};
use claw_store::{AccessList, CallBegin, Entrance, NewRefusal, Newcomer, NewcomerRecord, Refusal};

use crate::context::Context;

/// How often it is decided again because others have taken the last place meanwhile.
const ATTEMPTS: u32 = 3;

/// Decides about those who have no row as a user.
#[derive(Clone)]
pub(crate) struct AdmissionControl {
    pub(crate) context: Arc<Context>,
}

impl AdmissionControl {
    /// Decides about the sender of a message with this code; returns whether they are a user now. A sender who is
    /// refused is told once, but not while everybody is suspended.
    pub(crate) async fn admits_sender(
        &self,
        message: &MessageReceived,
        code: Option<&InviteCode>,
    ) -> Result<bool, HandlerError> {
        let newcomer = Newcomer {
            user: message.user,
            address: message.address.clone(),
            wa_user_id: message.wa_user_id.clone(),
        };
        for _ in 0..ATTEMPTS {
            let record = self.record(&newcomer, code).await?;
            if record.is_known {
                return Ok(true);
            }
            let before = record.refusal.as_ref();
            let before = before.filter(|before| before.message == message.id);
            let mut arrival = self.arrival(&record, code);
            if before.is_some() {
                // Decides as it did before this message was refused.
                arrival.refused = None;
            }
            let verdict = self.context.policy.admission.decide(&arrival);
            match entrance_of(verdict) {
                Some(entrance) if self.admit(&newcomer, entrance).await? => return Ok(true),
                // Others have taken the last place meanwhile.
                Some(_) => {}
                None => {
                    match before {
                        Some(before) => self.refuse_again(message, before, verdict).await?,
                        None => self.refuse(message, newcomer, verdict).await?,
                    }
                    return Ok(false);
                }
            }
        }
        Err(HandlerError::retry(anyhow!(
            "others kept taking the last place"
        )))
    }

    /// Whether a call may go on: not from a blocked number, and from a new one only if it would be let in now. Takes no
    /// place, because a new caller who says nothing costs none.
    pub(crate) async fn may_call(&self, call: &CallProgressed) -> Result<bool, HandlerError> {
        let record = self.record(&caller(call), None).await?;
        if record.list == Some(AccessList::Block) {
            BLOCKED.increment([]);
            return Ok(false);
        }
        let may_call = record.is_known || self.entrance_by_call(&record).is_some();
        if !may_call {
            NEWCOMERS.increment(["caller"]);
        }
        Ok(may_call)
    }

    /// Lets a new caller in and stores the call as `opened`; returns whether they are a user now.
    pub(crate) async fn admits_caller(
        &self,
        call: &CallProgressed,
        opened: &CallBegin,
    ) -> Result<bool, HandlerError> {
        let newcomer = caller(call);
        for _ in 0..ATTEMPTS {
            let record = self.record(&newcomer, None).await?;
            if record.list == Some(AccessList::Block) {
                return Ok(false);
            }
            if record.is_known {
                return Ok(true);
            }
            let Some(entrance) = self.entrance_by_call(&record) else {
                NEWCOMERS.increment(["caller"]);
                return Ok(false);
            };
            let (newcomers, now) = (self.context.store.newcomers(), self.context.clock.now());
            let admitted = newcomers.admit_caller(&newcomer, entrance, opened, now);
            if admitted.await? {
                count(entrance);
                return Ok(true);
            }
        }
        Err(HandlerError::retry(anyhow!(
            "others kept taking the last place"
        )))
    }

    /// By what a caller without a row as a user would come in.
    fn entrance_by_call(&self, record: &NewcomerRecord) -> Option<Entrance> {
        let arrival = self.arrival(record, None);
        entrance_of(self.context.policy.admission.decide(&arrival))
    }

    async fn record(
        &self,
        newcomer: &Newcomer,
        code: Option<&InviteCode>,
    ) -> Result<NewcomerRecord, HandlerError> {
        let invite = code.map(InviteCode::id);
        let (newcomers, now) = (self.context.store.newcomers(), self.context.clock.now());
        Ok(newcomers.record(newcomer.user, invite, now).await?)
    }

    fn arrival(&self, record: &NewcomerRecord, code: Option<&InviteCode>) -> Arrival {
        Arrival {
            is_allowed: record.list == Some(AccessList::Allow),
            this_hour: record.this_hour,
            today: record.today,
            code: match code {
                None => Code::Missing,
                Some(code) if record.is_invited => Code::Right(code.id()),
                Some(_) => Code::Wrong,
            },
            refused: record.refusal.as_ref().map(|refusal| Refused {
                wrong_codes: refusal.wrong_codes,
                wait_until: refusal.wait_until,
            }),
            now: self.context.clock.now(),
        }
    }

    async fn admit(&self, newcomer: &Newcomer, entrance: Entrance) -> Result<bool, HandlerError> {
        let (newcomers, now) = (self.context.store.newcomers(), self.context.clock.now());
        let is_admitted = newcomers.admit(newcomer, entrance, now).await?;
        if is_admitted {
            count(entrance);
        }
        Ok(is_admitted)
    }

    async fn refuse(
        &self,
        message: &MessageReceived,
        newcomer: Newcomer,
        verdict: Verdict,
    ) -> Result<(), HandlerError> {
        // The answers to a crowd of strangers would wait in outbound, and fill its consumers.
        let is_suspended = self.context.suspensions.is_suspended(message.user);
        let verdict = if is_suspended {
            verdict.untold()
        } else {
            verdict
        };
        let Verdict::Refuse {
            why,
            is_told,
            refused,
            until,
        } = verdict
        else {
            NEWCOMERS.increment(["ignored"]);
            return Ok(());
        };
        let refusal = NewRefusal {
            newcomer,
            written_at: message.sent_at,
            answer: is_told.then(|| answer_to(message.id)),
            refusal: Refusal {
                message: message.id,
                is_told,
                wrong_codes: refused.wrong_codes,
                wait_until: refused.wait_until,
            },
            forget_at: until,
        };
        let (newcomers, now) = (self.context.store.newcomers(), self.context.clock.now());
        newcomers.refuse(&refusal, now).await?;
        NEWCOMERS.increment([why.name()]);
        if let Some(event) = self.full(why) {
            self.context.publisher.tell_operator(&event).await;
        }
        if is_told {
            self.tell(message, why).await?;
        }
        Ok(())
    }

    /// Answers a message that was refused before: the process that refused it may have died before it answered.
    async fn refuse_again(
        &self,
        message: &MessageReceived,
        before: &Refusal,
        verdict: Verdict,
    ) -> Result<(), HandlerError> {
        if let Verdict::Refuse { why, .. } = verdict
            && before.is_told
        {
            self.tell(message, why).await?;
        }
        Ok(())
    }

    /// What the operator hears of a refusal.
    fn full(&self, why: Notice) -> Option<OperatorEvent> {
        let Admission::Open { per_hour, per_day } = self.context.policy.admission else {
            return None;
        };
        let (setting, limit) = if why == Notice::FullThisHour {
            ("ADMISSION_PER_HOUR", per_hour)
        } else if why == Notice::FullToday {
            ("ADMISSION_PER_DAY", per_day)
        } else {
            return None;
        };
        Some(OperatorEvent::NewcomersRefused {
            setting: setting.to_owned(),
            limit,
        })
    }

    /// Answers a message of somebody who has no row as a user: outbound finds the address in their refusal.
    async fn tell(&self, message: &MessageReceived, why: Notice) -> Result<(), HandlerError> {
        NOTICES.increment([why.name()]);
        let answer = ReplyProduced {
            id: answer_to(message.id),
            user: message.user,
            cause: Some(message.id),
            source: ReplySource::Notice,
            channel: Channel::WhatsApp,
            text: why.text().into(),
        };
        self.context.publisher.publish(&answer).await?;
        Ok(())
    }
}

fn count(entrance: Entrance) {
    NEWCOMERS.increment([match entrance {
        Entrance::Listed => "listed",
        Entrance::Invited(_) => "invited",
        Entrance::Counted { .. } => "counted",
    }]);
}

fn caller(call: &CallProgressed) -> Newcomer {
    Newcomer {
        user: call.user,
        address: call.address.clone(),
        wa_user_id: None,
    }
}

/// The id of the answer to a message that is refused. A message gets one at most.
fn answer_to(message: MessageId) -> ReplyId {
    ReplyId::derived_from(&format!("refusal:{message}"))
}

fn entrance_of(verdict: Verdict) -> Option<Entrance> {
    match verdict {
        Verdict::AdmitListed => Some(Entrance::Listed),
        Verdict::AdmitInvited(invite) => Some(Entrance::Invited(invite)),
        Verdict::AdmitCounted { per_hour, per_day } => {
            Some(Entrance::Counted { per_hour, per_day })
        }
        Verdict::Refuse { .. } | Verdict::Ignore => None,
    }
}
