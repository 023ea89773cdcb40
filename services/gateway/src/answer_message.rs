use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use claw_agent::{Cursor, pause_before};
use claw_bus::{Attempt, Handler, HandlerError, Publisher};
use claw_domain::{MessageId, SandboxId, Sensitive};
use claw_events::{MessageReceived, SandboxRequested, TypingStarted};
use claw_runtime::Clock;
use claw_store::{NewReply, Received, Sandbox, Store, TranscriptCursor};
use metrics::counter;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use crate::{
    agents::{Agents, SessionError},
    nudges::Nudges,
    plan::{Plan, plan},
    record::record,
    session::Session,
    setup::Setup,
    tell::{Teller, say},
    turn::{Answer, Turn},
    words::{Notice, notice_of_failure},
};

/// How long the real message behind a placeholder is waited for. It comes within some 200 ms, or
/// never (seen by integrators; Meta does not document it).
const REAL_MESSAGE_PATIENCE: Duration = Duration::from_secs(4);

/// Meta shows typing for 25 s at most.
const TYPING_EVERY: Duration = Duration::from_secs(20);

/// How long to wait before a sandbox that does not accept us is tried again: ten bad tries in a
/// minute lock us out for five.
const REFUSED_PAUSE: Duration = Duration::from_mins(5);

/// Answers each message: by the person's assistant, or by a line of our own.
pub struct AnswerMessage {
    pub(crate) store: Store,
    pub(crate) publisher: Publisher,
    pub(crate) agents: Agents,
    pub(crate) nudges: Nudges,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) turn_limit: Duration,
}

/// What a message is answered with, and where the transcript was read to for it.
#[derive(Default)]
struct Outcome {
    replies: Vec<NewReply>,
    cursor: Option<(SandboxId, TranscriptCursor)>,
}

#[async_trait]
impl Handler for AnswerMessage {
    type Event = MessageReceived;

    async fn handle(
        &self,
        message: &MessageReceived,
        attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        let inbound = record(message, self.clock.now());
        let received = self.store.messages().receive(&inbound).await?;
        if received.complete {
            return self.say_again(message).await;
        }
        let teller = Teller::new(&self.publisher, message);
        let outcome = match plan(message) {
            Plan::Ask(text) => self.ask(message, &text, received, attempt, &teller).await?,
            Plan::Say(notice) => self.say(message, notice, &received).await?,
            Plan::Keep => Outcome::default(),
            Plan::AwaitTheReal => self.await_the_real(message, &received).await?,
        };
        self.finish(message, outcome, teller).await
    }

    /// The message is kept for people to look at; its sender hears that no answer will come of it.
    async fn given_up(&self, message: &MessageReceived) -> Result<(), HandlerError> {
        let outcome = Outcome::saying(Notice::LostThread, message.id);
        let teller = Teller::new(&self.publisher, message);
        self.finish(message, outcome, teller).await
    }
}

impl AnswerMessage {
    /// Puts the message to the assistant, once there is one.
    async fn ask(
        &self,
        message: &MessageReceived,
        text: &Sensitive<String>,
        received: Received,
        attempt: &Attempt,
        teller: &Teller<'_>,
    ) -> Result<Outcome, HandlerError> {
        let may_have_been_sent = !received.fresh;
        let setup = Setup {
            store: &self.store,
            publisher: &self.publisher,
            nudges: &self.nudges,
        };
        let sandbox = setup
            .ready_sandbox(
                (message.user, message.id),
                (received.sandbox, received.first_contact),
                attempt,
                teller,
            )
            .await?;
        let session = self.session(&sandbox, attempt, teller).await?;
        let turn = Turn {
            session: &session,
            sandbox: sandbox.id,
            message: message.id,
            text,
            before: sandbox
                .transcript
                .as_ref()
                .map(|read_to| Cursor::new(read_to.cursor.as_str())),
            limit: self.turn_limit,
        };
        let answer = tokio::select! {
            answer = turn.take(may_have_been_sent) => answer?,
            () = self.show_typing(message) => unreachable!("typing is shown until the turn ends"),
        };
        Ok(Outcome {
            replies: reply_to(message.id, answer),
            cursor: cursor_of(&session).map(|cursor| (sandbox.id, cursor)),
        })
    }

