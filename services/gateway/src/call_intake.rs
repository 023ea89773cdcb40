use std::sync::Arc;

use anyhow::anyhow;
use async_trait::async_trait;
use claw_bus::{Attempt, Handler, HandlerError};
use claw_domain::{Address, Pin, SandboxStatus, Trust};
use claw_events::{CallProgressed, CallStatus, CallStep, CallerInput, Utterance};
use claw_store::{CallBegin, CallEnd, Caller, PinOutcome, Received, VoiceKind, VoiceMessage};
use metrics::counter;

use crate::{
    actors::UserActors,
    context::Context,
    plan::{Plan, plan_after, plan_spoken},
    queue::{Item, Way},
};

/// Takes the steps of calls: whoever may speak as a person gets their words into that person's line, behind
/// what they wrote; whoever may not gets to prove it.
pub(crate) struct CallIntake {
    pub(crate) context: Arc<Context>,
    pub(crate) actors: UserActors,
}

#[async_trait]
impl Handler for CallIntake {
    type Event = CallProgressed;

    async fn handle(&self, call: &CallProgressed, attempt: &Attempt) -> Result<(), HandlerError> {
        counter!("claw_call_steps_total", "step" => call.step.as_str()).increment(1);
        match &call.step {
            CallStep::Started => self.start(call, attempt).await,
            CallStep::Spoke(turn) => self.spoke(call, turn, attempt).await,
            CallStep::Ended { .. } => self.end(call, attempt).await,
        }
    }
}

impl CallIntake {
    async fn start(&self, call: &CallProgressed, attempt: &Attempt) -> Result<(), HandlerError> {
        self.begin(call, attempt).await?;
        if call.trust == Trust::Unverified {
            let has_pin = self.context.store.users().has_pin(call.user).await?;
            let standing = if has_pin {
                CallStatus::NeedsPin { was_wrong: false }
            } else {
                CallStatus::Refused
            };
            return self.stand(call, standing).await;
        }
        self.greet(call, attempt).await
    }

    /// The caller may speak as this person: they are listened to, once their assistant is there.
    async fn greet(&self, call: &CallProgressed, attempt: &Attempt) -> Result<(), HandlerError> {
        let sandbox = self.context.store.sandboxes().of_user(call.user).await?;
        let is_ready = sandbox.is_some_and(|sandbox| sandbox.status == SandboxStatus::Ready);
        if !is_ready {
            self.context.store.calls().await_setup(call.call).await?;
            self.stand(call, CallStatus::SettingUp).await?;
        }
        let message = self.message(
            call,
            (VoiceKind::CallStarted, 0),
            String::new(),
            attempt,
            !is_ready,
        );
        let Some(received) = self.receive(&message).await? else {
            return Ok(());
        };
        if is_ready {
            let ready = self.context.ready_for(call.user).await?;
            return self.stand(call, ready).await;
        }
        self.deliver(call, received, Plan::PutThrough(call.call), attempt)
    }

    async fn spoke(
        &self,
        call: &CallProgressed,
        turn: &Utterance,
        attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        let calls = self.context.store.calls();
        let mut known = calls.of(call.call).await?;
        if known.is_none() {
            // That it rang was lost, or comes later.
            self.begin(call, attempt).await?;
            known = calls.of(call.call).await?;
        }
        if !known.is_some_and(|known| known.is_open_to_its_user()) {
            return self.try_pin(call, turn, attempt).await;
        }
        let content = serde_json::to_string(turn).unwrap_or_default();
        let message = self.message(
            call,
            (VoiceKind::Speech, turn.number),
            content,
            attempt,
            true,
        );
        let Some(received) = self.receive(&message).await? else {
            return Ok(());
        };
        self.deliver(call, received, plan_spoken(turn), attempt)
    }

