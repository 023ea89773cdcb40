use std::time::Duration;

use anyhow::anyhow;
use claw_agent::{CallError, ChatSend, MAIN_SESSION, RunFailure, SendStatus};
use claw_bus::HandlerError;
use claw_metrics::WAITS_ENDED_BY_CLOCK;
use tokio::time::{Instant, timeout_at};
use tracing::error;

use super::{
    answer::{Answer, Ended, retry},
    reading::{Run, RunState},
};
use crate::session::RunEnd;

/// How long an active heartbeat or cron run is waited for before our messages are sent.
const IDLE_TIMEOUT: Duration = Duration::from_mins(2);

/// How long we wait beyond the limit at which OpenClaw ends the run itself.
const LIMIT_MARGIN: Duration = Duration::from_secs(30);

/// How long a run that a crash interrupted may take to be marked for resumption. OpenClaw marks it half a
/// second after it is ready.
const MARKING_TIMEOUT: Duration = Duration::from_mins(1);

/// How long a run must look abandoned before its messages are sent again.
const ABANDONED_TIMEOUT: Duration = Duration::from_secs(5);

/// Most times one run is sent. It is sent again only if OpenClaw crashed before the run began.
const MAX_SENDS: u32 = 3;

/// How often the transcript is read while no event prompts it: an interrupted run is resumed under an id
/// we do not know.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// OpenClaw's response to a message.
enum SendResult {
    Accepted(SendStatus),
    /// OpenClaw accepted the message earlier and crashed before the run began. It will neither begin the
    /// run nor accept the message again under this key.
    KeySpent,
    /// OpenClaw refused the message for good: the turn has failed.
    Refused,
}

/// How waiting for an answer ended.
enum WaitOutcome {
    Ended(Ended),
    /// OpenClaw lost the message for good.
    SendAgain,
}

/// The times since which the run has looked dead, without a break.
#[derive(Default)]
struct DeadSince {
    interrupted: Option<Instant>,
    abandoned: Option<Instant>,
}

impl DeadSince {
    fn has_lasted(since: &mut Option<Instant>, limit: Duration) -> bool {
        since.get_or_insert_with(Instant::now).elapsed() >= limit
    }
}

impl From<Answer> for WaitOutcome {
    fn from(answer: Answer) -> Self {
        Self::Ended(answer.without_history())
    }
}

