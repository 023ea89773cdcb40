//! One actor per person: it puts what they wrote to their assistant, one turn at a time, and passes
//! on what the assistant says by itself. Whatever it holds in memory can be read again: the messages
//! from the database, everything that was said from the sandbox's transcript.

mod ask;
mod call;
mod command;
mod connection;
mod settle;
mod transcript;

use std::{collections::VecDeque, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use claw_bus::{HandlerError, Tenure};
use claw_domain::{Backoff, Channel, MessageId, SandboxStatus, UserId};
use claw_store::{NewReply, Sandbox};
use futures_util::FutureExt;
use rand::random;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until},
};
use tracing::{Instrument, info_span, warn};

use crate::{
    context::Context,
    mailbox::Mailbox,
    plan::item_of,
    provisioning::SetupNotice,
    queue::{Item, Next, keep_before_stop, next},
};
use connection::Connection;
use settle::Settling;

/// Unanswered messages read at once.
const WAITING_READ: u32 = 64;

/// The pauses after failures that name none. The longest is also how long a user may still wait
/// after a failed dependency has recovered.
const RETRY: Backoff = Backoff {
    first: Duration::from_millis(100),
    longest: Duration::from_secs(5),
};

/// One person, as long as there is something to look after.
pub(crate) struct UserActor {
    context: Arc<Context>,
    user: UserId,
    tenure: Tenure,
    mailbox: Arc<Mailbox>,
    /// Unanswered messages, oldest first.
    queue: VecDeque<Item>,
    /// There may be more of them in the database.
    has_more: bool,
    sandbox: Option<Sandbox>,
    connection: Connection,
    /// Held while there is no connection and one is made.
    starting: Option<OwnedSemaphorePermit>,
    /// What was said and is not kept yet.
    settling: Option<Box<Settling>>,
    /// Notices said to the messages that wait.
    told: Vec<NewReply>,
    setup_notice: Option<SetupNotice>,
    /// When texts held back are due.
    held: Held,
    /// Where the answers that are settled next go.
    answers_go: Channel,
    /// The person stopped a turn, and has not been told yet that it was.
    was_stopped: bool,
    failures: u32,
    /// The messages whose turn is tried, and since when it fails.
    trying: Option<Trying>,
}

/// A turn that has not come to its end.
struct Trying {
    messages: Vec<MessageId>,
    failing_since: Option<Instant>,
}

/// What is known of texts held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    /// Nobody has looked.
    Unknown,
    /// There are none.
    None,
    /// The first is due then.
    Until(DateTime<Utc>),
}

