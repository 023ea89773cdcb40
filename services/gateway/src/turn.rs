use std::time::Duration;

use anyhow::anyhow;
use claw_agent::{
    CallError, ChatSend, Cursor, History, MAIN_SESSION, RunFailure, SendStatus, Standing, standing,
    whole_text,
};
use claw_bus::HandlerError;
use claw_domain::{MessageId, ReplyId, ReplySource, SandboxId, Sensitive};
use claw_store::NewReply;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, sleep, timeout_at},
};
use tracing::error;

use crate::session::{Ending, Session};

/// How long a heartbeat or cron turn that is under way is waited for before ours is sent.
const IDLE_PATIENCE: Duration = Duration::from_mins(2);

/// Over the limit we give the gateway: it ends the run itself, and says so.
const LIMIT_MARGIN: Duration = Duration::from_secs(30);

/// How long a turn that a restart interrupted may stay without a sign of being taken up again.
/// Measured: seconds after the gateway is ready.
const RESUMPTION_PATIENCE: Duration = Duration::from_mins(1);

/// How often the transcript is read while nothing tells us to: an interrupted turn is taken up
/// again under an id we do not know.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Keys tried for one message: each is spent only by a gateway that was killed at its very begin.
const KEYS: u32 = 4;

/// A final event may be a moment ahead of its row.
const ROW_PATIENCE: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(2),
];

/// What came of putting a message to the assistant.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It said this.
    Said(NewReply),
    /// It chose to say nothing.
    Silent,
    /// The model could not answer.
    Failed(RunFailure),
    /// The answer was cut off and will not come.
    Lost,
}

/// One message put to one assistant. The run key is the message's id, for ever: whatever dies, the
/// transcript tells whether this message was taken and what was said to it.
pub(crate) struct Turn<'a> {
    pub(crate) session: &'a Session,
    pub(crate) sandbox: SandboxId,
    pub(crate) message: MessageId,
    pub(crate) text: &'a Sensitive<String>,
    /// Where the transcript had been read to before this message was first seen, if it was stored.
    pub(crate) before: Option<Cursor>,
    pub(crate) limit: Duration,
}

/// One try to put a message, under a key of its own.
struct Try<'a> {
    turn: &'a Turn<'a>,
    run: String,
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

impl Turn<'_> {
    /// Takes the turn to its end. `may_have_been_sent` is false only when this message was never
    /// seen before: then the transcript need not be searched for it.
    pub(crate) async fn take(&self, may_have_been_sent: bool) -> Result<Answer, HandlerError> {
        for number in 0..KEYS {
            let attempt = Try {
                turn: self,
                run: run_key(self.message, number),
            };
            // A further key may have been used in an earlier life of ours.
            if let Some(answer) = attempt.take(may_have_been_sent || number > 0).await? {
                return Ok(answer);
            }
        }
        Ok(Answer::Lost)
    }
}

/// The message's id; a further key when a killed gateway has spent the one before.
fn run_key(message: MessageId, number: u32) -> String {
    match number {
        0 => message.to_string(),
        _ => format!("{message}-{number}"),
    }
}

