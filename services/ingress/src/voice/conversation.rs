use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use claw_bus::{Outgoing, PublishError, Publisher};
use claw_domain::{Address, CallId, CallOutcome, PhoneNumber, Trust};
use claw_events::{CallProgressed, CallStatus, CallStep, CallerInput, TurnStatus, Utterance};
use claw_runtime::Clock;
use claw_twilio::{
    form::{Caller, TwilioCallStatus, VoiceRequest},
    voices::Language,
};
use tokio::time::Instant;
use tracing::info;

use super::{
    board::Board,
    dialogue::{
        Beat, FIRST_WAIT, Outcome, Progress, WAIT, after_call, after_silence, after_turn, answer,
        ask_number, go_on, hidden,
    },
    thread::Thread,
};

/// How long a step of a call may take to be stored, while the caller waits.
const PATIENCE: Duration = Duration::from_secs(4);

/// Holds the conversation: stores what the caller says, and waits for what they are to hear.
pub(crate) struct Conversation {
    pub(crate) board: Board,
    pub(crate) publisher: Publisher,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Whose number a call is from.
pub(crate) struct CallerId {
    pub(crate) address: Address,
    pub(crate) trust: Trust,
}

impl Conversation {
    /// The phone rings.
    pub(crate) async fn ring(&self, request: &VoiceRequest) -> anyhow::Result<(Thread, Beat)> {
        let heard = Instant::now();
        let thread = Thread::begin(&request.caller);
        let Some(caller) = known(&request.caller) else {
            return Ok((thread, ask_number()));
        };
        self.begin(request.sid.call(), &caller, thread, heard).await
    }

    /// The caller said something, pressed keys, or was silent.
    pub(crate) async fn spoken(
        &self,
        request: &VoiceRequest,
        thread: Thread,
    ) -> anyhow::Result<(Thread, Beat)> {
        let heard = Instant::now();
        let call = request.sid.call();
        let Some(words) = words_of(request) else {
            return Ok((thread, after_silence(thread.progress)));
        };
        let Some(caller) = self.caller(call, request, thread).await? else {
            return self.number_keyed(call, &words, thread, heard).await;
        };
        let turn = thread.progress.turn.max(1);
        let step = CallStep::Spoke(Utterance {
            number: turn,
            words,
            language: Some(thread.language.tag().to_owned()),
            heard: None,
        });
        self.tell(call, &caller, step).await?;
        let progress = Progress {
            turn,
            ..Progress::default()
        };
        let came = self.board.turn(call, turn, heard + FIRST_WAIT).await?;
        self.after_turn(call, came, Thread { progress, ..thread })
            .await
    }

    /// Twilio asks again, as we told it to.
    pub(crate) async fn wait(
        &self,
        request: &VoiceRequest,
        thread: Thread,
    ) -> anyhow::Result<(Thread, Beat)> {
        let call = request.sid.call();
        let until = Instant::now() + WAIT;
        if thread.awaits_call {
            let is_news = |standing: &CallStatus| *standing != CallStatus::SettingUp;
            let standing = self.board.standing(call, until, is_news).await?;
            let beat = after_call(standing, thread.progress);
            return Ok((thread.in_language_of(standing), beat));
        }
        let came = self.board.turn(call, thread.progress.turn, until).await?;
        self.after_turn(call, came, thread).await
    }

    /// Something of ours failed, and Twilio asks what to do instead: the call goes on if it can.
    pub(crate) async fn fallback(&self, request: &VoiceRequest) -> anyhow::Result<(Thread, Beat)> {
        let code = request.error_code.unwrap_or_default();
        info!(
            error.code = code,
            "Twilio could not use an answer of ours: {code}"
        );
        // The parameters are those of the request that failed: what was said is among them.
        let failed = request.error_url.as_deref().unwrap_or_default();
        let (path, query) = failed.split_once('?').unwrap_or((failed, ""));
        let thread = Thread::read(query);
        match path.rsplit('/').next() {
            Some("transcription") => self.spoken(request, thread).await,
            Some("reply") => self.wait(request, thread).await,
            Some("relay-done") => self.relay_done(request, thread).await,
            Some(_) | None => self.ring(request).await,
        }
    }

    /// Twilio tells how a call stands; only its end is of interest.
    pub(crate) async fn status(&self, request: &VoiceRequest) -> anyhow::Result<()> {
        let Some(status) = request.status.filter(|status| status.is_final()) else {
            return Ok(());
        };
        let call = request.sid.call();
        let caller = match known(&request.caller) {
            Some(caller) => Some(caller),
            None => self.keyed(call).await?,
        };
        // Nobody's call: whoever hides their number and keyed none.
        let Some(caller) = caller else {
            return Ok(());
        };
        let step = CallStep::Ended {
            seconds: request.duration_seconds.unwrap_or_default(),
            outcome: outcome_of(status),
        };
        self.tell(call, &caller, step).await?;
        Ok(())
    }

