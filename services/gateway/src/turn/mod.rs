//! Sends a batch of messages to an assistant and finds its answer, even if the gateway or OpenClaw crashes
//! meanwhile.

mod answer;
mod attempt;
mod reading;
mod request;

use claw_bus::HandlerError;

pub(crate) use answer::{Answer, Ended, answer_id, retry};
use reading::{Run, RunState};
use request::MAX_RUN_KEYS;
pub(crate) use request::{Turn, TurnLimits};

impl Turn<'_> {
    /// Runs the turn to its end. `may_have_been_sent` may be false only if these messages were certainly
    /// never sent: then the transcript is not searched for them.
    pub(crate) async fn run(&self, may_have_been_sent: bool) -> Result<Ended, HandlerError> {
        for number in 0..MAX_RUN_KEYS {
            // A process that owned this user earlier may have used a further run key.
            let may_have_been_sent = may_have_been_sent || number > 0;
            if let Some(ended) = Run::new(self, number).attempt(may_have_been_sent).await? {
                return Ok(ended);
            }
        }
        Ok(Answer::Lost.without_history())
    }

    /// Whether the assistant ever received these messages, under any run key.
    pub(crate) async fn was_sent(&self) -> Result<bool, HandlerError> {
        for number in 0..MAX_RUN_KEYS {
            let state = Run::new(self, number).look_back().await?;
            if !matches!(state, RunState::NeverSent) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
