mod caller;
mod streaming;

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use claw_bus::{Outgoing, PublishError, Publisher};
use claw_chat::language_of;
use claw_domain::{Address, CallId, CallOutcome, PhoneNumber, Sensitive};
use claw_events::{CallProgressed, CallStatus, CallStep, CallerInput, TurnStatus, Utterance};
use claw_runtime::Clock;
use claw_seal::Binding;
use claw_twilio::form::{TwilioCallStatus, VoiceRequest};
use tokio::time::Instant;
use tracing::info;

pub(crate) use caller::CallerId;
use caller::{attestation_of, shown_caller};

use crate::Keys;

use super::{
    call_state::CallState,
    call_watcher::CallWatcher,
    dialogue::{
        CallResponse, FIRST_FILLER_AFTER, NEXT_FILLER_AFTER, Progress, TurnOutcome,
        after_call_wait, after_silence, after_turn_wait, ask_number, ask_number_again, for_status,
        on_ring,
    },
    paths,
};

/// How long publishing a step of a call may take while the caller waits.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(4);

/// Answers Twilio's requests: publishes each step of a call, waits for an answer or a status, and returns the new
/// state of the call with the response.
pub(crate) struct CallControl {
    pub(crate) watcher: CallWatcher,
    pub(crate) keys: Keys,
    pub(crate) publisher: Publisher,
    pub(crate) clock: Arc<dyn Clock>,
}

impl CallControl {
    /// Answers the first webhook of a call: asks for a hidden number, or announces the call to the gateway.
    pub(crate) async fn ring(
        &self,
        request: &VoiceRequest,
    ) -> anyhow::Result<(CallState, CallResponse)> {
        let started = Instant::now();
        let state = CallState::begin(&request.caller);
        let Some(caller) = shown_caller(&request.caller) else {
            return Ok((state, ask_number()));
        };
        self.start(request.sid.call(), &caller, state, started)
            .await
    }

    /// The caller said something, pressed keys or stayed silent.
    pub(crate) async fn spoke(
        &self,
        request: &VoiceRequest,
        state: CallState,
    ) -> anyhow::Result<(CallState, CallResponse)> {
        let started = Instant::now();
        let call = request.sid.call();
        let Some(words) = input_of(request) else {
            return Ok((state, after_silence(state.progress)));
        };
        let Some(caller) = self.caller(call, request, state).await? else {
            return self.number_keyed(request, &words, state, started).await;
        };
        let turn = state.progress.turn.max(1);
        let utterance = Utterance {
            number: turn,
            words,
            language: Some(state.language.tag().to_owned()),
            heard: None,
        };
        self.publish(call, &caller, CallStep::Spoke(utterance))
            .await?;
        let progress = Progress {
            turn,
            ..Progress::default()
        };
        let until = started + FIRST_FILLER_AFTER;
        let status = self.watcher.turn_status(call, turn, until).await?;
        let state = CallState { progress, ..state };
        self.after_turn_wait(call, status, state).await
    }

    /// Twilio asks again, as our last response told it to.
    pub(crate) async fn wait(
        &self,
        request: &VoiceRequest,
        state: CallState,
    ) -> anyhow::Result<(CallState, CallResponse)> {
        let call = request.sid.call();
        let until = Instant::now() + NEXT_FILLER_AFTER;
        if state.awaits_call {
            let is_set_up = |status: &CallStatus| !matches!(status, CallStatus::SettingUp { .. });
            let status = self.watcher.call_status(call, until, is_set_up).await?;
            let response = after_call_wait(status, state.progress);
            return Ok((state.knowing(status), response));
        }
        let turn = state.progress.turn;
        let status = self.watcher.turn_status(call, turn, until).await?;
        self.after_turn_wait(call, status, state).await
    }

    /// Twilio could not use an answer of ours, and asks for another one. Its request has the parameters of the
    /// failed one, including what the caller said, so the call goes on from there if possible.
    pub(crate) async fn fallback(
        &self,
        request: &VoiceRequest,
    ) -> anyhow::Result<(CallState, CallResponse)> {
        let code = request.error_code.unwrap_or_default();
        info!(
            error.code = code,
            "Twilio could not use an answer of ours (its error {code})"
        );
        let failed = request.error_url.as_deref().unwrap_or_default();
        let (url, query) = failed.split_once('?').unwrap_or((failed, ""));
        let state = CallState::read(query);
        if url.ends_with(paths::TRANSCRIPTION) {
            self.spoke(request, state).await
        } else if url.ends_with(paths::REPLY) {
            self.wait(request, state).await
        } else if url.ends_with(paths::RELAY_DONE) {
            self.relay_done(request, state).await
        } else {
            self.ring(request).await
        }
    }

    /// The status of a call has changed. Only its end is published.
    pub(crate) async fn status_changed(&self, request: &VoiceRequest) -> anyhow::Result<()> {
        let Some(status) = request.status.filter(|status| status.is_final()) else {
            return Ok(());
        };
        let call = request.sid.call();
        let caller = match shown_caller(&request.caller) {
            Some(caller) => Some(caller),
            None => self.keyed_caller(call, request).await?,
        };
        // A caller with a hidden caller ID who keyed in no number is no user: there is nothing to publish.
        let Some(caller) = caller else {
            return Ok(());
        };
        let step = CallStep::Ended {
            seconds: request.duration_seconds.unwrap_or_default(),
            outcome: outcome_of(status),
        };
        self.publish(call, &caller, step).await?;
        Ok(())
    }

