//! One actor per user. It sends the user's messages to their assistant, one turn at a time, and passes on
//! the assistant's proactive messages. Its state can be lost at any time: messages are in the database,
//! answers in the sandbox's transcript.

mod ask;
mod call;
mod command;
mod connection;
mod progress;
mod readiness;
mod rest;
mod settle;
mod settling;
mod suspended;
mod transcript;

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use claw_bus::{HandlerError, Tenure};
use claw_chat::{Item, Next, next};
use claw_domain::{Backoff, MessageId, SandboxId, UserId};
use claw_events::{OperatorEvent, SandboxOrder};
use claw_metrics::SANDBOX_FLOODS;
use claw_store::{NewReply, Sandbox, Suspension};
use futures_util::FutureExt;
use rand::random;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until},
};
use tracing::{Instrument, info_span, warn};

use crate::{
    agents::SessionError,
    context::Context,
    item::item_of_stored,
    mailbox::{Inbox, Mailbox},
    provisioning::SetupNotice,
    session::Session,
    suspensions::Scope,
};
use connection::Connection;
use rest::RestState;
use settling::Settling;

/// Most unanswered messages read at once.
const WAITING_READ: u32 = 64;

/// The pauses after failures that name no pause. The longest is also how long a user may still wait after a
/// failed dependency has recovered.
const RETRY: Backoff = Backoff {
    first: Duration::from_millis(100),
    longest: Duration::from_secs(5),
};

/// The actor of one user. It lives while the user has unanswered messages or a running sandbox.
pub(crate) struct UserActor {
    context: Arc<Context>,
    user: UserId,
    tenure: Tenure,
    mailbox: Arc<Mailbox>,
    /// Unanswered messages, oldest first.
    queue: VecDeque<Item>,
    /// The database may have more unanswered messages.
    has_more: bool,
    sandbox: Option<Sandbox>,
    connection: Connection,
    /// Replies that are not recorded yet.
    settling: Option<Box<Settling>>,
    /// Notices published because of waiting messages, to be recorded with the answer.
    notices_sent: Vec<NewReply>,
    setup_notice: Option<SetupNotice>,
    rest: RestState,
    held: Held,
    pending_turn: Option<PendingTurn>,
}

/// A turn that has not ended, with the time since which it fails.
struct PendingTurn {
    messages: Vec<MessageId>,
    failing_since: Option<Instant>,
}

/// What the actor knows of proactive messages that are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// The database has not been read.
    Unknown,
    None,
    /// The first is due at this time.
    Until(DateTime<Utc>),
}

/// How an actor goes on after a step.
enum Flow {
    /// The next step, at once.
    Continue,
    /// Sleeps until mail or an event arrives, or until this time.
    Sleep(Option<Instant>),
    /// Ends, because there is nothing to do.
    Exit,
}

impl UserActor {
    pub(crate) fn new(
        context: Arc<Context>,
        user: UserId,
        tenure: Tenure,
        mailbox: Arc<Mailbox>,
    ) -> Self {
        Self {
            context,
            user,
            tenure,
            mailbox,
            queue: VecDeque::new(),
            has_more: false,
            sandbox: None,
            connection: Connection::default(),
            settling: None,
            notices_sent: Vec::new(),
            setup_notice: None,
            rest: RestState::default(),
            held: Held::Unknown,
            pending_turn: None,
        }
    }

    /// Runs until there is nothing to do and `leave` agrees, or until this replica loses the user.
    pub(crate) async fn run(&mut self, leave: impl Fn(&Mailbox) -> bool) {
        let lost = self.tenure.lost();
        let mailbox = Arc::clone(&self.mailbox);
        let live = async {
            loop {
                self.run_steps().await;
                if leave(&mailbox) {
                    break;
                }
            }
        };
        lost.run_until_cancelled(live).await;
    }

