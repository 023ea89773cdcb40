use std::time::Duration;

use anyhow::anyhow;
use claw_agent::{CallError, ChatSend, MAIN_SESSION, RunFailure, SendStatus};
use claw_bus::HandlerError;
use tokio::time::{Instant, timeout_at};
use tracing::error;

use super::{Answer, Ended, Turn, again, reading::Judgement};
use crate::session::{Ending, Session};

/// How long a heartbeat or cron turn that is under way is waited for before ours is sent.
const IDLE_TIMEOUT: Duration = Duration::from_mins(2);

/// Over the limit we give the gateway: it ends the run itself, and says so.
const LIMIT_MARGIN: Duration = Duration::from_secs(30);

/// How long a turn that a crash interrupted may wait to be marked for being taken up again. The gateway
/// does so half a second after it is ready.
const MARKING_TIMEOUT: Duration = Duration::from_mins(1);

/// How long a turn must look as if it had died before it began until it is sent again.
const ABANDONED_TIMEOUT: Duration = Duration::from_secs(5);

/// How often one turn is sent: again only after the gateway crashed before it began.
const SENDS: u32 = 3;

/// How often the transcript is read while nothing tells us to: an interrupted turn is taken up
/// again under an id we do not know.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// One try to put a message, under a key of its own.
pub(super) struct Try<'a> {
    pub(super) turn: &'a Turn<'a>,
    pub(super) run: String,
}

/// What the gateway said to a message.
enum Sent {
    /// It has it.
    Taken(SendStatus),
    /// It had it, died before it began, and will neither begin it nor take it again under this key.
    KeySpent,
    /// It will not have it.
    Refused,
}

/// How waiting for an answer ended.
enum Outcome {
    Ended(Ended),
    /// The gateway lost it and will not find it again.
    SendAgain,
}

/// Since when a turn looks dead, without a break.
#[derive(Default)]
struct DeadSince {
    interrupted: Option<Instant>,
    abandoned: Option<Instant>,
}

impl DeadSince {
    fn lasts(since: &mut Option<Instant>, patience: Duration) -> bool {
        since.get_or_insert_with(Instant::now).elapsed() >= patience
    }
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        Self::Ended(answer.unread())
    }
}

