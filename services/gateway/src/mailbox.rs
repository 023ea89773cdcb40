use std::sync::{Mutex, MutexGuard, PoisonError};

use claw_domain::CallId;
use claw_store::Sandbox;
use tokio::sync::Notify;

use crate::{commands::Command, plan::Plan, queue::Item};

/// Messages carried in memory from intake to their person; what comes on top is read from the
/// database when its turn comes.
const CARRIED: usize = 32;

/// How a person's actor hears of what concerns it. Everything in here is a hint: the database holds
/// the messages, the sandbox holds what was said.
#[derive(Default)]
pub(crate) struct Mailbox {
    news: Notify,
    inbox: Mutex<Inbox>,
}

/// What has come since the actor last looked.
#[derive(Default)]
pub(crate) struct Inbox {
    /// New messages in order, none of them ever put to the assistant.
    pub(crate) fresh: Vec<Item>,
    /// There are unanswered messages that only the database has.
    pub(crate) reload: bool,
    /// The sandbox's row may have changed.
    pub(crate) sandbox: bool,
    /// The sandbox's row as it was read a moment ago.
    pub(crate) row: Option<Box<Sandbox>>,
    /// How many messages have come.
    pub(crate) messages: u32,
    /// One of them says "stop".
    pub(crate) stop: bool,
    /// The caller spoke over the answer to this turn of this call, which may still be to come.
    interrupted: Option<(CallId, u32)>,
}

impl Mailbox {
    /// A mailbox whose actor begins by reading the database.
    pub(crate) fn to_load() -> Self {
        let mailbox = Self::default();
        mailbox.lock().reload = true;
        mailbox
    }

    /// A message has come. `item` is `None` when it may have been put to the assistant before.
    pub(crate) fn deliver(&self, item: Option<Item>) {
        let is_stop = |item: &Item| matches!(item.plan, Plan::Obey(Command::Stop, _));
        {
            let mut inbox = self.lock();
            inbox.messages = inbox.messages.saturating_add(1);
            inbox.stop |= item.as_ref().is_some_and(is_stop);
            match item {
                // Once something is left to the database, what follows has to queue up behind it.
                Some(item) if !inbox.reload && inbox.fresh.len() < CARRIED => {
                    inbox.fresh.push(item);
                }
                Some(_) | None => inbox.reload = true,
            }
        }
        self.news.notify_one();
    }

    /// The caller spoke over the answer to a turn.
    pub(crate) fn interrupt(&self, call: CallId, turn: u32) {
        self.lock().interrupted = Some((call, turn));
        self.news.notify_one();
    }

    /// Whether the caller spoke over the answer to this turn.
    pub(crate) fn is_interrupted(&self, call: CallId, turn: u32) -> bool {
        self.lock().interrupted == Some((call, turn))
    }

    /// There is news about the sandbox.
    pub(crate) fn nudge(&self) {
        self.lock().sandbox = true;
        self.news.notify_one();
    }

    /// The sandbox's row was read.
    pub(crate) fn tell(&self, row: Option<Sandbox>) {
        {
            let mut inbox = self.lock();
            match row {
                Some(row) => inbox.row = Some(Box::new(row)),
                None => inbox.sandbox = true,
            }
        }
        self.news.notify_one();
    }

    /// Takes what has come.
    pub(crate) fn take(&self) -> Inbox {
        let mut inbox = self.lock();
        let interrupted = inbox.interrupted;
        std::mem::replace(
            &mut *inbox,
            Inbox {
                interrupted,
                ..Inbox::default()
            },
        )
    }

    /// Puts back what could not be worked on; what has come since is kept.
    pub(crate) fn put_back(&self, taken: &Inbox) {
        let mut inbox = self.lock();
        inbox.reload |= taken.reload;
        inbox.sandbox |= taken.sandbox || taken.row.is_some();
        inbox.stop |= taken.stop;
        inbox.messages = inbox.messages.saturating_add(taken.messages);
    }

    /// The sandbox's row is to be read again before the next step.
    pub(crate) fn look_at_sandbox(&self) {
        self.lock().sandbox = true;
    }

    /// Whether somebody waits who says "stop".
    pub(crate) fn has_stop(&self) -> bool {
        self.lock().stop
    }

    /// How many messages have come since the last look.
    pub(crate) fn waiting(&self) -> u32 {
        self.lock().messages
    }

    /// Whether nothing has come.
    pub(crate) fn is_empty(&self) -> bool {
        let inbox = self.lock();
        inbox.fresh.is_empty() && !inbox.reload && !inbox.sandbox && inbox.row.is_none()
    }

    /// Returns when something has come since the last call.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
