use std::sync::Arc;

use async_trait::async_trait;
use claw_bus::{Attempt, Handler, HandlerError};
use claw_chat::Plan;
use claw_domain::{Address, Pin, Trust, VoiceKind};
use claw_events::{CallProgressed, CallStatus, CallStep, TurnStatus, Utterance};
use claw_metrics::{CALL_STEPS, PIN_ATTEMPTS};
use claw_store::{CallBegin, CallEnd, Caller, PinOutcome, Received, VoiceMessage};

use crate::{
    actors::UserActors,
    context::Context,
    intake::deliver,
    item::{item_of_call, plan_call_end, plan_spoken},
    sealed::open_utterance,
};

/// Handles the steps of calls. The words of a verified caller join the user's queue behind their written
/// messages; an unverified caller must first enter the PIN.
pub(crate) struct CallIntake {
    pub(crate) context: Arc<Context>,
    pub(crate) actors: UserActors,
}

#[async_trait]
impl Handler for CallIntake {
    type Event = CallProgressed;

    async fn handle(&self, call: &CallProgressed, attempt: &Attempt) -> Result<(), HandlerError> {
        CALL_STEPS.increment([call.step.as_str()]);
        match &call.step {
            CallStep::Started => self.start(call, attempt).await,
            CallStep::Spoke(utterance) => self.spoke(call, utterance, attempt).await,
            CallStep::Ended { seconds, outcome } => {
                let end = CallEnd {
                    at: call.at,
                    duration_seconds: *seconds,
                    outcome: *outcome,
                };
                self.end(call, &end, attempt).await
            }
        }
    }
}

impl CallIntake {
    async fn start(&self, call: &CallProgressed, attempt: &Attempt) -> Result<(), HandlerError> {
        self.begin(call, attempt).await?;
        if call.trust == Trust::Unverified {
            let has_pin = self.context.store.users().has_pin(call.user).await?;
            let status = if has_pin {
                CallStatus::NeedsPin { was_wrong: false }
            } else {
                CallStatus::Refused
            };
            return self.set_status(call, status).await;
        }
        self.greet(call, attempt).await
    }

    /// Puts a verified caller through, as soon as their assistant is ready.
    async fn greet(&self, call: &CallProgressed, attempt: &Attempt) -> Result<(), HandlerError> {
        let sandbox = self.context.store.sandboxes().of_user(call.user).await?;
        let is_ready = sandbox.is_some_and(|sandbox| sandbox.status.is_ready());
        if !is_ready {
            self.context.store.calls().await_setup(call.call).await?;
            self.set_status(call, CallStatus::SettingUp).await?;
        }
        let message = VoiceMessage {
            needs_answer: !is_ready,
            ..self.message(call, VoiceKind::CallStarted, 0, attempt)
        };
        let Some(received) = self.receive(&message).await? else {
            return Ok(());
        };
        if is_ready {
            let ready = self.context.ready_for(call.user).await?;
            return self.set_status(call, ready).await;
        }
        let item = item_of_call(&message, Plan::PutThrough(call.call), None);
        deliver(&self.actors, call.user, item, received, attempt)
    }

    async fn spoke(
        &self,
        call: &CallProgressed,
        utterance: &Utterance,
        attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        let utterance = &*open_utterance(&self.context.pins, call, utterance)?;
        let calls = self.context.store.calls();
        let mut known = calls.of(call.call).await?;
        if known.is_none() {
            // The start of the call was lost, or arrives later.
            self.begin(call, attempt).await?;
            known = calls.of(call.call).await?;
        }
        if !known.is_some_and(|known| known.is_open_to_its_user()) {
            return self.try_pin(call, utterance, attempt).await;
        }
        let content = serde_json::to_string(utterance).unwrap_or_default();
        let message = VoiceMessage {
            content: content.into(),
            ..self.message(call, VoiceKind::Speech, utterance.number, attempt)
        };
        let Some(received) = self.receive(&message).await? else {
            return Ok(());
        };
        let item = item_of_call(&message, plan_spoken(utterance), utterance.heard.clone());
        deliver(&self.actors, call.user, item, received, attempt)
    }

