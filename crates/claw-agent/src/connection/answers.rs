use std::time::Duration;

use claw_domain::Sensitive;
use serde::Deserialize;

/// A user's message to the assistant.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatSend {
    /// The canonical session key, [`crate::MAIN_SESSION`].
    pub session: String,
    /// The run key, derived from the message. The transcript names the question and its answer by it.
    pub run: String,
    /// The text. OpenClaw never takes it for a command.
    pub text: Sensitive<String>,
    /// The time after which OpenClaw ends the run with an error.
    pub timeout: Duration,
    /// A note for the model only, put before the text ("this was spoken on the phone").
    pub note: Option<Sensitive<String>>,
}

/// The status of a message that OpenClaw accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendStatus {
    /// OpenClaw begins the run, or queues it behind another run.
    Started,
    /// The run is already in progress.
    InFlight,
    /// OpenClaw answered the message within the last five minutes. No event will follow: read
    /// the transcript.
    AlreadyDone,
}

#[derive(Deserialize)]
pub(super) struct ChatSendAnswer {
    status: String,
}

impl ChatSendAnswer {
    /// A status unknown to us still means that OpenClaw has the message.
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
pub(super) struct WakeAnswer {
    pub(super) ok: bool,
}