    /// What comes after a turn; if nobody is to be kept waiting any longer, that is noted first.
    async fn after_turn(
        &self,
        call: CallId,
        came: Option<TurnStatus>,
        thread: Thread,
    ) -> anyhow::Result<(Thread, Beat)> {
        let turn = thread.progress.turn;
        let mut outcome = after_turn(came, thread.progress);
        if outcome == Outcome::GiveUp {
            let came = self.board.live_calls().give_up(call, turn).await?;
            outcome = after_turn(Some(came), thread.progress);
        }
        match outcome {
            Outcome::Say(beat) => {
                if beat.is_answer() {
                    self.board.note_heard(call, turn);
                }
                Ok((thread, beat))
            }
            Outcome::SeeCall => {
                let standing = self
                    .board
                    .standing(call, Instant::now(), |_| true)
                    .await?
                    .context("what the call has come to is not written")?;
                let beat = go_on(standing, turn + 1);
                Ok((thread.in_language_of(Some(standing)), beat))
            }
            Outcome::GiveUp => bail!("a turn that was given up has come to nothing"),
        }
    }

    async fn begin(
        &self,
        call: CallId,
        caller: &CallerId,
        thread: Thread,
        heard: Instant,
    ) -> anyhow::Result<(Thread, Beat)> {
        self.tell(call, caller, CallStep::Started).await?;
        let standing = self
            .board
            .standing(call, heard + FIRST_WAIT, |_| true)
            .await?;
        let beat = answer(standing, caller.trust == Trust::Trusted);
        Ok((thread.in_language_of(standing), beat))
    }

    /// Whoever hides their number has keyed one: from here on it is a call of that number, unproven.
    async fn number_keyed(
        &self,
        call: CallId,
        words: &CallerInput,
        thread: Thread,
        heard: Instant,
    ) -> anyhow::Result<(Thread, Beat)> {
        let (CallerInput::Keys(text) | CallerInput::Words(text)) = words;
        let digits: String = text.expose().chars().filter(char::is_ascii_digit).collect();
        let Ok(phone) = PhoneNumber::try_from(digits.as_str()) else {
            return Ok((thread, hidden(thread.progress)));
        };
        let thread = Thread {
            progress: Progress::default(),
            language: Language::of_phone(&phone),
            awaits_call: false,
            has_keyed: true,
            has_broken: thread.has_broken,
        };
        let address = Address::Phone(phone);
        self.board.live_calls().keep_caller(call, &address).await?;
        let trust = Trust::Unverified;
        self.begin(call, &CallerId { address, trust }, thread, heard)
            .await
    }

    pub(super) async fn caller(
        &self,
        call: CallId,
        request: &VoiceRequest,
        thread: Thread,
    ) -> anyhow::Result<Option<CallerId>> {
        match known(&request.caller) {
            Some(caller) => Ok(Some(caller)),
            None if thread.has_keyed => self.keyed(call).await,
            None => Ok(None),
        }
    }

    async fn keyed(&self, call: CallId) -> anyhow::Result<Option<CallerId>> {
        let address = self.board.live_calls().caller(call).await?;
        Ok(address.map(|address| CallerId {
            address,
            trust: Trust::Unverified,
        }))
    }

    pub(super) async fn tell(
        &self,
        call: CallId,
        caller: &CallerId,
        step: CallStep,
    ) -> Result<(), PublishError> {
        let progressed = CallProgressed {
            call,
            user: caller.address.user(),
            address: caller.address.clone(),
            trust: caller.trust,
            at: self.clock.now(),
            step,
        };
        let event = Outgoing::new(&progressed)?;
        self.publisher.publish_all(&[event], PATIENCE).await
    }
}

fn known(caller: &Caller) -> Option<CallerId> {
    match caller {
        Caller::Known { phone, trust } => Some(CallerId {
            address: Address::Phone(phone.clone()),
            trust: *trust,
        }),
        Caller::Hidden => None,
    }
}

/// What the caller gave us; keys before words, for who presses them means them.
fn words_of(request: &VoiceRequest) -> Option<CallerInput> {
    let filled = |text: &&claw_domain::Sensitive<String>| !text.expose().trim().is_empty();
    if let Some(keys) = request.digits.as_ref().filter(filled) {
        return Some(CallerInput::Keys(keys.clone()));
    }
    let words = request.speech.as_ref().filter(filled)?;
    Some(CallerInput::Words(words.clone()))
}

/// A status that ends a call.
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
