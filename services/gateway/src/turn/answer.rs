use claw_agent::{CallError, History, RunFailure};
use claw_bus::HandlerError;
use claw_domain::{MessageId, ReplyId, SandboxId};
use claw_store::NewReply;

/// The result of a turn.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A text, and the id of the transcript row that ends it.
    Said {
        reply: NewReply,
        row: String,
    },
    /// The assistant chose to say nothing.
    Silent,
    Failed(RunFailure),
    /// The run was aborted, or its answer was cut off and will not come.
    Lost,
    /// As [`Answer::Lost`], because the user said "stop".
    Stopped,
    /// As [`Answer::Lost`], because the caller spoke over the answer.
    SpokenOver,
}

#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) answer: Answer,
    /// The transcript in which the answer was found; it also holds proactive messages.
    pub(crate) history: Option<Box<History>>,
}

impl Answer {
    /// The id of the transcript row that ends the answer.
    pub(crate) fn row(&self) -> Option<&str> {
        match self {
            Self::Said { row, .. } => Some(row),
            Self::Silent | Self::Failed(_) | Self::Lost | Self::Stopped | Self::SpokenOver => None,
        }
    }

    /// A turn that ended with this answer, found without the transcript.
    pub(super) const fn without_history(self) -> Ended {
        Ended {
            answer: self,
            history: None,
        }
    }
}

/// The id of the reply to a turn. It depends neither on the text nor on the replica.
pub(crate) fn answer_id(sandbox: SandboxId, first: MessageId) -> ReplyId {
    ReplyId::derived_from(&format!("answer:{sandbox}:{first}"))
}

/// Retries after a failed request, no earlier than OpenClaw asked for. The retried turn first looks for its
/// run in the transcript.
pub(crate) fn retry(error: CallError) -> HandlerError {
    match &error {
        CallError::Refused(refusal) => match refusal.retry_after {
            Some(after) => HandlerError::retry_after(error, after),
            None => error.into(),
        },
        CallError::NotSent(_) | CallError::Unknown(_) => error.into(),
    }
}