    /// Decides how to go on after waiting for an answer. If the caller is not kept waiting any longer, that is
    /// recorded first.
    async fn after_turn_wait(
        &self,
        call: CallId,
        status: Option<TurnStatus>,
        state: CallState,
    ) -> anyhow::Result<(CallState, CallResponse)> {
        let turn = state.progress.turn;
        let live_calls = self.watcher.live_calls();
        let mut outcome = after_turn_wait(status, state.progress);
        if outcome == TurnOutcome::GiveUp {
            let status = live_calls.settle(call, turn, TurnStatus::GivenUp).await?;
            outcome = after_turn_wait(Some(status), state.progress);
        }
        match outcome {
            TurnOutcome::Respond(response) => {
                if response.is_answer() {
                    self.watcher.note_heard(call, turn);
                }
                Ok((state, response))
            }
            TurnOutcome::SeeCall => {
                let status = live_calls.status(call).await?;
                let status = status.context("a turn refers to its call, which has no status")?;
                let response = for_status(status, turn + 1);
                Ok((state.knowing(Some(status)), response))
            }
            TurnOutcome::GiveUp => bail!("a turn that was given up has no status"),
        }
    }

    async fn start(
        &self,
        call: CallId,
        caller: &CallerId,
        state: CallState,
        started: Instant,
    ) -> anyhow::Result<(CallState, CallResponse)> {
        self.publish(call, caller, CallStep::Started).await?;
        let until = started + FIRST_FILLER_AFTER;
        let status = self.watcher.call_status(call, until, |_| true).await?;
        let response = on_ring(status);
        Ok((state.knowing(status), response))
    }

    /// A caller with a hidden caller ID keyed in a number. From here on the call is from that number.
    async fn number_keyed(
        &self,
        request: &VoiceRequest,
        words: &CallerInput,
        state: CallState,
        started: Instant,
    ) -> anyhow::Result<(CallState, CallResponse)> {
        let Ok(phone) = PhoneNumber::try_from(words.digits()) else {
            return Ok((state, ask_number_again(state.progress)));
        };
        let call = request.sid.call();
        let state = CallState {
            progress: Progress::default(),
            language: language_of(&phone),
            awaits_call: false,
            has_keyed: true,
            ..state
        };
        let address = Address::Phone(phone);
        let live_calls = self.watcher.live_calls();
        live_calls.keep_caller(call, &address).await?;
        let caller = CallerId {
            address,
            attestation: attestation_of(&request.caller),
        };
        self.start(call, &caller, state, started).await
    }

    async fn publish(
        &self,
        call: CallId,
        caller: &CallerId,
        step: CallStep,
    ) -> Result<(), PublishError> {
        let mut progressed = CallProgressed {
            call,
            user: self.keys.user_ids.user_of(&caller.address),
            address: caller.address.clone(),
            attestation: caller.attestation,
            at: self.clock.now(),
            step,
        };
        self.seal_until_ready(&mut progressed).await;
        let event = Outgoing::new(&progressed)?;
        self.publisher.publish_all(&[event], PUBLISH_TIMEOUT).await
    }

    /// Seals what the caller says until they are put through: until then it may be a PIN.
    async fn seal_until_ready(&self, progressed: &mut CallProgressed) {
        let binding = Binding {
            message: progressed.id(),
            user: progressed.user,
        };
        let CallStep::Spoke(utterance) = &mut progressed.step else {
            return;
        };
        let status = self.watcher.live_calls().status(progressed.call).await;
        if !matches!(status, Ok(Some(CallStatus::Ready { .. }))) {
            let sealed = self.keys.seal_input(binding, &utterance.words);
            utterance.words = CallerInput::Sealed(sealed);
        }
    }
}

/// The words or keys of the caller. Keys take precedence over words: they are pressed on purpose.
fn input_of(request: &VoiceRequest) -> Option<CallerInput> {
    let is_filled = |text: &&Sensitive<String>| !text.expose().trim().is_empty();
    if let Some(keys) = request.digits.as_ref().filter(is_filled) {
        return Some(CallerInput::Keys(keys.clone()));
    }
    let words = request.speech.as_ref().filter(is_filled)?;
    Some(CallerInput::Words(words.clone()))
}

/// The outcome for the final status of a call.
const fn outcome_of(status: TwilioCallStatus) -> CallOutcome {
    match status {
        TwilioCallStatus::Completed => CallOutcome::Completed,
        TwilioCallStatus::Busy => CallOutcome::Busy,
        TwilioCallStatus::NoAnswer => CallOutcome::NoAnswer,
        TwilioCallStatus::Canceled => CallOutcome::Canceled,
        TwilioCallStatus::Queued
        | TwilioCallStatus::Initiated
        | TwilioCallStatus::Ringing
        | TwilioCallStatus::InProgress
        | TwilioCallStatus::Failed
        | TwilioCallStatus::Other => CallOutcome::Failed,
    }
}
