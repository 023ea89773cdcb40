use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use claw_bus::{Ownership, Tenure};
use claw_domain::UserId;
use claw_events::{CallInterrupted, partition_of};
use claw_store::Sandbox;
use metrics::gauge;
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use crate::{desk::Desk, mailbox::Mailbox, person::Person, queue::Item};

/// Pause before the database is asked again whom a partition holds.
const PAUSE: Duration = Duration::from_secs(1);

/// The people this replica looks after: one actor each, while there is something to look after.
#[derive(Clone)]
pub(crate) struct People {
    desk: Arc<Desk>,
    rosters: Arc<Mutex<HashMap<u16, Arc<Roster>>>>,
    tasks: TaskTracker,
}

/// The people of one partition, while it is ours.
struct Roster {
    tenure: Tenure,
    mailboxes: Mutex<HashMap<UserId, Arc<Mailbox>>>,
}

impl People {
    pub(crate) fn new(desk: Arc<Desk>) -> Self {
        Self {
            desk,
            rosters: Arc::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Looks after the people of every partition that becomes ours, until `stop`; returns when the
    /// last actor has left.
    pub(crate) async fn run(self, ownership: Ownership, stop: CancellationToken) {
        let mut tenures = ownership.tenures();
        while let Some(Some(tenure)) = stop.run_until_cancelled(tenures.next()).await {
            let Some(partition) = tenure.partition() else {
                continue;
            };
            let roster = self.roster(partition, &tenure);
            let people = self.clone();
            self.tasks.spawn(async move {
                let lost = roster.tenure.lost();
                lost.run_until_cancelled(people.look_after(partition, &roster))
                    .await;
                lost.cancelled().await;
                people.forget(partition, &roster);
            });
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// A message of this person was written down. `item` is `None` when it may have been put to the
    /// assistant before; `sandbox` is what their row says.
    pub(crate) fn deliver(
        &self,
        tenure: &Tenure,
        user: UserId,
        item: Option<Item>,
        sandbox: Option<Sandbox>,
    ) {
        let roster = self.roster(partition_of(user), tenure);
        self.wake(&roster, user, sandbox, |mailbox| mailbox.deliver(item));
    }

    /// There is news about this person's sandbox.
    pub(crate) fn nudge(&self, user: UserId) {
        let roster = self.rosters().get(&partition_of(user)).cloned();
        if let Some(roster) = roster {
            self.wake(&roster, user, None, Mailbox::nudge);
        }
    }

    /// The caller spoke over an answer. Whoever has no actor is not being answered.
    pub(crate) fn interrupt(&self, interrupted: &CallInterrupted) {
        let roster = self.rosters().get(&partition_of(interrupted.user)).cloned();
        let mailbox = roster.and_then(|roster| roster.mailboxes().get(&interrupted.user).cloned());
        if let Some(mailbox) = mailbox {
            mailbox.interrupt(interrupted.call, interrupted.turn);
        }
    }

    /// News may have been missed: looks after everyone again.
    pub(crate) fn look_around(&self) {
        let rosters: Vec<_> = {
            let rosters = self.rosters();
            rosters
                .iter()
                .map(|(partition, roster)| (*partition, Arc::clone(roster)))
                .collect()
        };
        for (partition, roster) in rosters {
            let people = self.clone();
            self.tasks.spawn(async move {
                let lost = roster.tenure.lost();
                lost.run_until_cancelled(people.look_after(partition, &roster))
                    .await;
            });
        }
    }

    /// Sees to it that everyone of a partition who needs an actor has one.
    async fn look_after(&self, partition: u16, roster: &Arc<Roster>) {
        let known = loop {
            match self.desk.store.users().active_in(partition).await {
                Ok(known) => break known,
                Err(error) => warn!(
                    error = &error as &dyn std::error::Error,
                    "the people of partition {partition} could not be read; trying again"
                ),
            }
            sleep(PAUSE).await;
        };
        for (user, sandbox) in known {
            let row = sandbox.clone();
            self.wake(roster, user, sandbox, |mailbox| mailbox.tell(row));
        }
    }

    fn roster(&self, partition: u16, tenure: &Tenure) -> Arc<Roster> {
        let mut rosters = self.rosters();
        if let Some(roster) = rosters.get(&partition)
            && !roster.tenure.lost().is_cancelled()
        {
            return Arc::clone(roster);
        }
        let roster = Arc::new(Roster {
            tenure: tenure.clone(),
            mailboxes: Mutex::default(),
        });
        rosters.insert(partition, Arc::clone(&roster));
        roster
    }

    fn forget(&self, partition: u16, roster: &Arc<Roster>) {
        let mut rosters = self.rosters();
        if rosters
            .get(&partition)
            .is_some_and(|current| Arc::ptr_eq(current, roster))
        {
            rosters.remove(&partition);
        }
    }

    /// Puts something into the mailbox of this person's actor, which is begun when there is none. The map
    /// is locked meanwhile: an actor about to leave finds it, or has left before.
    fn wake(
        &self,
        roster: &Arc<Roster>,
        user: UserId,
        sandbox: Option<Sandbox>,
        put: impl FnOnce(&Mailbox),
    ) {
        let mut mailboxes = roster.mailboxes();
        if let Some(mailbox) = mailboxes.get(&user) {
            put(mailbox);
            return;
        }
        // Whatever else the database has of them is read first.
        let mailbox = Arc::new(Mailbox::to_load());
        put(&mailbox);
        mailboxes.insert(user, Arc::clone(&mailbox));
        let mut person = Person::new(
            Arc::clone(&self.desk),
            user,
            roster.tenure.clone(),
            mailbox,
            sandbox,
        );
        let roster = Arc::clone(roster);
        self.tasks.spawn(async move {
            gauge!("claw_people").increment(1.0);
            person.run(|mailbox| roster.leave(user, mailbox)).await;
            gauge!("claw_people").decrement(1.0);
        });
    }

    fn rosters(&self) -> MutexGuard<'_, HashMap<u16, Arc<Roster>>> {
        self.rosters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Roster {
    /// Lets an actor go, unless something came for it in the meantime.
    fn leave(&self, user: UserId, mailbox: &Mailbox) -> bool {
        let mut mailboxes = self.mailboxes();
        let may_go = self.tenure.lost().is_cancelled() || mailbox.is_empty();
        if may_go {
            mailboxes.remove(&user);
        }
        may_go
    }

    fn mailboxes(&self) -> MutexGuard<'_, HashMap<UserId, Arc<Mailbox>>> {
        self.mailboxes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
