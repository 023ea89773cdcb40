use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use async_nats::Subject;
use claw_domain::UserId;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::{
    Pulled,
    work::{AckHandle, Item, ItemOutcome, Worker},
};
use crate::{Bus, Handler, Hold, Parked, lanes::Lanes};

/// Sequences remembered after acknowledgement: 8 bytes each, several minutes of a busy stream.
const DONE_REMEMBERED: usize = 65_536;

/// How long an item stays parked before it is tried again, so that the items of a lost tenure are dropped in the end.
const PARKED_AT_MOST: Duration = Duration::from_mins(10);

/// Puts each event into its user's lane and runs the lanes.
pub(super) struct Dispatcher<H> {
    worker: Arc<Worker<H>>,
    lanes: Lanes<UserId, Item>,
    /// Admitted and unacknowledged events by sequence, to recognise a redelivery.
    held: HashMap<u64, AckHandle>,
    /// Recently acknowledged sequences. After a lost connection the server redelivers everything above the
    /// oldest unacknowledged event.
    done: BTreeSet<u64>,
    tasks: JoinSet<LaneEvent>,
    stop: CancellationToken,
}

/// The result of a task.
enum LaneEvent {
    Ended {
        user: UserId,
        sequence: u64,
        outcome: ItemOutcome,
    },
    /// The pause of a deferred item is over.
    Due(Item),
    /// The user's parked items are to be handled again.
    Unparked(UserId),
    /// A redelivery of an acknowledged event was acknowledged.
    Acknowledged,
}

impl<H: Handler> Dispatcher<H> {
    pub(super) fn new(
        bus: Bus,
        purpose: &'static str,
        handler: Arc<H>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            worker: Arc::new(Worker {
                bus,
                purpose,
                handler,
                stop: stop.clone(),
            }),
            lanes: Lanes::new(),
            held: HashMap::new(),
            done: BTreeSet::new(),
            tasks: JoinSet::new(),
            stop,
        }
    }

    /// Runs until `received` is closed and every started item has ended.
    pub(super) async fn run(mut self, mut received: mpsc::Receiver<Pulled>) {
        let mut open = true;
        while open || !self.tasks.is_empty() {
            tokio::select! {
                pulled = received.recv(), if open => match pulled {
                    Some(pulled) => self.admit(pulled),
                    None => open = false,
                },
                Some(step) = self.tasks.join_next() => match step {
                    Ok(step) => self.advance(step),
                    Err(failure) => error!("a lane's task was lost: {failure}"),
                },
            }
        }
        self.worker.bus.flush().await;
    }

    fn admit(&mut self, pulled: Pulled) {
        // The unit is about to change hands, and the server redelivers the event to the next holder.
        if !pulled.tenure.is_open() {
            return;
        }
        let Some(item) = Item::of(pulled) else {
            error!("a delivery without JetStream's reply subject was left alone");
            return;
        };
        if let Some(ack) = self.held.get(&item.sequence) {
            ack.renew(&item.ack);
            return;
        }
        if self.done.contains(&item.sequence) {
            self.acknowledge(item.ack.reply());
            return;
        }
        self.held.insert(item.sequence, item.ack.clone());
        self.enqueue(item);
    }

    fn enqueue(&mut self, item: Item) {
        let user = item.user;
        if let Some(item) = self.lanes.admit(user, item) {
            self.begin_first(user, item);
        }
    }

    /// Starts the first item whose tenure is open: `item`, or one behind it in the user's lane. Items before that one
    /// are dropped; the server redelivers them to the next holder of the unit, which may be this replica.
    ///
    /// Order is kept because all items before the started one are dropped: the deliveries of a new tenure begin with
    /// the oldest unacknowledged event, and renew the ack handles of items that still wait here.
    fn begin_first(&mut self, user: UserId, item: Item) {
        let mut next = Some(item);
        while let Some(item) = next {
            if let Some(hold) = self.hold(&item) {
                return self.begin(item, hold);
            }
            self.held.remove(&item.sequence);
            next = self.lanes.finish(&user);
        }
    }

    /// A hold on the tenure of `item`; `None` if it may not start.
    fn hold(&self, item: &Item) -> Option<Hold> {
        let may_begin = !self.stop.is_cancelled();
        may_begin.then(|| item.ack.tenure().hold()).flatten()
    }

    fn begin(&mut self, item: Item, hold: Hold) {
        let worker = Arc::clone(&self.worker);
        self.tasks.spawn(async move {
            let (user, sequence) = (item.user, item.sequence);
            let outcome = worker.work(item).await;
            // Dropped only now, so that the unit is not released before the acknowledgement is sent.
            drop(hold);
            LaneEvent::Ended {
                user,
                sequence,
                outcome,
            }
        });
    }

    fn finish(&mut self, sequence: u64, acknowledged_at: &Subject) {
        // If the event was redelivered meanwhile, the second delivery needs an acknowledgement, too.
        if let Some(ack) = self.held.remove(&sequence)
            && ack.reply() != *acknowledged_at
        {
            self.acknowledge(ack.reply());
        }
        self.done.insert(sequence);
        if self.done.len() > DONE_REMEMBERED {
            self.done.pop_first();
        }
    }

    fn acknowledge(&mut self, reply: Subject) {
        let worker = Arc::clone(&self.worker);
        self.tasks.spawn(async move {
            worker.acknowledge_at(reply).await;
            LaneEvent::Acknowledged
        });
    }

    fn advance(&mut self, report: LaneEvent) {
        match report {
            LaneEvent::Due(item) => self.enqueue(item),
            LaneEvent::Unparked(user) => {
                if let Some(item) = self.lanes.unpark(&user) {
                    self.begin_first(user, item);
                }
            }
            LaneEvent::Acknowledged => {}
            LaneEvent::Ended {
                user,
                sequence,
                outcome,
            } => {
                let again = match outcome {
                    ItemOutcome::Done(acknowledged_at) => {
                        self.finish(sequence, &acknowledged_at);
                        None
                    }
                    // The event may have been redelivered in the meantime, under another tenure.
                    ItemOutcome::Left(item) => Some(item),
                    ItemOutcome::Deferred(item, pause) => {
                        self.defer(item, pause);
                        None
                    }
                    ItemOutcome::Parked(item, until) => {
                        if self.lanes.park(&user, item) {
                            self.unpark_after(user, until);
                        }
                        None
                    }
                };
                if let Some(next) = again.or_else(|| self.lanes.finish(&user)) {
                    self.begin_first(user, next);
                }
            }
        }
    }

    fn unpark_after(&mut self, user: UserId, until: Parked) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            let until = timeout(PARKED_AT_MOST, until.0);
            stop.run_until_cancelled(until).await;
            LaneEvent::Unparked(user)
        });
    }

    fn defer(&mut self, item: Item, pause: Duration) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(sleep(pause)).await;
            LaneEvent::Due(item)
        });
    }
}