    /// Checks the words or keys of an unverified caller as a PIN. They are not stored.
    async fn try_pin(
        &self,
        call: &CallProgressed,
        utterance: &Utterance,
        attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        // Every check of a PIN counts as a try, and this utterance may have been handled before.
        let live_calls = &self.context.live_calls;
        let status = live_calls.turn_status(call.call, utterance.number).await?;
        if status.is_some() {
            return Ok(());
        }
        let outcome = match Pin::try_from(utterance.words.digits().as_str()) {
            Ok(pin) => {
                let (users, now) = (self.context.store.users(), self.context.clock.now());
                let keyring = self.context.agents.keyring();
                Some(users.try_pin(call.user, &pin, now, keyring).await?)
            }
            Err(_) => None,
        };
        let label = match outcome {
            Some(PinOutcome::Right) => {
                let (calls, now) = (self.context.store.calls(), self.context.clock.now());
                calls.unlock(call.call, now).await?;
                self.greet(call, attempt).await?;
                "right"
            }
            Some(PinOutcome::Wrong { .. }) | None => {
                self.set_status(call, CallStatus::NeedsPin { was_wrong: true })
                    .await?;
                "wrong"
            }
            Some(PinOutcome::Locked { .. } | PinOutcome::NotSet) => {
                self.set_status(call, CallStatus::Refused).await?;
                "refused"
            }
        };
        PIN_ATTEMPTS.increment([label]);
        live_calls
            .settle(call.call, utterance.number, TurnStatus::SeeCall)
            .await?;
        Ok(())
    }

    async fn end(
        &self,
        call: &CallProgressed,
        end: &CallEnd,
        attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        let calls = self.context.store.calls();
        calls.end(call.call, call.user, end).await?;
        let Some(known) = calls.of(call.call).await? else {
            return Ok(());
        };
        let plan = plan_call_end(&known);
        if plan == Plan::NoAnswer {
            return Ok(());
        }
        let message = self.message(call, VoiceKind::CallEnded, known.turns, attempt);
        let Some(received) = self.receive(&message).await? else {
            return Ok(());
        };
        let item = item_of_call(&message, plan, None);
        deliver(&self.actors, call.user, item, received, attempt)
    }

    async fn begin(&self, call: &CallProgressed, attempt: &Attempt) -> Result<(), HandlerError> {
        let begin = CallBegin {
            call: call.call,
            user: call.user,
            trust: call.trust,
            at: call.at,
            sequence: attempt.sequence,
        };
        Ok(self.context.store.calls().begin(&begin).await?)
    }

    async fn set_status(
        &self,
        call: &CallProgressed,
        status: CallStatus,
    ) -> Result<(), HandlerError> {
        Ok(self
            .context
            .live_calls
            .set_status(call.call, status)
            .await?)
    }

    /// Stores an event of a call; `None` if nothing more is to be done about it.
    async fn receive(&self, message: &VoiceMessage) -> Result<Option<Received>, HandlerError> {
        let received = self.context.store.messages().receive_voice(message).await?;
        Ok(received.filter(|received| !received.complete))
    }

    /// An event of a call that needs an answer and has no content.
    fn message(
        &self,
        call: &CallProgressed,
        kind: VoiceKind,
        turn: u32,
        attempt: &Attempt,
    ) -> VoiceMessage {
        let caller = match (&call.address, call.trust) {
            (Address::Phone(phone), Trust::Trusted) => Caller::Trusted(phone.clone()),
            (Address::Phone(_) | Address::WhatsApp(_), _) => Caller::Unverified,
        };
        VoiceMessage {
            id: call.id(),
            user: call.user,
            caller,
            call: call.call,
            turn,
            kind,
            content: String::new().into(),
            sent_at: call.at,
            now: self.context.clock.now(),
            sequence: attempt.sequence,
            needs_answer: true,
            is_replay: attempt.is_replay,
        }
    }
}