    /// What an unproven caller says is a PIN, or nothing. It is not written down.
    async fn try_pin(
        &self,
        call: &CallProgressed,
        turn: &Utterance,
        attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        // Each look at a PIN counts as a try, and this one may have been taken before.
        let live_calls = &self.context.live_calls;
        let came = live_calls.turn_status(call.call, turn.number).await?;
        if came.is_some() {
            return Ok(());
        }
        let (CallerInput::Words(text) | CallerInput::Keys(text)) = &turn.words;
        let digits: String = text.expose().chars().filter(char::is_ascii_digit).collect();
        let calls = self.context.store.calls();
        let outcome = match Pin::try_from(digits.as_str()) {
            Ok(pin) => {
                let (users, now) = (self.context.store.users(), self.context.clock.now());
                let keyring = self.context.agents.keyring();
                Some(users.try_pin(call.user, &pin, now, keyring).await?)
            }
            Err(_) => None,
        };
        let label = match outcome {
            Some(PinOutcome::Right) => {
                calls.unlock(call.call, self.context.clock.now()).await?;
                self.greet(call, attempt).await?;
                "right"
            }
            Some(PinOutcome::Wrong { .. }) | None => {
                self.stand(call, CallStatus::NeedsPin { was_wrong: true })
                    .await?;
                "wrong"
            }
            Some(PinOutcome::Locked { .. } | PinOutcome::NotSet) => {
                self.stand(call, CallStatus::Refused).await?;
                "refused"
            }
        };
        counter!("claw_pins_total", "outcome" => label).increment(1);
        live_calls.refer_to_call(call.call, turn.number).await?;
        Ok(())
    }

    async fn end(&self, call: &CallProgressed, attempt: &Attempt) -> Result<(), HandlerError> {
        let CallStep::Ended { seconds, outcome } = call.step else {
            return Ok(());
        };
        let end = CallEnd {
            at: call.at,
            duration_seconds: seconds,
            outcome,
        };
        let calls = self.context.store.calls();
        calls.end(call.call, call.user, &end).await?;
        let Some(known) = calls.of(call.call).await? else {
            return Ok(());
        };
        let plan = plan_after(&known);
        if plan == Plan::Keep {
            return Ok(());
        }
        let message = self.message(
            call,
            (VoiceKind::CallEnded, known.turns),
            String::new(),
            attempt,
            true,
        );
        let Some(received) = self.receive(&message).await? else {
            return Ok(());
        };
        self.deliver(call, received, plan, attempt)
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

    async fn stand(&self, call: &CallProgressed, standing: CallStatus) -> Result<(), HandlerError> {
        let live_calls = &self.context.live_calls;
        Ok(live_calls.set_status(call.call, standing).await?)
    }
}

impl CallIntake {
    /// Writes a moment of a call down; `None` when it wants nothing more.
    async fn receive(&self, message: &VoiceMessage) -> Result<Option<Received>, HandlerError> {
        let received = self.context.store.messages().receive_voice(message).await?;
        Ok(received.filter(|received| !received.complete))
    }

    /// Hands it to the person's actor.
    fn deliver(
        &self,
        call: &CallProgressed,
        received: Received,
        plan: Plan,
        attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        // Whoever has this person by now may have looked before the row was there.
        if !attempt.tenure.may_act() {
            return Err(HandlerError::retry(anyhow!(
                "this person is another replica's now"
            )));
        }
        let item = received.fresh.then(|| Item {
            id: call.id(),
            way: way_of(call),
            sequence: attempt.sequence,
            taken_at: self.context.clock.now(),
            plan,
            batch: None,
            may_have_been_sent: false,
        });
        self.actors
            .deliver(&attempt.tenure, call.user, item, received.sandbox);
        Ok(())
    }

    fn message(
        &self,
        call: &CallProgressed,
        (kind, turn): (VoiceKind, u32),
        content: String,
        attempt: &Attempt,
        needs_answer: bool,
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
            content: content.into(),
            sent_at: call.at,
            now: self.context.clock.now(),
            sequence: attempt.sequence,
            needs_answer,
            is_replay: attempt.is_replay,
        }
    }
}

fn way_of(call: &CallProgressed) -> Way {
    match &call.step {
        CallStep::Spoke(turn) => Way::Call {
            call: call.call,
            turn: turn.number,
            heard: turn.heard.clone(),
        },
        CallStep::Started | CallStep::Ended { .. } => Way::AfterCall,
    }
}
