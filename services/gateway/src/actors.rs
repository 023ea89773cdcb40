use std::{collections::HashMap, sync::Arc, time::Duration};

use claw_bus::{Ownership, Tenure};
use claw_chat::Item;
use claw_domain::UserId;
use claw_events::{CallInterrupted, partition_of};
use claw_metrics::USERS_ACTIVE;
use claw_store::Sandbox;
use parking_lot::Mutex;
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use crate::{actor::UserActor, context::Context, mailbox::Mailbox};

/// Pause before the database is asked again which users of a partition need an actor.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The actors of this replica: one per user who has unanswered messages or a running sandbox.
#[derive(Clone)]
pub(crate) struct UserActors {
    context: Arc<Context>,
    partitions: Arc<Mutex<HashMap<u16, Arc<OwnedPartition>>>>,
    tasks: TaskTracker,
}

/// A partition this replica owns, with the mailboxes of its users' actors.
struct OwnedPartition {
    tenure: Tenure,
    mailboxes: Mutex<HashMap<UserId, Arc<Mailbox>>>,
}

impl UserActors {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            partitions: Arc::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Starts the actors of every partition this replica comes to own, until `stop`. Returns when the
    /// last actor has ended.
    pub(crate) async fn run(self, ownership: Ownership, stop: CancellationToken) {
        let mut tenures = ownership.tenures();
        while let Some(Some(tenure)) = stop.run_until_cancelled(tenures.next()).await {
            let Some(partition) = tenure.partition() else {
                continue;
            };
            let owned = self.owned(partition, &tenure);
            let actors = self.clone();
            self.tasks.spawn(async move {
                let lost = owned.tenure.lost();
                lost.run_until_cancelled(actors.wake_partition(partition, &owned))
                    .await;
                lost.cancelled().await;
                actors.forget(partition, &owned);
            });
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Hands over a message that was just stored. `item` is `None` if the message may already have been
    /// sent to the assistant; `sandbox` is the user's sandbox row, if it was read.
    pub(crate) fn deliver(
        &self,
        tenure: &Tenure,
        user: UserId,
        item: Option<Item>,
        sandbox: Option<Sandbox>,
    ) {
        let owned = self.owned(partition_of(user), tenure);
        self.wake(&owned, user, sandbox, |mailbox| mailbox.deliver(item));
    }

    /// Makes the user's actor read the sandbox's row again.
    pub(crate) fn sandbox_changed(&self, user: UserId) {
        let owned = self.partitions.lock().get(&partition_of(user)).cloned();
        if let Some(owned) = owned {
            self.wake(&owned, user, None, Mailbox::sandbox_changed);
        }
    }

    /// Tells the user's actor that the caller spoke over an answer. Without an actor there is no run to
    /// stop.
    pub(crate) fn interrupt(&self, interrupted: &CallInterrupted) {
        if let Some(mailbox) = self.mailbox_of(interrupted.user) {
            mailbox.interrupt(interrupted.call, interrupted.turn);
        }
    }

    /// Makes the user's actor read the row of a sandbox that sleeps now. Without an actor there is nothing to end.
    pub(crate) fn sandbox_sleeps(&self, user: UserId) {
        if let Some(mailbox) = self.mailbox_of(user) {
            mailbox.sandbox_changed();
        }
    }

    /// Passes an order to sleep on to the user's actor. Without an actor, it is not ready.
    pub(crate) fn order_sleep(&self, user: UserId) {
        if let Some(mailbox) = self.mailbox_of(user) {
            mailbox.order_sleep();
        }
    }

    fn mailbox_of(&self, user: UserId) -> Option<Arc<Mailbox>> {
        let owned = self.partitions.lock().get(&partition_of(user)).cloned()?;
        let mailboxes = owned.mailboxes.lock();
        mailboxes.get(&user).cloned()
    }

    /// Wakes the actors of all owned partitions, because events may have been missed.
    pub(crate) fn wake_all(&self) {
        let partitions = self.partitions.lock().clone();
        for (partition, owned) in partitions {
            let actors = self.clone();
            self.tasks.spawn(async move {
                let lost = owned.tenure.lost();
                lost.run_until_cancelled(actors.wake_partition(partition, &owned))
                    .await;
            });
        }
    }

    /// Wakes the actor of every user of the partition who needs one.
    async fn wake_partition(&self, partition: u16, owned: &Arc<OwnedPartition>) {
        let users = loop {
            match self.context.store.users().active_in(partition).await {
                Ok(users) => break users,
                Err(error) => warn!(
                    error = &error as &dyn std::error::Error,
                    "could not read the users of partition {partition}; trying again"
                ),
            }
            sleep(RETRY_PAUSE).await;
        };
        for (user, sandbox) in users {
            let row = sandbox.clone();
            self.wake(owned, user, sandbox, |mailbox| mailbox.set_sandbox(row));
        }
    }

    fn owned(&self, partition: u16, tenure: &Tenure) -> Arc<OwnedPartition> {
        let mut partitions = self.partitions.lock();
        if let Some(owned) = partitions.get(&partition)
            && !owned.tenure.lost().is_cancelled()
        {
            return Arc::clone(owned);
        }
        let owned = Arc::new(OwnedPartition {
            tenure: tenure.clone(),
            mailboxes: Mutex::default(),
        });
        partitions.insert(partition, Arc::clone(&owned));
        owned
    }

    fn forget(&self, partition: u16, owned: &Arc<OwnedPartition>) {
        let mut partitions = self.partitions.lock();
        if partitions
            .get(&partition)
            .is_some_and(|current| Arc::ptr_eq(current, owned))
        {
            partitions.remove(&partition);
        }
    }

    /// Calls `put` with the mailbox of the user's actor, and starts the actor if there is none. The map
    /// stays locked meanwhile, so an actor about to end either sees the mail or has already ended.
    fn wake(
        &self,
        owned: &Arc<OwnedPartition>,
        user: UserId,
        sandbox: Option<Sandbox>,
        put: impl FnOnce(&Mailbox),
    ) {
        let mut mailboxes = owned.mailboxes.lock();
        if let Some(mailbox) = mailboxes.get(&user) {
            put(mailbox);
            return;
        }
        // A new actor first reads the user's other unanswered messages from the database.
        let mailbox = Arc::new(Mailbox::to_load(sandbox));
        put(&mailbox);
        mailboxes.insert(user, Arc::clone(&mailbox));
        let mut actor = UserActor::new(
            Arc::clone(&self.context),
            user,
            owned.tenure.clone(),
            mailbox,
        );
        let owned = Arc::clone(owned);
        self.tasks.spawn(async move {
            USERS_ACTIVE.increment([]);
            actor.run(|mailbox| owned.leave(user, mailbox)).await;
            USERS_ACTIVE.decrement([]);
        });
    }
}

impl OwnedPartition {
    /// Removes the mailbox of an actor that wants to end; `false` if mail has arrived meanwhile.
    fn leave(&self, user: UserId, mailbox: &Mailbox) -> bool {
        let mut mailboxes = self.mailboxes.lock();
        let may_go = self.tenure.lost().is_cancelled() || mailbox.is_empty();
        if may_go {
            mailboxes.remove(&user);
        }
        may_go
    }
}
