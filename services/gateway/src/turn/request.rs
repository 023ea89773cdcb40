use std::time::Duration;

use claw_agent::{Cursor, MAIN_SESSION};
use claw_bus::Tenure;
use claw_domain::{CallId, MessageId, SandboxId, Sensitive};
use tracing::warn;

use crate::session::Session;

/// Most run keys tried for one message. OpenClaw spends a key only if it is killed just as the run begins.
pub(super) const MAX_RUN_KEYS: u32 = 4;

/// How long a turn may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TurnLimits {
    /// In all. OpenClaw ends the run itself after this time.
    pub(crate) total: Duration,
    /// Without any activity in the sandbox. A model provider's retries are silent for up to 130 s.
    pub(crate) idle: Duration,
}

/// A batch of messages to send to an assistant. The run key is always the id of the first message, so that
/// the transcript tells after any crash whether the batch was sent and how it was answered.
pub(crate) struct Turn<'a> {
    pub(crate) session: &'a Session,
    pub(crate) tenure: &'a Tenure,
    pub(crate) sandbox: SandboxId,
    /// The first message of the batch.
    pub(crate) message: MessageId,
    pub(crate) text: &'a Sensitive<String>,
    /// The call to which the answer is streamed, and its turn.
    pub(crate) call: Option<(CallId, u32)>,
    /// A note to the assistant on how the messages arrived.
    pub(crate) note: Option<Sensitive<String>>,
    /// How far the transcript had been read before the turn.
    pub(crate) before: Option<&'a Cursor>,
    /// The run of an earlier process was aborted because the user was suspended: the messages are sent again.
    pub(crate) asks_again: bool,
    pub(crate) limits: TurnLimits,
}

impl Turn<'_> {
    /// Stops this turn under the id that its run has by now. Returns whether a run was stopped.
    pub(crate) async fn stop(&self) -> bool {
        let handle = self.session.handle();
        let ours = (0..MAX_RUN_KEYS).map(|number| Some(self.run_key(number)));
        // A run resumed after a crash, or queued behind another, has an id we do not know.
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

    /// The message's id; with a suffix if OpenClaw has spent the earlier keys.
    pub(super) fn run_key(&self, number: u32) -> String {
        match number {
            0 => self.message.to_string(),
            _ => format!("{}-{number}", self.message),
        }
    }
}
