use std::sync::Arc;

use async_trait::async_trait;
use claw_bus::{Attempt, Handler, HandlerError};
use claw_chat::{CallDecision, CallerNumber, Plan};
use claw_domain::{Address, Attestation, MessageId, Pin, VoiceKind};
use claw_events::{
    CallProgressed, CallStatus, CallStep, CallerInput, OperatorEvent, TurnStatus, Utterance,
};
use claw_metrics::{BLOCKED, CALL_STEPS, PIN_ATTEMPTS};
use claw_store::{Call, CallBegin, CallEnd, Caller, PinOutcome, PinTry, Received, VoiceMessage};

use crate::{
    actors::UserActors,
    admission::AdmissionControl,
    context::Context,
    intake::deliver,
    item::{CallWarning, item_of_call, plan_call_end, plan_spoken, warning_of},
    sealed::open_utterance,
    suspensions::status_of_call,
};

/// The key with which a new caller asks for a WhatsApp message, as the phrase of welcome says.
const KEY_FOR_MESSAGE: char = '1';

/// Handles the steps of calls. [`CallDecision`] says whether a caller counts as the user of the number. The words of
/// one who does join the user's queue behind their written messages; the words of all others are not stored.
pub(crate) struct CallIntake {
    pub(crate) context: Arc<Context>,
    pub(crate) admission: AdmissionControl,
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
        if !self.admission.may_call(call).await? {
            return self.set_status(call, CallStatus::Refused).await;
        }
        if self.open_call(call).await?.is_some() {
            return self.greet(call, Caller::Known, attempt).await;
        }
        let number = self.number_of(call).await?;
        if call.attestation == Attestation::Failed && number != CallerNumber::New {
            let (user, call) = (call.user, call.call);
            let forged = OperatorEvent::NumberForged { user, call };
            self.context.publisher.tell_operator(&forged).await;
        }
        match self.decide(call, number) {
            CallDecision::PutThrough => {
                self.open(call, 0, attempt).await?;
                self.greet(call, Caller::Known, attempt).await
            }
            CallDecision::AskPin => {
                self.begin(call, attempt).await?;
                let was_wrong = false;
                self.set_status(call, CallStatus::NeedsPin { was_wrong })
                    .await
            }
            // Nothing is stored of a number that is no user's.
            CallDecision::Welcome => self.set_status(call, CallStatus::NewCaller).await,
            CallDecision::Refuse => self.set_status(call, CallStatus::Refused).await,
        }
    }

    async fn spoke(
        &self,
        call: &CallProgressed,
        utterance: &Utterance,
        attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        let utterance = &*open_utterance(&self.context.pins, call, utterance)?;
        if let Some(known) = self.open_call(call).await? {
            if utterance.number > known.unstored_turn {
                return self.hear(call, utterance, attempt).await;
            }
            // It opened the call, and this is its repetition.
            self.greet(call, caller_of(call, utterance), attempt)
                .await?;
            return self.see_call(call, utterance).await;
        }
        if !self.admission.may_call(call).await? {
            self.set_status(call, CallStatus::Refused).await?;
            return self.see_call(call, utterance).await;
        }
        let number = self.number_of(call).await?;
        match self.decide(call, number) {
            CallDecision::PutThrough => {
                // The start of the call was lost, or arrives later.
                self.open(call, 0, attempt).await?;
                return self.hear(call, utterance, attempt).await;
            }
            CallDecision::Welcome => self.welcome(call, utterance, attempt).await?,
            CallDecision::AskPin => {
                self.begin(call, attempt).await?;
                self.try_pin(call, utterance, attempt).await?;
            }
            CallDecision::Refuse => self.set_status(call, CallStatus::Refused).await?,
        }
        self.see_call(call, utterance).await
    }

    /// The stored call, if its caller counts as the user of the number. A caller who keys numbers in may have opened the
    /// call as another user.
    async fn open_call(&self, call: &CallProgressed) -> Result<Option<Call>, HandlerError> {
        let known = self.context.store.calls().of(call.call).await?;
        Ok(known.filter(|known| known.is_open() && known.user == call.user))
    }

    async fn number_of(&self, call: &CallProgressed) -> Result<CallerNumber, HandlerError> {
        let has_pin = self.context.store.users().has_pin(call.user).await?;
        Ok(match has_pin {
            None => CallerNumber::New,
            Some(false) => CallerNumber::WithoutPin,
            Some(true) => CallerNumber::WithPin,
        })
    }

    fn decide(&self, call: &CallProgressed, number: CallerNumber) -> CallDecision {
        CallDecision::of(call.attestation, number, self.context.policy.voice_trust)
    }

    /// A new caller has spoken or pressed a key, and becomes a user. This is the only place where a call makes a user.
    async fn welcome(
        &self,
        call: &CallProgressed,
        utterance: &Utterance,
        attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        let opened = self.opened(call, utterance.number, attempt);
        if !self.admission.admits_caller(call, &opened).await? {
            return self.set_status(call, CallStatus::Refused).await;
        }
        // Somebody who has become a user elsewhere meanwhile was not stored with the call.
        self.context.store.calls().begin(&opened).await?;
        self.greet(call, caller_of(call, utterance), attempt).await
    }

    /// Puts the caller of an open call through, as soon as their assistant is ready. A suspended caller hears so; what
    /// they asked for is stored, and follows after the suspension.
    async fn greet(
        &self,
        call: &CallProgressed,
        caller: Caller,
        attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        let suspended = self.status_if_suspended(call);
        let sandbox = self.context.store.sandboxes().of_user(call.user).await?;
        let is_ready = sandbox.is_some_and(|sandbox| sandbox.status.is_ready());
        let id = MessageId::of_utterance(call.call, 0);
        let (messages, calls) = (self.context.store.messages(), self.context.store.calls());
        if !is_ready && !messages.exists(call.user, id).await? {
            calls.await_setup(call.call).await?;
            if suspended.is_none() {
                self.tell_of_setup(call, &caller).await?;
            }
        }
        let message = VoiceMessage {
            caller,
            needs_answer: !is_ready,
            ..self.message(call, id, VoiceKind::CallStarted, attempt)
        };
        let received = self.receive(&message).await?;
        if let Some(status) = suspended {
            self.set_status(call, status).await?;
        } else if is_ready {
            let ready = self.context.ready_for(call.user).await?;
            self.set_status(call, ready).await?;
        }
        let Some(received) = received.filter(|_| !is_ready) else {
            return Ok(());
        };
        let item = item_of_call(&message, Plan::PutThrough(call.call), None);
        deliver(&self.actors, call.user, item, received, attempt)
    }

    /// Tells the caller that their assistant is being set up, before anything can tell them that it is ready.
    async fn tell_of_setup(
        &self,
        call: &CallProgressed,
        caller: &Caller,
    ) -> Result<(), HandlerError> {
        let asked = matches!(caller, Caller::Welcomed { wants_template, .. } if *wants_template);
        let has_chat = asked || self.context.has_chat(call.user).await?;
        self.set_status(call, CallStatus::SettingUp { has_chat })
            .await
    }

    /// Hands what a caller said to their assistant.
    async fn hear(
        &self,
        call: &CallProgressed,
        utterance: &Utterance,
        attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        let content = serde_json::to_string(utterance).unwrap_or_default();
        let message = VoiceMessage {
            turn: utterance.number,
            content: content.into(),
            ..self.message(call, call.id(), VoiceKind::Speech, attempt)
        };
        let messages = self.context.store.messages();
        let Some(received) = messages.receive_voice(&message).await? else {
            // The user was blocked during the call, and nothing would answer.
            BLOCKED.increment([]);
            self.set_status(call, CallStatus::Refused).await?;
            return self.see_call(call, utterance).await;
        };
        if received.complete {
            return Ok(());
        }
        if let Some(status) = self.status_if_suspended(call) {
            // The utterance is answered after the suspension, in the chat.
            self.set_status(call, status).await?;
            self.see_call(call, utterance).await?;
        }
        let item = item_of_call(&message, plan_spoken(utterance), utterance.heard.clone());
        deliver(&self.actors, call.user, item, received, attempt)
    }

    /// Tries what an unproven caller said or keyed in as the PIN, and puts them through if it is right.
    async fn try_pin(
        &self,
        call: &CallProgressed,
        utterance: &Utterance,
        attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        let pin = Pin::try_from(utterance.words.digits().as_str()).ok();
        let tried = PinTry {
            call: call.call,
            user: call.user,
            attestation: call.attestation,
            turn: utterance.number,
            pin: pin.as_ref(),
        };
        let (users, now) = (self.context.store.users(), self.context.clock.now());
        let keyring = self.context.agents.keyring();
        let outcome = users.try_pin(&tried, now, keyring).await?;
        let label = match outcome {
            PinOutcome::Right => {
                self.greet(call, Caller::Known, attempt).await?;
                "right"
            }
            PinOutcome::Wrong => {
                let was_wrong = true;
                self.set_status(call, CallStatus::NeedsPin { was_wrong })
                    .await?;
                "wrong"
            }
            PinOutcome::Refused => {
                self.set_status(call, CallStatus::Refused).await?;
                "refused"
            }
        };
        PIN_ATTEMPTS.increment([label]);
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
        let known = calls.of(call.call).await?;
        let Some(known) = known.filter(|known| known.user == call.user) else {
            return Ok(());
        };
        let plan = plan_call_end(&known);
        let is_told = if matches!(plan, Plan::Say(_)) {
            // Nobody is written to who has only called, unless they asked for it.
            self.context.has_chat(call.user).await?
        } else {
            plan != Plan::NoAnswer
        };
        if is_told {
            let message = VoiceMessage {
                turn: known.turns,
                ..self.message(call, call.id(), VoiceKind::CallEnded, attempt)
            };
            self.queue(&message, plan, attempt).await?;
        }
        if self.is_warned(&known).await? {
            let id = MessageId::of_call_warning(call.call);
            let message = self.message(call, id, VoiceKind::CallWarning, attempt);
            self.queue(&message, Plan::Warn(call.call), attempt).await?;
        }
        Ok(())
    }

    /// Whether the user is told that the caller may have been somebody else. Calls without proof are told once a day.
    async fn is_warned(&self, call: &Call) -> Result<bool, HandlerError> {
        let users = self.context.store.users();
        match warning_of(call) {
            None => Ok(false),
            Some(CallWarning::WrongPin) => {
                if !call.is_open() {
                    let (user, call) = (call.user, call.id);
                    let guessed = OperatorEvent::PinGuessed { user, call };
                    self.context.publisher.tell_operator(&guessed).await;
                }
                Ok(true)
            }
            Some(CallWarning::CalledAsUser) => {
                let profile = users.profile(call.user).await?;
                let now = self.context.clock.now();
                Ok(
                    profile.is_some_and(|profile| profile.last_written_at.is_some())
                        && users.claim_warning(call.user, call.id, now).await?,
                )
            }
        }
    }

    /// Stores an event of a call and hands it to its user's actor.
    async fn queue(
        &self,
        message: &VoiceMessage,
        plan: Plan,
        attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        let Some(received) = self.receive(message).await? else {
            return Ok(());
        };
        let item = item_of_call(message, plan, None);
        deliver(&self.actors, message.user, item, received, attempt)
    }

    /// Stores a call that is open from now on. `first_words` is the number of the utterance that made the caller a user,
    /// or 0.
    async fn open(
        &self,
        call: &CallProgressed,
        first_words: u32,
        attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        let opened = self.opened(call, first_words, attempt);
        Ok(self.context.store.calls().begin(&opened).await?)
    }

    /// A call whose caller counts as the user of the number from now on.
    fn opened(&self, call: &CallProgressed, first_words: u32, attempt: &Attempt) -> CallBegin {
        CallBegin {
            opened_at: Some(self.context.clock.now()),
            unstored_turn: first_words,
            ..closed(call, attempt)
        }
    }

    /// Stores a call whose caller has proved nothing yet.
    async fn begin(&self, call: &CallProgressed, attempt: &Attempt) -> Result<(), HandlerError> {
        let calls = self.context.store.calls();
        Ok(calls.begin(&closed(call, attempt)).await?)
    }

    fn status_if_suspended(&self, call: &CallProgressed) -> Option<CallStatus> {
        let current = self.context.suspensions.current();
        current.of(call.user).map(status_of_call)
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

    /// Tells ingress that an utterance needs no answer, and that the status of the call says how it goes on.
    async fn see_call(
        &self,
        call: &CallProgressed,
        utterance: &Utterance,
    ) -> Result<(), HandlerError> {
        let live_calls = &self.context.live_calls;
        live_calls
            .settle(call.call, utterance.number, TurnStatus::SeeCall)
            .await?;
        Ok(())
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
        id: MessageId,
        kind: VoiceKind,
        attempt: &Attempt,
    ) -> VoiceMessage {
        VoiceMessage {
            id,
            user: call.user,
            caller: Caller::Known,
            call: call.call,
            turn: 0,
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

const fn closed(call: &CallProgressed, attempt: &Attempt) -> CallBegin {
    CallBegin {
        call: call.call,
        user: call.user,
        attestation: call.attestation,
        at: call.at,
        opened_at: None,
        unstored_turn: 0,
        sequence: attempt.sequence,
    }
}

/// The caller who said this as their first words, which are no message.
fn caller_of(call: &CallProgressed, utterance: &Utterance) -> Caller {
    match &call.address {
        Address::Phone(phone) => Caller::Welcomed {
            phone: phone.clone(),
            wants_template: asks_for_message(&utterance.words),
        },
        Address::WhatsApp(_) => Caller::Known,
    }
}

/// Whether a new caller pressed the key that asks for a WhatsApp message.
fn asks_for_message(words: &CallerInput) -> bool {
    match words {
        CallerInput::Keys(keys) => keys.expose().starts_with(KEY_FOR_MESSAGE),
        CallerInput::Words(_) | CallerInput::Sealed(_) => false,
    }
}
