use std::time::Duration;

use claw_agent::{History, Interruption, RunStatus, run_status, whole_text};
use claw_bus::HandlerError;
use claw_domain::{ReplySource, Sensitive};
use claw_store::{Disposition, NewReply};
use tokio::time::sleep;

use super::{Answer, Ended, again, answer_id, attempt::Try};

/// A final event may be a moment ahead of its row.
const ROW_RETRY_PAUSES: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(2),
];

/// What the transcript says about a message.
pub(super) enum Judgement {
    /// The assistant never had it: sending it is safe.
    NeverSent,
    /// It is being answered, or waits for its turn.
    Running,
    /// A crash of the gateway cut it off. Once marked it is certain to be taken up again.
    Interrupted { is_marked: bool },
    /// A crash came before it began: it will not be taken up again.
    Abandoned,
    /// It is over.
    Ended(Ended),
}

impl Try<'_> {
    /// Finds the rows of a run that has ended; the final event may be a moment ahead of them.
    pub(super) async fn read(
        &self,
        said: Option<Sensitive<String>>,
    ) -> Result<Ended, HandlerError> {
        for pause in ROW_RETRY_PAUSES {
            let history = self.read_since().await?;
            if let Judgement::Ended(ended) = self.judge(history, said.as_ref()) {
                return Ok(ended);
            }
            sleep(pause).await;
        }
        // The transcript keeps the answer from us, but we heard it.
        let answer = said.map_or(Answer::Lost, |text| Answer::Said {
            reply: self.reply(text),
            row: "final".to_owned(),
        });
        Ok(answer.unread())
    }

    /// Searches the transcript for a message that may have been sent in an earlier life. Everything
    /// since the place stored before it is proof; a page is, when there is nothing older.
    pub(super) async fn look_back(&self) -> Result<Judgement, HandlerError> {
        let history = self.read_since().await?;
        let has_more = history.has_more;
        let judgement = self.judge(history, None);
        if !matches!(judgement, Judgement::NeverSent) || !has_more {
            return Ok(judgement);
        }
        let history = self.session().read_far_back().await.map_err(again)?;
        let has_more = history.has_more;
        Ok(match self.judge(history, None) {
            // It may lie further back still, and a message must not be put twice.
            Judgement::NeverSent if has_more => Judgement::Ended(Answer::Lost.unread()),
            judgement @ (Judgement::NeverSent
            | Judgement::Running
            | Judgement::Interrupted { .. }
            | Judgement::Abandoned
            | Judgement::Ended(_)) => judgement,
        })
    }

    pub(super) async fn look(&self) -> Result<Judgement, HandlerError> {
        let history = self.read_since().await?;
        Ok(self.judge(history, None))
    }

    async fn read_since(&self) -> Result<History, HandlerError> {
        let history = self.session().read_since(self.turn.before).await;
        history.map_err(again)
    }

    /// What the transcript says about this turn. `said` is the text as heard live, which is whole
    /// where a row may have been cut.
    fn judge(&self, history: History, said: Option<&Sensitive<String>>) -> Judgement {
        let answer = match run_status(&history, &self.run) {
            RunStatus::Unknown => return Judgement::NeverSent,
            RunStatus::Running => return Judgement::Running,
            RunStatus::Interrupted => {
                let is_marked = history.activity.interruption == Interruption::Marked;
                return Judgement::Interrupted { is_marked };
            }
            RunStatus::Abandoned => return Judgement::Abandoned,
            RunStatus::Silent => Answer::Silent,
            RunStatus::Failed => Answer::Lost,
            RunStatus::Answered(rows) => {
                let is_cut = rows.iter().any(|row| row.is_cut);
                let text = said.filter(|_| is_cut).cloned();
                let text = text.unwrap_or_else(|| whole_text(&rows));
                let row = rows.last().map_or("none", |row| row.id.as_str());
                Answer::Said {
                    reply: self.reply(text),
                    row: row.to_owned(),
                }
            }
        };
        Judgement::Ended(Ended {
            answer,
            history: Some(Box::new(history)),
        })
    }

    /// The answer to a turn has one id, whatever of it is seen by whom: it is said once.
    fn reply(&self, text: Sensitive<String>) -> NewReply {
        let run = &self.run;
        NewReply {
            id: answer_id(self.turn.sandbox, self.turn.message),
            text,
            source: ReplySource::Chat,
            run_id: Some(run.clone()),
            cause: Some(self.turn.message),
            disposition: Disposition::Published,
        }
    }
}
