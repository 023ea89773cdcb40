use std::time::Duration;

use claw_agent::{History, Interruption, RunStatus, run_status, whole_text};
use claw_bus::HandlerError;
use claw_domain::{ReplySource, ReplyText};
use claw_store::{Disposition, NewReply};
use tokio::time::sleep;

use super::{
    answer::{Answer, Ended, answer_id, retry},
    request::Turn,
};

/// Pauses between readings for the row of a run that has ended: the final event may come a moment earlier.
const ROW_RETRY_PAUSES: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(2),
];

/// A turn under one run key.
pub(super) struct Run<'a> {
    pub(super) turn: &'a Turn<'a>,
    pub(super) key: String,
}

/// The state of a run: as [`RunStatus`], but all ends of a run are one case, with the answer and the
/// transcript.
pub(super) enum RunState {
    /// The assistant never received the messages: sending them is safe.
    NeverSent,
    /// The run is active or queued.
    Running,
    /// OpenClaw crashed during the run. Once the run is marked, OpenClaw is certain to resume it.
    Interrupted { is_marked: bool },
    /// OpenClaw crashed before the run began, and will not resume it.
    Abandoned,
    /// The run has ended.
    Ended(Ended),
}

impl<'a> Run<'a> {
    pub(super) fn new(turn: &'a Turn<'a>, number: u32) -> Self {
        Self {
            turn,
            key: turn.run_key(number),
        }
    }

    /// Reads the rows of a run that has ended with the text `said`.
    pub(super) async fn read_ended(&self, said: ReplyText) -> Result<Ended, HandlerError> {
        for pause in ROW_RETRY_PAUSES {
            let history = self.read_since().await?;
            if let RunState::Ended(ended) = self.state(history, Some(&said)) {
                return Ok(ended);
            }
            sleep(pause).await;
        }
        // The transcript lacks the answer, but the final event had it.
        let answer = Answer::Said {
            reply: self.reply(said),
            row: "final".to_owned(),
        };
        Ok(answer.without_history())
    }

    /// Searches the transcript for messages that an earlier process may have sent. If the rows since the
    /// stored cursor lack these, they were not sent; a page of rows proves that only if there are no older
    /// rows.
    pub(super) async fn look_back(&self) -> Result<RunState, HandlerError> {
        let history = self.read_since().await?;
        let has_more = history.has_more;
        let state = self.state(history, None);
        if !matches!(state, RunState::NeverSent) || !has_more {
            return Ok(state);
        }
        let history = self.turn.session.read_far_back().await.map_err(retry)?;
        let has_more = history.has_more;
        let state = self.state(history, None);
        // The messages may be further back still, and must not be sent twice.
        if matches!(state, RunState::NeverSent) && has_more {
            return Ok(RunState::Ended(Answer::Lost.without_history()));
        }
        Ok(state)
    }

    /// The state of the run by the rows since the turn began.
    pub(super) async fn look(&self) -> Result<RunState, HandlerError> {
        let history = self.read_since().await?;
        Ok(self.state(history, None))
    }

    async fn read_since(&self) -> Result<History, HandlerError> {
        let history = self.turn.session.read_since(self.turn.before).await;
        history.map_err(retry)
    }

    /// `said` is the text of the final event, which is whole even if a row was cut.
    fn state(&self, history: History, said: Option<&ReplyText>) -> RunState {
        let answer = match run_status(&history, &self.key) {
            RunStatus::Unknown => return RunState::NeverSent,
            RunStatus::Running => return RunState::Running,
            RunStatus::Interrupted => {
                let is_marked = history.activity.interruption == Interruption::Marked;
                return RunState::Interrupted { is_marked };
            }
            RunStatus::Abandoned => return RunState::Abandoned,
            RunStatus::Silent => Answer::Silent,
            RunStatus::Failed => Answer::Lost,
            RunStatus::Answered(rows) => {
                let is_cut = rows.iter().any(|row| row.is_cut);
                let text = said.filter(|_| is_cut).cloned();
                let text = text.unwrap_or_else(|| whole_text(&rows).into());
                let row = rows.last().map_or("none", |row| row.id.as_str());
                Answer::Said {
                    reply: self.reply(text),
                    row: row.to_owned(),
                }
            }
        };
        RunState::Ended(Ended {
            answer,
            history: Some(Box::new(history)),
        })
    }

    /// The reply to the turn. Its id does not depend on the text, so that one reply is sent even if two
    /// replicas read different parts of the answer.
    fn reply(&self, text: ReplyText) -> NewReply {
        NewReply {
            id: answer_id(self.turn.sandbox, self.turn.message),
            text,
            source: ReplySource::Chat,
            run_id: Some(self.key.clone()),
            cause: Some(self.turn.message),
            disposition: Disposition::Published,
        }
    }
}