/// What an actor does after a step.
enum Then {
    /// The next step, at once.
    Again,
    /// Nothing until there is news, or until then.
    Rest(Option<Instant>),
    /// There is nothing to look after.
    Leave,
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
            starting: None,
            settling: None,
            told: Vec::new(),
            setup_notice: None,
            held: Held::Unknown,
            answers_go: Channel::WhatsApp,
            was_stopped: false,
            failures: 0,
            trying: None,
        }
    }

    /// Runs until there is nothing to look after (then `leave` is asked whether it may go), or until
    /// the person is somebody else's to look after.
    pub(crate) async fn run(&mut self, leave: impl Fn(&Mailbox) -> bool) {
        let lost = self.tenure.lost();
        let mailbox = Arc::clone(&self.mailbox);
        let live = async {
            loop {
                self.live().await;
                if leave(&mailbox) {
                    break;
                }
            }
        };
        lost.run_until_cancelled(live).await;
    }

    /// Step by step, until there is nothing to look after or somebody else takes over.
    async fn live(&mut self) {
        loop {
            if !self.connection.is_open() {
                // Never closed.
                let starts = Arc::clone(&self.context.starts);
                self.starting = starts.acquire_owned().await.ok();
            }
            // Without a hold somebody else is about to take over: what is not begun is theirs.
            let Some(hold) = self.tenure.hold() else {
                break;
            };
            // Boxed: an actor that rests, as most do, need not have room for a turn.
            let span = info_span!("gateway.person", user.id = %self.user);
            let step = AssertUnwindSafe(Box::pin(self.step()).instrument(span)).catch_unwind();
            let outcome = step.await;
            self.starting = None;
            drop(hold);
            match outcome {
                Ok(Ok(Then::Again)) => self.failures = 0,
                Ok(Ok(Then::Rest(until))) => {
                    self.failures = 0;
                    self.rest(until).await;
                }
                Ok(Ok(Then::Leave)) => return,
                Ok(Err(setback)) => self.set_back(setback).await,
                Err(_panic) => {
                    self.settling = None;
                    let panicked = anyhow::anyhow!("an actor's step panicked");
                    self.set_back(HandlerError::Reject { source: panicked })
                        .await;
                }
            }
        }
        self.starting = None;
        self.tenure.lost().cancelled().await;
    }

    async fn step(&mut self) -> Result<Then, HandlerError> {
        self.conclude().await?;
        self.take_mail().await?;
        let now = self.context.clock.now();
        match next(&self.queue, now) {
            Next::Turn(batch) => self.ask(batch).await,
            Next::Say(message, notice) => self.say(message, notice).await,
            Next::Obey(message, command) => self.obey(message, command).await,
            Next::PutThrough(message, call) => self.put_through(message, call).await,
            Next::WrapUp(message, call) => self.wrap_up(message, call).await,
            Next::Close(message) => self.close(vec![message], Vec::new()).await,
            Next::AskAgain(message, wamid) => self.ask_again(message, &wamid).await,
            Next::Wait(until) => self.attend(Some(self.instant_of(until))).await,
            Next::Nothing => self.attend(None).await,
        }
    }

    /// Takes what has come, and reads from the database what only it has.
    async fn take_mail(&mut self) -> Result<(), HandlerError> {
        let mut inbox = self.mailbox.take();
        if let Some(row) = inbox.row.take() {
            self.sandbox = Some(*row);
        }
        let result = self.sort(&inbox).await;
        if result.is_err() {
            // Nothing of it may be forgotten: what was carried is in the database too.
            inbox.reload |= !inbox.fresh.is_empty();
            self.mailbox.put_back(&inbox);
            return result;
        }
        // What the database gave has these as well.
        let known =
            |queue: &VecDeque<Item>, item: &Item| queue.iter().any(|have| have.id == item.id);
        for item in std::mem::take(&mut inbox.fresh) {
            if known(&self.queue, &item) {
                continue;
            }
            // Behind what only the database has, so read from there in its turn.
            self.has_more |= self.queue.len() >= WAITING_READ as usize;
            if !self.has_more {
                self.queue.push_back(item);
            }
        }
        if std::mem::take(&mut self.was_stopped) {
            self.was_stopped = !keep_before_stop(&mut self.queue);
        }
        Ok(())
    }

    async fn sort(&mut self, inbox: &crate::mailbox::Inbox) -> Result<(), HandlerError> {
        if inbox.reload || (self.has_more && self.queue.is_empty()) {
            let messages = self.context.store.messages();
            let waiting = messages.waiting(self.user, WAITING_READ).await?;
            self.has_more = waiting.len() >= WAITING_READ as usize;
            let mut queue: VecDeque<Item> = VecDeque::new();
            for message in &waiting {
                let known = self.queue.iter().find(|item| item.id == message.id);
                queue.push_back(match known {
                    Some(item) => item.clone(),
                    None => item_of(message),
                });
            }
            self.queue = queue;
        }
        if inbox.sandbox {
            self.sandbox = self.context.store.sandboxes().of_user(self.user).await?;
        }
        Ok(())
    }

    /// Nothing is to be put to the assistant: stays in touch with it, and passes on what it says.
    async fn attend(&mut self, until: Option<Instant>) -> Result<Then, HandlerError> {
        let held = self.release_held().await?;
        let is_ready = self
            .sandbox
            .as_ref()
            .is_some_and(|sandbox| sandbox.status == SandboxStatus::Ready);
        if !is_ready {
            self.connection.hang_up();
            let nothing_to_wait_for = until.is_none() && held.is_none();
            return Ok(if nothing_to_wait_for {
                Then::Leave
            } else {
                Then::Rest(earliest([until, held]))
            });
        }
        self.connect().await?;
        let look_at = self.hear().await?;
        Ok(match look_at {
            Some(look_at) => Then::Rest(earliest([until, held, Some(look_at)])),
            None => Then::Again,
        })
    }

    async fn rest(&self, until: Option<Instant>) {
        let far = || Instant::now() + Duration::from_hours(24);
        tokio::select! {
            () = self.mailbox.changed() => {}
            () = self.connection.news() => {}
            () = sleep_until(until.unwrap_or_else(far)) => {}
            () = self.tenure.ending().cancelled_owned() => {}
        }
    }

    async fn set_back(&mut self, setback: HandlerError) {
        let (source, after) = match setback {
            HandlerError::Retry { source, after } => (source, after),
            HandlerError::Defer(after) => (anyhow::anyhow!("not yet"), Some(after)),
            HandlerError::Reject { source } => {
                Box::pin(self.give_up(&format!("{source:#}"))).await;
                (source, None)
            }
        };
        self.failures = self.failures.saturating_add(1);
        // Told at 1, 2, 4, 8, …: an outage must not drown the log it should be found in.
        if self.failures.is_power_of_two() {
            warn!(user.id = %self.user, failures = self.failures, "trying again: {source:#}");
        }
        let pause = after.unwrap_or_else(|| RETRY.jittered_delay(self.failures, random()));
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