    async fn run_steps(&mut self) {
        let mut failures: u32 = 0;
        loop {
            let start = if self.connection.is_open() {
                None
            } else {
                // Fails only if the semaphore is closed, which never happens.
                Arc::clone(&self.context.starts).acquire_owned().await.ok()
            };
            // If no new work may begin, another replica is about to take over and does the rest.
            let Some(hold) = self.tenure.hold() else {
                break;
            };
            // Boxed, so that a sleeping actor does not reserve memory for a turn: most actors sleep.
            let span = info_span!("gateway.person", user.id = %self.user);
            let step = AssertUnwindSafe(Box::pin(self.step(start)).instrument(span)).catch_unwind();
            let outcome = step.await.unwrap_or_else(|_panic| {
                self.settling = None;
                Err(HandlerError::reject(anyhow::anyhow!(
                    "an actor's step panicked"
                )))
            });
            drop(hold);
            match outcome {
                Ok(flow) => {
                    failures = 0;
                    match flow {
                        Flow::Continue => {}
                        Flow::Sleep(until) => self.sleep(until).await,
                        Flow::Exit => return,
                    }
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    self.back_off(error, failures).await;
                }
            }
        }
        self.tenure.lost().cancelled().await;
    }

    /// One step. `start` is the permit to connect to the sandbox.
    async fn step(&mut self, start: Option<OwnedSemaphorePermit>) -> Result<Flow, HandlerError> {
        self.finish_settling().await?;
        self.take_mail().await?;
        if let Some((suspension, scope)) = self.suspension() {
            return self.stay_suspended(&suspension, scope).await;
        }
        match next(&self.queue, self.context.clock.now()) {
            Next::Turn(batch) => self.ask(&batch, start).await,
            Next::Say(message, notice) => self.say(message, notice).await,
            Next::Obey(message, command) => self.obey(message, command).await,
            Next::PutThrough(message, call) => self.put_through(message, call).await,
            Next::WrapUp(message, call) => self.wrap_up(message, call).await,
            Next::Warn(message, call) => self.warn(message, call).await,
            Next::Close(message) => self.close(vec![message], Vec::new()).await,
            Next::AskAgain(message, wamid) => self.ask_again(message, &wamid).await,
            Next::Wait(until) => self.listen(Some(self.instant_of(until))).await,
            Next::Nothing => self.listen(None).await,
        }
    }

    fn suspension(&self) -> Option<(Suspension, Scope)> {
        let current = self.context.suspensions.current();
        if let Some(of_user) = current.users.get(&self.user) {
            return Some((of_user.clone(), Scope::User));
        }
        let everybody = current.everybody.clone();
        everybody.map(|suspension| (suspension, Scope::Everybody))
    }

    /// Moves new messages from the mailbox and the database to the queue.
    async fn take_mail(&mut self) -> Result<(), HandlerError> {
        let mut inbox = self.mailbox.take();
        inbox.sandbox |= self.rest.may_fall_asleep();
        if let Some(row) = inbox.row.take() {
            self.sandbox = Some(*row);
        }
        let result = self.load(&inbox).await;
        if result.is_err() {
            // The messages in the inbox are in the database too.
            inbox.reload |= !inbox.fresh.is_empty();
            self.mailbox.put_back(&inbox);
            return result;
        }
        self.rest.follow(self.sandbox.as_ref());
        if inbox.order == Some(SandboxOrder::Sleep) {
            self.rest.order();
        }
        for item in inbox.fresh {
            // The database may have returned the message as well.
            if self.queue.iter().any(|known| known.id == item.id) {
                continue;
            }
            // If only the database has the messages before this one, it is read from there after them.
            self.has_more |= self.queue.len() >= WAITING_READ as usize;
            if !self.has_more {
                self.queue.push_back(item);
            }
        }
        Ok(())
    }

    /// Reads messages and the sandbox's row from the database, as far as the inbox asks for it.
    async fn load(&mut self, inbox: &Inbox) -> Result<(), HandlerError> {
        if inbox.reload || (self.has_more && self.queue.is_empty()) {
            let messages = self.context.store.messages();
            let waiting = messages.waiting(self.user, WAITING_READ).await?;
            self.has_more = waiting.len() >= WAITING_READ as usize;
            let items = waiting.iter().map(|message| {
                let known = self.queue.iter().find(|item| item.id == message.id);
                known.cloned().unwrap_or_else(|| item_of_stored(message))
            });
            self.queue = items.collect();
        }
        if inbox.sandbox {
            self.sandbox = self.context.store.sandboxes().of_user(self.user).await?;
        }
        Ok(())
    }

