use claw_chat::Item;
use claw_domain::CallId;
use claw_events::SandboxOrder;
use claw_store::Sandbox;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Most messages carried in memory from intake to an actor; further ones are read from the database.
const CARRIED_MESSAGES: usize = 32;

/// Tells a user's actor what has changed. Losing its content costs nothing but time: messages are in the
/// database, answers in the sandbox's transcript.
#[derive(Default)]
pub(crate) struct Mailbox {
    changed: Notify,
    inbox: Mutex<Inbox>,
}

/// The news that has arrived since the actor last emptied its mailbox.
#[derive(Default)]
pub(crate) struct Inbox {
    /// New messages in order of arrival; none of them was ever sent to the assistant.
    pub(crate) fresh: Vec<Item>,
    /// The database holds unanswered messages that are not in `fresh`.
    pub(crate) reload: bool,
    /// The sandbox's row may have changed.
    pub(crate) sandbox: bool,
    /// The sandbox's row, just read.
    pub(crate) row: Option<Box<Sandbox>>,
    /// Number of messages that have arrived.
    pub(crate) messages: u32,
    /// What the operator wants of the sandbox.
    pub(crate) order: Option<SandboxOrder>,
    /// One of the messages is the command "stop".
    pub(crate) stop: bool,
    /// The call and turn whose answer the caller spoke over. The turn may still be queued.
    interrupted: Option<(CallId, u32)>,
}

impl Mailbox {
    /// A mailbox whose actor begins by reading the messages from the database; `row` as in
    /// [`Mailbox::set_sandbox`].
    pub(crate) fn to_load(row: Option<Sandbox>) -> Self {
        let mailbox = Self::default();
        mailbox.inbox.lock().reload = true;
        mailbox.set_sandbox(row);
        mailbox
    }

    /// Adds a message. `item` is `None` if it may already have been sent to the assistant.
    pub(crate) fn deliver(&self, item: Option<Item>) {
        {
            let mut inbox = self.inbox.lock();
            inbox.messages = inbox.messages.saturating_add(1);
            inbox.stop |= item.as_ref().is_some_and(Item::is_stop);
            match item {
                // While a reload is due, later messages must queue behind those only the database has.
                Some(item) if !inbox.reload && inbox.fresh.len() < CARRIED_MESSAGES => {
                    inbox.fresh.push(item);
                }
                Some(_) | None => inbox.reload = true,
            }
        }
        self.changed.notify_one();
    }

    /// Notes that the caller spoke over the answer to a turn.
    pub(crate) fn interrupt(&self, call: CallId, turn: u32) {
        self.inbox.lock().interrupted = Some((call, turn));
        self.changed.notify_one();
    }

    /// Whether the caller spoke over the answer to this turn.
    pub(crate) fn is_interrupted(&self, call: CallId, turn: u32) -> bool {
        self.inbox.lock().interrupted == Some((call, turn))
    }

    /// Notes that the operator wants the sandbox to sleep.
    pub(crate) fn order_sleep(&self) {
        self.inbox.lock().order = Some(SandboxOrder::Sleep);
        self.changed.notify_one();
    }

    /// Makes the actor read the sandbox's row again, and wakes it.
    pub(crate) fn sandbox_changed(&self) {
        self.reread_sandbox();
        self.changed.notify_one();
    }

    /// Makes the actor read the sandbox's row again before its next step.
    pub(crate) fn reread_sandbox(&self) {
        self.inbox.lock().sandbox = true;
    }

    /// Hands over the sandbox's row, which may have been read before a change that the actor has already
    /// acted on. Only a row that says ready, with an enabled model key, is trusted: connecting shows whether the
    /// sandbox still is. In any other state the actor would wait for an event that may have come already, so it reads the row itself.
    pub(crate) fn set_sandbox(&self, row: Option<Sandbox>) {
        {
            let mut inbox = self.inbox.lock();
            match row.filter(|sandbox| sandbox.status.is_ready() && sandbox.has_enabled_key) {
                Some(row) => inbox.row = Some(Box::new(row)),
                None => inbox.sandbox = true,
            }
        }
        self.changed.notify_one();
    }

    /// Takes everything that has arrived.
    pub(crate) fn take(&self) -> Inbox {
        let mut inbox = self.inbox.lock();
        let interrupted = inbox.interrupted;
        std::mem::replace(
            &mut *inbox,
            Inbox {
                interrupted,
                ..Inbox::default()
            },
        )
    }

    /// Puts back mail that could not be handled; mail that has arrived since is kept.
    pub(crate) fn put_back(&self, taken: &Inbox) {
        let mut inbox = self.inbox.lock();
        inbox.reload |= taken.reload;
        inbox.sandbox |= taken.sandbox || taken.row.is_some();
        inbox.order = inbox.order.or(taken.order);
        inbox.stop |= taken.stop;
        inbox.messages = inbox.messages.saturating_add(taken.messages);
    }

    /// Whether an untaken message is the command "stop".
    pub(crate) fn has_stop(&self) -> bool {
        self.inbox.lock().stop
    }

    /// Number of untaken messages.
    pub(crate) fn waiting(&self) -> u32 {
        self.inbox.lock().messages
    }

    /// Whether there is neither a message nor news of the sandbox.
    pub(crate) fn is_empty(&self) -> bool {
        let inbox = self.inbox.lock();
        inbox.fresh.is_empty() && !inbox.reload && !inbox.sandbox && inbox.row.is_none()
    }

    /// Returns when something has arrived since the last call.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use chrono::DateTime;
    use claw_domain::{SandboxId, SandboxStatus};

    use super::*;

    /// The row of a sandbox in this state.
    pub(crate) fn row(status: SandboxStatus) -> Sandbox {
        Sandbox {
            id: SandboxId::derived_from("ada"),
            user: claw_testkit::user("ada"),
            status,
            endpoint: None,
            port: None,
            model: "simulated/assistant".to_owned(),
            failure: None,
            start: 1,
            model_key_hash: None,
            model_key_name: None,
            has_enabled_key: true,
            transcript: None,
            cause: None,
            engine: None,
            policy: claw_domain::SleepPolicy::Sleep,
            wake_at: None,
            wake_for: None,
            job_wakes: 0,
            job_wakes_since: DateTime::UNIX_EPOCH,
            failures: 0,
            retry_at: None,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }

    /// The row is read while the sandbox starts; the event that it is ready arrives and is handled; only then
    /// the row arrives. If the actor trusted that row, it would wait for an event it has already had.
    #[test]
    fn a_row_read_before_the_event_of_a_ready_sandbox_does_not_hide_the_event() {
        let mailbox = Mailbox::default();
        mailbox.sandbox_changed();
        assert!(mailbox.take().sandbox, "the event makes the actor read");

        mailbox.set_sandbox(Some(row(SandboxStatus::Starting)));

        let inbox = mailbox.take();
        assert_eq!(inbox.row, None);
        assert!(inbox.sandbox, "the actor reads again");
    }

    #[test]
    fn a_new_actor_reads_the_row_itself_unless_the_sandbox_was_ready() {
        let ready = row(SandboxStatus::Ready);
        let inbox = Mailbox::to_load(Some(ready.clone())).take();
        assert_eq!((inbox.row.as_deref(), inbox.sandbox), (Some(&ready), false));

        for waiting in [None, Some(row(SandboxStatus::Starting))] {
            let inbox = Mailbox::to_load(waiting).take();
            assert_eq!((inbox.row, inbox.sandbox), (None, true));
        }
    }
}