    async fn session(
        &self,
        sandbox: &Sandbox,
        attempt: &Attempt,
        teller: &Teller<'_>,
    ) -> Result<Arc<Session>, HandlerError> {
        let error = match self.agents.session(sandbox).await {
            Ok(session) => return Ok(session),
            Err(error) => error,
        };
        // The database being away is not the sandbox's doing.
        if matches!(error, SessionError::Store(_)) {
            return Err(HandlerError::retry(error));
        }
        let pause = pause_before(error.retry(), attempt.number, rand::random());
        if pause.is_none() {
            error!(
                sandbox.id = %sandbox.id,
                error = &error as &dyn std::error::Error,
                "sandbox {} does not accept us: its token or device must be looked at",
                sandbox.id
            );
            teller.tell(Notice::SetupTrouble).await?;
        }
        Err(HandlerError::retry_after(
            error,
            pause.unwrap_or(REFUSED_PAUSE),
        ))
    }

    /// A line of our own; opening the chat also has the assistant made before the first question.
    async fn say(
        &self,
        message: &MessageReceived,
        notice: Notice,
        received: &Received,
    ) -> Result<Outcome, HandlerError> {
        if notice == Notice::Welcome && received.sandbox.is_none() {
            let request = SandboxRequested {
                user: message.user,
                cause: message.id,
                attempt: 0,
            };
            self.publisher.publish(&request).await?;
        }
        Ok(Outcome::saying(notice, message.id))
    }

    /// The first time, lets the real message go first; the second time, asks for it if it never came.
    async fn await_the_real(
        &self,
        message: &MessageReceived,
        received: &Received,
    ) -> Result<Outcome, HandlerError> {
        let age = (self.clock.now() - message.sent_at)
            .to_std()
            .unwrap_or_default();
        if received.fresh || age < REAL_MESSAGE_PATIENCE {
            return Err(HandlerError::defer(REAL_MESSAGE_PATIENCE));
        }
        let real = MessageId::derived_from(message.wamid.as_str());
        if self.store.messages().exists(message.user, real).await? {
            return Ok(Outcome::default());
        }
        Ok(Outcome::saying(Notice::PleaseResend, message.id))
    }

    /// Stores what was said, then says it: a crash in between says it again under the same id.
    async fn finish(
        &self,
        message: &MessageReceived,
        outcome: Outcome,
        teller: Teller<'_>,
    ) -> Result<(), HandlerError> {
        let told = teller.into_told();
        let all: Vec<NewReply> = told.iter().chain(&outcome.replies).cloned().collect();
        let now = self.clock.now();
        self.store
            .messages()
            .complete(message.user, message.id, &all, outcome.cursor, now)
            .await?;
        for reply in &outcome.replies {
            say(&self.publisher, message, reply).await?;
        }
        let said = if outcome.replies.is_empty() {
            "nothing"
        } else {
            "reply"
        };
        counter!("claw_messages_total", "kind" => message.content.kind(), "outcome" => said)
            .increment(1);
        info!(user.id = %message.user, message.id = %message.id, "{} is answered", message.id);
        Ok(())
    }

    async fn say_again(&self, message: &MessageReceived) -> Result<(), HandlerError> {
        let replies = self
            .store
            .messages()
            .replies_to(message.user, message.id)
            .await?;
        for reply in replies {
            if self.store.deliveries().has_begun(reply.id).await? {
                continue;
            }
            let reply = NewReply {
                id: reply.id,
                text: reply.text,
                source: reply.source,
                run_id: None,
            };
            say(&self.publisher, message, &reply).await?;
        }
        Ok(())
    }

    /// Marks the message read and shows typing, again and again, until dropped.
    async fn show_typing(&self, message: &MessageReceived) {
        let signal = TypingStarted {
            user: message.user,
            wamid: message.wamid.clone(),
        };
        let mut ticks = interval(TYPING_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.publisher.signal(&signal).await;
        }
    }
}

impl Outcome {
    fn saying(notice: Notice, cause: MessageId) -> Self {
        Self {
            replies: vec![notice.because_of(cause)],
            cursor: None,
        }
    }
}

fn reply_to(message: MessageId, answer: Answer) -> Vec<NewReply> {
    let (label, replies) = match answer {
        Answer::Said(reply) => ("said", vec![reply]),
        Answer::Silent => ("silent", Vec::new()),
        Answer::Failed(failure) => {
            let notice = notice_of_failure(failure);
            (failure.as_str(), vec![notice.because_of(message)])
        }
        Answer::Lost => ("lost", vec![Notice::LostThread.because_of(message)]),
    };
    counter!("claw_turns_total", "outcome" => label).increment(1);
    replies
}

fn cursor_of(session: &Session) -> Option<TranscriptCursor> {
    let cursor = session.cursor()?;
    Some(TranscriptCursor {
        cursor: cursor.as_str().to_owned(),
        boot_id: session.handle().boot_id().to_owned(),
    })
}