    /// With nothing to ask: stays connected to the assistant and passes on its proactive messages.
    async fn listen(&mut self, until: Option<Instant>) -> Result<Flow, HandlerError> {
        let held = self.release_held().await?;
        let is_ready = self
            .sandbox
            .as_ref()
            .is_some_and(|sandbox| sandbox.status.is_ready());
        if !is_ready {
            self.connection.close();
            let has_nothing_to_await = until.is_none() && held.is_none();
            return Ok(if has_nothing_to_await {
                Flow::Exit
            } else {
                Flow::Sleep(earliest([until, held]))
            });
        }
        let look_at = self.read_transcript().await?;
        let mut rest_at = None;
        if until.is_none() && self.connection.is_read_to_end {
            rest_at = self.rest().await?;
        }
        Ok(Flow::Sleep(earliest([until, held, Some(look_at), rest_at])))
    }

    /// The sandbox, which must be ready, and the session with it; connects if there is none.
    async fn connect(&mut self) -> Result<(SandboxId, Arc<Session>), HandlerError> {
        let Some(sandbox) = &self.sandbox else {
            return Err(SessionError::Incomplete("row").into());
        };
        let session = self.connection.session(&self.context.agents, sandbox).await;
        if let Some(flood) = self.connection.take_flood() {
            SANDBOX_FLOODS.increment([flood.as_str()]);
            warn!(user.id = %self.user, sandbox.id = %sandbox.id, "cut off a sandbox: {flood}");
            self.tell_of_flood(sandbox.id).await;
        }
        if session.is_err() {
            // The row may name another endpoint by now.
            self.mailbox.reread_sandbox();
        }
        Ok((sandbox.id, session?))
    }

    /// Tells the operator that a sandbox sends too much.
    async fn tell_of_flood(&self, sandbox: SandboxId) {
        let flooded = OperatorEvent::SandboxFlooded {
            user: self.user,
            sandbox,
        };
        self.context.publisher.tell_operator(&flooded).await;
    }

    async fn sleep(&self, until: Option<Instant>) {
        let far = || Instant::now() + Duration::from_hours(24);
        tokio::select! {
            () = self.mailbox.changed() => {}
            () = self.connection.changed() => {}
            () = sleep_until(until.unwrap_or_else(far)) => {}
            () = self.tenure.ending().cancelled_owned() => {}
        }
    }

    async fn back_off(&mut self, error: HandlerError, failures: u32) {
        let (source, after) = match error {
            HandlerError::Retry { source, after } => (source, after),
            HandlerError::Defer(after) => (anyhow::anyhow!("not yet"), Some(after)),
            HandlerError::Park(_) => (anyhow::anyhow!("not yet"), None),
            HandlerError::Reject { source } => {
                Box::pin(self.give_up(&format!("{source:#}"))).await;
                (source, None)
            }
        };
        // Logged at 1, 2, 4, 8, … failures, so that an outage does not flood the log.
        if failures.is_power_of_two() {
            warn!(user.id = %self.user, failures, "trying again: {source:#}");
        }
        let pause = after.unwrap_or_else(|| RETRY.jittered_delay(failures, random()));
        tokio::select! {
            () = sleep_until(Instant::now() + pause) => {}
            () = self.mailbox.changed() => {}
            () = self.tenure.ending().cancelled_owned() => {}
        }
    }

    fn instant_of(&self, at: DateTime<Utc>) -> Instant {
        let wait = (at - self.context.clock.now()).to_std().unwrap_or_default();
        Instant::now() + wait
    }
}

fn earliest<const N: usize>(times: [Option<Instant>; N]) -> Option<Instant> {
    times.into_iter().flatten().min()
}