impl Try<'_> {
    /// `None` when the key is spent and the messages were not begun under it.
    pub(super) async fn take(
        &self,
        may_have_been_sent: bool,
    ) -> Result<Option<Ended>, HandlerError> {
        self.session().forget_endings();
        if may_have_been_sent {
            match self.look_back().await? {
                Judgement::NeverSent => {}
                Judgement::Ended(ended) => return Ok(Some(ended)),
                Judgement::Running | Judgement::Interrupted { .. } | Judgement::Abandoned => {
                    if let Outcome::Ended(ended) = self.await_answer(LOOK_EVERY).await? {
                        return Ok(Some(ended));
                    }
                }
            }
        }
        for _ in 0..SENDS {
            self.session().idle(IDLE_TIMEOUT).await;
            if !self.turn.tenure.may_act() {
                let not_ours = anyhow!("this person is another replica's now");
                return Err(HandlerError::retry(not_ours));
            }
            let outcome = match self.send().await? {
                // It tells its end by itself; the limit is only for what nobody thought of.
                Sent::Taken(SendStatus::Started | SendStatus::InFlight) => {
                    self.await_answer(self.turn.limits.total).await?
                }
                // Finished before we asked, or queued behind another: there may be no event.
                Sent::Taken(SendStatus::AlreadyDone) => self.await_answer(LOOK_EVERY).await?,
                Sent::KeySpent => return Ok(None),
                Sent::Refused => Answer::Lost.into(),
            };
            if let Outcome::Ended(ended) = outcome {
                return Ok(Some(ended));
            }
        }
        Ok(Some(Answer::Lost.unread()))
    }

    pub(super) const fn session(&self) -> &Session {
        self.turn.session
    }

    async fn send(&self) -> Result<Sent, HandlerError> {
        if let Some((call, turn)) = self.turn.aloud {
            self.session().tell_aloud(&self.run, call, turn);
        }
        let send = ChatSend {
            session: MAIN_SESSION.to_owned(),
            run: self.run.clone(),
            text: self.turn.text.clone(),
            timeout: self.turn.limits.total,
            note: self.turn.note.clone(),
        };
        match self.session().handle().send_chat(&send).await {
            Ok(status) => Ok(Sent::Taken(status)),
            // The key is taken, so it was sent before, in words that differ by our own rendering.
            Err(CallError::Refused(error)) if error.is_conflict() => {
                Ok(Sent::Taken(SendStatus::InFlight))
            }
            Err(CallError::Refused(error)) if error.is_key_spent() => Ok(Sent::KeySpent),
            Err(error) if !error.is_transient() => {
                error!(
                    sandbox.id = %self.turn.sandbox,
                    error = &error as &dyn std::error::Error,
                    "the sandbox refused a message for good"
                );
                Ok(Sent::Refused)
            }
            Err(error) => Err(again(error)),
        }
    }

    /// Follows the endings until ours is among them, or the transcript has our answer.
    async fn await_answer(&self, look_every: Duration) -> Result<Outcome, HandlerError> {
        let ends_at = Instant::now() + self.turn.limits.total + LIMIT_MARGIN;
        let mut look_every = look_every;
        self.session().begin_quiet();
        let mut dead = DeadSince::default();
        loop {
            let look_at = Instant::now() + look_every.min(self.turn.limits.idle);
            let ending = self.next_ending(look_at.min(ends_at)).await?;
            if ending.is_some() {
                // Its row may be a moment behind; no further event would tell.
                look_every = LOOK_EVERY;
            }
            let text = match ending {
                Some(Ending::Failed { run, failure }) if run == self.run => {
                    return Ok(Answer::Failed(failure).into());
                }
                Some(Ending::Aborted { run }) if run == self.run => {
                    return Ok(Answer::Stopped.into());
                }
                Some(Ending::Final { run, text }) if run == self.run => text,
                // Another's ending, or nothing for a while: the transcript knows.
                Some(_) | None => None,
            };
            if text.is_some() {
                return self.read(text).await.map(Outcome::Ended);
            }
            match self.look().await? {
                Judgement::Ended(ended) => return Ok(Outcome::Ended(ended)),
                Judgement::NeverSent => {
                    return Err(HandlerError::retry(anyhow!(
                        "the message is not in the transcript any more"
                    )));
                }
                Judgement::Running => dead = DeadSince::default(),
                Judgement::Interrupted { is_marked: true } => {
                    dead = DeadSince::default();
                    look_every = LOOK_EVERY;
                }
                Judgement::Interrupted { is_marked: false } => {
                    if DeadSince::lasts(&mut dead.interrupted, MARKING_TIMEOUT) {
                        return Ok(Outcome::SendAgain);
                    }
                    look_every = LOOK_EVERY;
                }
                Judgement::Abandoned => {
                    if DeadSince::lasts(&mut dead.abandoned, ABANDONED_TIMEOUT) {
                        return Ok(Outcome::SendAgain);
                    }
                    look_every = LOOK_EVERY;
                }
            }
            let is_stuck = self.session().quiet_for() >= self.turn.limits.idle;
            if is_stuck || Instant::now() >= ends_at {
                self.turn.stop().await;
                return Ok(Answer::Failed(RunFailure::Timeout).into());
            }
        }
    }

    /// The next ending, or `None` at `look_at`.
    async fn next_ending(&self, look_at: Instant) -> Result<Option<Ending>, HandlerError> {
        loop {
            if let Some(ending) = self.session().take_ending() {
                return Ok(Some(ending));
            }
            if self.session().handle().is_closed() {
                let reason = self.session().handle().closed().await;
                return Err(HandlerError::retry(anyhow!(
                    "the connection closed in a turn: {reason}"
                )));
            }
            if timeout_at(look_at, self.session().news()).await.is_err() {
                return Ok(None);
            }
        }
    }
}
