use std::time::Duration;

use claw_domain::Sensitive;
use serde::Deserialize;

use crate::{Activity, frame::lenient, transcript::WireSession};

/// A person's message.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatSend {
    /// The canonical session key, [`crate::MAIN_SESSION`].
    pub session: String,
    /// The run key: the message's id. The transcript knows the question and its answer by it.
    pub run: String,
    /// What the person wrote. Never taken for a command.
    pub text: Sensitive<String>,
    /// After this long the gateway ends the turn with an error.
    pub timeout: Duration,
    /// A note for the model alone, put before the text ("this was spoken on the phone").
    pub note: Option<Sensitive<String>>,
}

/// What the gateway makes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendStatus {
    /// It takes it up, or queues it behind another turn.
    Started,
    /// It is at it already.
    InFlight,
    /// It has answered it within the last five minutes: no event will come, read the transcript.
    AlreadyDone,
}

/// What the gateway remembers of a run. Its memory ends with its process, or after some minutes.
#[derive(Debug, Clone, PartialEq)]
pub enum WaitOutcome {
    /// It ended. The text is that of its last row only, and absent if it was silent, queued or
    /// absorbed by another run.
    Done {
        /// Its last words.
        text: Option<Sensitive<String>>,
    },
    /// It ended in an error, in a time-out, or was stopped.
    Failed,
    /// It still runs, or the gateway does not know it: the two cannot be told apart.
    Unknown,
}

/// A session and what it is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionActivity {
    /// The canonical key.
    pub session: String,
    /// What runs.
    pub activity: Activity,
}

#[derive(Deserialize)]
pub(super) struct ChatSendAnswer {
    status: String,
}

impl ChatSendAnswer {
    /// Whatever a later gateway may say besides: it has the message.
    pub(super) fn status(&self) -> SendStatus {
        match self.status.as_str() {
            "started" => SendStatus::Started,
            "ok" => SendStatus::AlreadyDone,
            _ => SendStatus::InFlight,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct AbortAnswer {
    pub(super) aborted: bool,
}

#[derive(Deserialize)]
pub(super) struct SessionsAnswer {
    sessions: Vec<WireSession>,
}

impl SessionsAnswer {
    pub(super) fn sessions(self) -> Vec<SessionActivity> {
        self.sessions
            .into_iter()
            .filter_map(|mut session| {
                Some(SessionActivity {
                    session: session.key.take()?,
                    activity: session.activity(),
                })
            })
            .collect()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WaitAnswer {
    status: String,
    #[serde(default, deserialize_with = "lenient")]
    ended_at: Option<u64>,
    #[serde(default, deserialize_with = "lenient")]
    terminal_reply: Option<TerminalReply>,
}

#[derive(Deserialize)]
struct TerminalReply {
    #[serde(default, deserialize_with = "lenient")]
    text: Option<String>,
}

impl WaitAnswer {
    /// `timeout` with an end is a run that timed out; without one it says nothing at all.
    pub(super) fn outcome(self) -> WaitOutcome {
        match (self.status.as_str(), self.ended_at) {
            ("ok", _) => WaitOutcome::Done {
                text: self
                    .terminal_reply
                    .and_then(|reply| reply.text)
                    .map(Into::into),
            },
            ("error", _) | (_, Some(_)) => WaitOutcome::Failed,
            _ => WaitOutcome::Unknown,
        }
    }
}
