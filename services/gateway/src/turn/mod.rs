//! Putting messages to an assistant and finding out what came of it, whatever dies meanwhile.

mod attempt;
mod reading;

use std::time::Duration;

use claw_agent::{CallError, Cursor, History, MAIN_SESSION, RunFailure};
use claw_bus::{HandlerError, Tenure};
use claw_domain::{CallId, MessageId, ReplyId, SandboxId, Sensitive};
use claw_store::NewReply;
use tracing::warn;

use crate::session::Session;
use attempt::Try;
use reading::Judgement;

/// Keys tried for one message: each is spent only by a gateway that was killed at its very begin.
const KEYS: u32 = 4;

/// What came of putting messages to the assistant.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It said this, in a text that ends with this row of the transcript.
    Said { reply: NewReply, row: String },
    /// It chose to say nothing.
    Silent,
    /// The model could not answer.
    Failed(RunFailure),
    /// Somebody stopped it.
    Stopped,
    /// The answer was cut off and will not come.
    Lost,
}

/// A turn at its end.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) answer: Answer,
    /// The transcript in which the answer was found, for what else was said meanwhile.
    pub(crate) history: Option<Box<History>>,
}

/// How long a turn may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TurnLimits {
    /// In all. The sandbox itself ends the run then.
    pub(crate) total: Duration,
    /// Without any sign of life of the sandbox. A model provider's retries are silent for 130 s.
    pub(crate) idle: Duration,
}

/// Messages put to one assistant as one turn. The run key is the first message's id, for ever:
/// whatever dies, the transcript tells whether they were taken and what was said to them.
pub(crate) struct Turn<'a> {
    pub(crate) session: &'a Session,
    pub(crate) tenure: &'a Tenure,
    pub(crate) sandbox: SandboxId,
    pub(crate) message: MessageId,
    pub(crate) text: &'a Sensitive<String>,
    /// The call and the turn of it in which the answer is heard as it comes.
    pub(crate) aloud: Option<(CallId, u32)>,
    /// For the assistant alone: how the messages came.
    pub(crate) note: Option<Sensitive<String>>,
    /// Where the transcript had been read to before the turn began.
    pub(crate) before: Option<&'a Cursor>,
    pub(crate) limits: TurnLimits,
}

impl Turn<'_> {
    /// Takes the turn to its end. `may_have_been_sent` is false only when it is certain that these
    /// messages were never sent: then the transcript need not be searched for them.
    pub(crate) async fn take(&self, may_have_been_sent: bool) -> Result<Ended, HandlerError> {
        for number in 0..KEYS {
            let attempt = self.attempt(number);
            // A further key may have been used in an earlier life of ours.
            if let Some(ended) = attempt.take(may_have_been_sent || number > 0).await? {
                return Ok(ended);
            }
        }
        Ok(Answer::Lost.unread())
    }

    /// Whether the assistant ever had these messages, under any key.
    pub(crate) async fn was_sent(&self) -> Result<bool, HandlerError> {
        for number in 0..KEYS {
            if !matches!(
                self.attempt(number).look_back().await?,
                Judgement::NeverSent
            ) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Stops this turn, under whatever id it runs. Whether there was something to stop.
    pub(crate) async fn stop(&self) -> bool {
        let handle = self.session.handle();
        let ours = (0..KEYS).map(|number| Some(run_key(self.message, number)));
        // One taken up after a crash, or queued behind another, runs under an id we do not know.
        for run in ours.chain([None]) {
            match handle.abort(MAIN_SESSION, run.as_deref()).await {
                Ok(true) => return true,
                Ok(false) => {}
                Err(error) => {
                    warn!(
                        error = &error as &dyn std::error::Error,
                        "a turn could not be stopped"
                    );
                    return false;
                }
            }
        }
        false
    }

    fn attempt(&self, number: u32) -> Try<'_> {
        Try {
            turn: self,
            run: run_key(self.message, number),
        }
    }
}

impl Answer {
    /// The transcript's row with which it ends.
    pub(crate) fn row(&self) -> Option<&str> {
        match self {
            Self::Said { row, .. } => Some(row),
            Self::Silent | Self::Failed(_) | Self::Stopped | Self::Lost => None,
        }
    }

    const fn unread(self) -> Ended {
        Ended {
            answer: self,
            history: None,
        }
    }
}

/// The id of what a turn is answered with, whoever answers it.
pub(crate) fn answer_id(sandbox: SandboxId, first: MessageId) -> ReplyId {
    ReplyId::derived_from(&format!("answer:{sandbox}:{first}"))
}

/// The message's id; a further key when a killed gateway has spent the one before.
fn run_key(message: MessageId, number: u32) -> String {
    match number {
        0 => message.to_string(),
        _ => format!("{message}-{number}"),
    }
}

/// The connection is of no use any more, or busy: try the turn again, beginning with a look.
pub(crate) fn again(error: CallError) -> HandlerError {
    match &error {
        CallError::Refused(refusal) => match refusal.retry_after {
            Some(after) => HandlerError::retry_after(error, after),
            None => HandlerError::retry(error),
        },
        CallError::NotSent(_) | CallError::Unknown(_) => HandlerError::retry(error),
    }
}