impl Try<'_> {
    /// `None` when the key is spent and the message was not begun under it.
    async fn take(&self, may_have_been_sent: bool) -> Result<Option<Answer>, HandlerError> {
        let endings = self.session().endings();
        let before = self.turn.before.clone();
        if may_have_been_sent {
            match self.look_back().await? {
                Judgement::NeverSent => {}
                Judgement::Ended(answer) => return Ok(Some(answer)),
                Judgement::Running | Judgement::Interrupted => {
                    let answer = self.await_answer(endings, before, LOOK_EVERY);
                    return answer.await.map(Some);
                }
            }
        }
        self.session().idle(IDLE_PATIENCE).await;
        let since = self.session().cursor();
        let answer = match self.send().await? {
            Sent::Taken(SendStatus::Started | SendStatus::InFlight) => {
                // It tells its end by itself; the limit is only for what nobody thought of.
                self.await_answer(endings, since, self.turn.limit).await?
            }
            // Finished before we asked, or queued behind another: there may be no event.
            Sent::Taken(SendStatus::AlreadyDone) => {
                self.await_answer(endings, before, LOOK_EVERY).await?
            }
            Sent::KeySpent => return Ok(None),
            Sent::Refused => Answer::Lost,
        };
        Ok(Some(answer))
    }

    const fn session(&self) -> &Session {
        self.turn.session
    }

    async fn send(&self) -> Result<Sent, HandlerError> {
        let send = ChatSend {
            session: MAIN_SESSION.to_owned(),
            run: self.run.clone(),
            text: self.turn.text.clone(),
            timeout: self.turn.limit,
            note: None,
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
    async fn await_answer(
        &self,
        mut endings: Receiver<Ending>,
        since: Option<Cursor>,
        look_every: Duration,
    ) -> Result<Answer, HandlerError> {
        let ends_at = Instant::now() + self.turn.limit + LIMIT_MARGIN;
        let mut interrupted_since = None;
        loop {
            let look_at = (Instant::now() + look_every).min(ends_at);
            let text = match self.next_ending(&mut endings, look_at).await? {
                Some(Ending::Failed { run, failure }) if run == self.run => {
                    return Ok(Answer::Failed(failure));
                }
                Some(Ending::Aborted { run }) if run == self.run => return Ok(Answer::Lost),
                Some(Ending::Final { run, text }) if run == self.run && text.is_some() => text,
                // Another's ending, a silent one of ours, or nothing for a while: the transcript knows.
                Some(_) | None => None,
            };
            if text.is_some() {
                return self.read(since.as_ref(), text).await;
            }
            match self.look(since.as_ref()).await? {
                Judgement::Ended(answer) => return Ok(answer),
                Judgement::NeverSent => {
                    return Err(HandlerError::retry(anyhow!(
                        "the message is not in the transcript any more"
                    )));
                }
                Judgement::Running => interrupted_since = None,
                Judgement::Interrupted => {
                    let since = *interrupted_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= RESUMPTION_PATIENCE {
                        return Ok(Answer::Lost);
                    }
                }
            }
            if Instant::now() >= ends_at {
                return Ok(Answer::Lost);
            }
        }
    }

    /// The next ending, or `None` at `look_at` or when some were missed.
    async fn next_ending(
        &self,
        endings: &mut Receiver<Ending>,
        look_at: Instant,
    ) -> Result<Option<Ending>, HandlerError> {
        let next = tokio::select! {
            next = timeout_at(look_at, endings.recv()) => next,
            reason = self.session().handle().closed() => {
                return Err(HandlerError::retry(anyhow!("the connection closed in a turn: {reason}")));
            }
        };
        match next {
            Ok(Ok(ending)) => Ok(Some(ending)),
            Ok(Err(RecvError::Lagged(_))) | Err(_) => Ok(None),
            Ok(Err(RecvError::Closed)) => Err(HandlerError::retry(anyhow!(
                "the connection closed in a turn"
            ))),
        }
    }

    /// Finds the rows of a run that has ended; the final event may be a moment ahead of them.
    async fn read(
        &self,
        since: Option<&Cursor>,
        said: Option<Sensitive<String>>,
    ) -> Result<Answer, HandlerError> {
        for pause in ROW_PATIENCE {
            let history = self.session().read_since(since).await.map_err(again)?;
            if let Judgement::Ended(answer) = self.judge(&history, said.as_ref()) {
                self.session().advance(&history);
                return Ok(answer);
            }
            sleep(pause).await;
        }
        // The transcript keeps the answer from us, but we heard it.
        Ok(said.map_or(Answer::Lost, |text| Answer::Said(self.reply("final", text))))
    }

    /// Searches the transcript for a message that may have been sent in an earlier life. Everything
    /// since the place stored before it is proof; a page is, when there is nothing older.
    async fn look_back(&self) -> Result<Judgement, HandlerError> {
        let history = self.session().read_since(self.turn.before.as_ref()).await;
        let history = history.map_err(again)?;
        let judgement = self.judge(&history, None);
        if !matches!(judgement, Judgement::NeverSent) || !history.has_more {
            return Ok(judgement);
        }
        let history = self.session().read_far_back().await.map_err(again)?;
        Ok(match self.judge(&history, None) {
            // It may lie further back still, and a message must not be put twice.
            Judgement::NeverSent if history.has_more => Judgement::Ended(Answer::Lost),
            judgement @ (Judgement::NeverSent
            | Judgement::Running
            | Judgement::Interrupted
            | Judgement::Ended(_)) => judgement,
        })
    }

    async fn look(&self, since: Option<&Cursor>) -> Result<Judgement, HandlerError> {
        let history = self.session().read_since(since).await.map_err(again)?;
        let judgement = self.judge(&history, None);
        if matches!(judgement, Judgement::Ended(_)) {
            self.session().advance(&history);
        }
        Ok(judgement)
    }

    /// What the transcript says about this message. `said` is the text as heard live, which is whole
    /// where a row may have been cut.
    fn judge(&self, history: &History, said: Option<&Sensitive<String>>) -> Judgement {
        match standing(history, &self.run) {
            Standing::Unknown => Judgement::NeverSent,
            Standing::Running => Judgement::Running,
            Standing::Interrupted => Judgement::Interrupted,
            Standing::Silent => Judgement::Ended(Answer::Silent),
            Standing::Failed => Judgement::Ended(Answer::Lost),
            Standing::Answered(rows) => {
                let is_cut = rows.iter().any(|row| row.is_cut);
                let text = said.filter(|_| is_cut).cloned();
                let text = text.unwrap_or_else(|| whole_text(&rows));
                let last = rows.last().map_or("none", |row| row.id.as_str());
                Judgement::Ended(Answer::Said(self.reply(last, text)))
            }
        }
    }

    /// The reply's id follows from the transcript row, so that it is said once.
    fn reply(&self, row: &str, text: Sensitive<String>) -> NewReply {
        let run = &self.run;
        NewReply {
            id: ReplyId::derived_from(&format!("row:{}:{run}:{row}", self.turn.sandbox)),
            text,
            source: ReplySource::Chat,
            run_id: Some(run.clone()),
        }
    }
}

/// What the transcript says about a message.
enum Judgement {
    /// The assistant never had it: sending it is safe.
    NeverSent,
    /// It is being answered, or waits for its turn.
    Running,
    /// It was taken and nothing goes on: it is about to be taken up again, or never will be.
    Interrupted,
    /// It is over.
    Ended(Answer),
}

/// The connection is of no use any more, or busy: try the turn again, beginning with a look.
fn again(error: CallError) -> HandlerError {
    match &error {
        CallError::Refused(refusal) => match refusal.retry_after {
            Some(after) => HandlerError::retry_after(error, after),
            None => HandlerError::retry(error),
        },
        CallError::NotSent(_) | CallError::Unknown(_) => HandlerError::retry(error),
    }
}