impl Run<'_> {
    /// Sends the messages, unless they were sent before, and waits for the answer. Returns `None` if the
    /// messages are to be sent under the next key: this one is spent and its run never began, or its run was aborted
    /// earlier.
    pub(super) async fn attempt(
        &self,
        may_have_been_sent: bool,
    ) -> Result<Option<Ended>, HandlerError> {
        let session = self.turn.session;
        let _awaited = session.await_run(&self.key);
        if may_have_been_sent {
            match self.look_back().await? {
                RunState::NeverSent => {}
                RunState::Ended(ended) => return Ok(self.unless_aborted(ended)),
                // An aborted run without a row looks like this too.
                RunState::Abandoned if self.turn.asks_again => return Ok(None),
                RunState::Running | RunState::Interrupted { .. } | RunState::Abandoned => {
                    if let WaitOutcome::Ended(ended) = self.await_answer(LOOK_EVERY).await? {
                        return Ok(self.unless_aborted(ended));
                    }
                }
            }
        }
        for _ in 0..MAX_SENDS {
            session.wait_until_idle(IDLE_TIMEOUT).await;
            if !self.turn.tenure.may_act() {
                return Err(HandlerError::retry(anyhow!(
                    "another replica owns this user now"
                )));
            }
            let outcome = match self.send().await? {
                // An event announces the end of the run; the limit is a safeguard.
                SendResult::Accepted(SendStatus::Started | SendStatus::InFlight) => {
                    self.await_answer(self.turn.limits.total).await?
                }
                // The run has ended or is queued behind another one, so there may be no event.
                SendResult::Accepted(SendStatus::AlreadyDone) => {
                    self.await_answer(LOOK_EVERY).await?
                }
                SendResult::KeySpent => return Ok(None),
                SendResult::Refused => Answer::Lost.into(),
            };
            if let WaitOutcome::Ended(ended) = outcome {
                return Ok(Some(ended));
            }
        }
        Ok(self.unless_aborted(Answer::Lost.without_history()))
    }

    /// The end of a run that an earlier process began; `None` if it was aborted and is to be asked again. An aborted run
    /// without a row looks like a silent one: the assistant would rather choose silence twice than lose a message.
    fn unless_aborted(&self, ended: Ended) -> Option<Ended> {
        let has_no_answer = matches!(ended.answer, Answer::Lost | Answer::Silent);
        let is_aborted = self.turn.asks_again && has_no_answer;
        (!is_aborted).then_some(ended)
    }

    async fn send(&self) -> Result<SendResult, HandlerError> {
        let session = self.turn.session;
        if let Some((call, turn)) = self.turn.call {
            session.stream_to_call(&self.key, call, turn);
        }
        let send = ChatSend {
            session: MAIN_SESSION.to_owned(),
            run: self.key.clone(),
            text: self.turn.text.clone(),
            timeout: self.turn.limits.total,
            note: self.turn.note.clone(),
        };
        match session.handle().send_chat(&send).await {
            Ok(status) => Ok(SendResult::Accepted(status)),
            // Another replica has sent messages under this key, worded or grouped differently. Their run may have
            // ended, and then no event would announce its answer.
            Err(CallError::Refused(error)) if error.is_conflict() => {
                Ok(SendResult::Accepted(SendStatus::AlreadyDone))
            }
            Err(CallError::Refused(error)) if error.is_key_spent() => Ok(SendResult::KeySpent),
            Err(error) if !error.is_transient() => {
                error!(
                    sandbox.id = %self.turn.sandbox,
                    error = &error as &dyn std::error::Error,
                    "the sandbox refused a message for good"
                );
                Ok(SendResult::Refused)
            }
            Err(error) => Err(retry(error)),
        }
    }

    /// Waits until the run's end is announced or the transcript has its answer. The transcript is read at
    /// least every `look_every`.
    async fn await_answer(&self, mut look_every: Duration) -> Result<WaitOutcome, HandlerError> {
        let (session, limits) = (self.turn.session, self.turn.limits);
        let ends_at = Instant::now() + limits.total + LIMIT_MARGIN;
        session.reset_idle_time();
        let mut dead = DeadSince::default();
        loop {
            let look_at = Instant::now() + look_every.min(limits.idle);
            let run_end = self.next_run_end(look_at.min(ends_at)).await?;
            if run_end.is_some() {
                // The row of the answer may be written a moment later, and no further event would announce it.
                look_every = LOOK_EVERY;
            }
            match run_end {
                Some(RunEnd::Failed(failure)) => return Ok(Answer::Failed(failure).into()),
                Some(RunEnd::Aborted) => return Ok(Answer::Lost.into()),
                Some(RunEnd::Final(Some(text))) => {
                    return self.read_ended(text).await.map(WaitOutcome::Ended);
                }
                // There was no event, or one without the answer: the transcript is authoritative.
                Some(RunEnd::Final(None) | RunEnd::OfAnother) | None => {}
            }
            let is_polling = look_every == LOOK_EVERY;
            match self.look().await? {
                RunState::Ended(ended) => {
                    if !is_polling {
                        WAITS_ENDED_BY_CLOCK.increment(["turn"]);
                    }
                    return Ok(WaitOutcome::Ended(ended));
                }
                RunState::NeverSent => {
                    return Err(HandlerError::retry(anyhow!(
                        "the message is no longer in the transcript"
                    )));
                }
                RunState::Running => dead = DeadSince::default(),
                RunState::Interrupted { is_marked: true } => {
                    dead = DeadSince::default();
                    look_every = LOOK_EVERY;
                }
                RunState::Interrupted { is_marked: false } => {
                    if DeadSince::has_lasted(&mut dead.interrupted, MARKING_TIMEOUT) {
                        return Ok(WaitOutcome::SendAgain);
                    }
                    look_every = LOOK_EVERY;
                }
                RunState::Abandoned => {
                    if DeadSince::has_lasted(&mut dead.abandoned, ABANDONED_TIMEOUT) {
                        return Ok(WaitOutcome::SendAgain);
                    }
                    look_every = LOOK_EVERY;
                }
            }
            let is_stuck = session.idle_time() >= limits.idle;
            if is_stuck || Instant::now() >= ends_at {
                self.turn.stop().await;
                return Ok(Answer::Failed(RunFailure::Timeout).into());
            }
        }
    }

    /// The next end of a run, or `None` at `look_at`.
    async fn next_run_end(&self, look_at: Instant) -> Result<Option<RunEnd>, HandlerError> {
        let session = self.turn.session;
        loop {
            if let Some(run_end) = session.take_run_end() {
                return Ok(Some(run_end));
            }
            if session.handle().is_closed() {
                let reason = session.handle().closed().await;
                return Err(HandlerError::retry(anyhow!(
                    "the connection closed during a turn: {reason}"
                )));
            }
            if timeout_at(look_at, session.changed()).await.is_err() {
                return Ok(None);
            }
        }
    }
}
