use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use async_nats::Subject;
use claw_domain::UserId;
use tokio::{sync::mpsc, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::{
    Pulled,
    work::{AckHandle, Item, ItemOutcome, Worker},
};
use crate::{Bus, Handler, Hold, lanes::Lanes};

/// Sequences remembered as dealt with: 8 bytes each, several minutes of a busy stream.
const DONE_REMEMBERED: usize = 65_536;

/// Gives each event to its person's lane and keeps the lanes going.
pub(super) struct Dispatcher<H> {
    worker: Arc<Worker<H>>,
    lanes: Lanes<UserId, Item>,
    /// Everything admitted and not yet acknowledged, by sequence: an event that is handed out again
    /// meanwhile is not a new one.
    held: HashMap<u64, AckHandle>,
    /// What was dealt with lately: after a lost connection the server hands out again all that lies
    /// above the oldest open event.
    done: BTreeSet<u64>,
    tasks: JoinSet<LaneEvent>,
    stop: CancellationToken,
}

/// What a task reports.
enum LaneEvent {
    Ended {
        user: UserId,
        sequence: u64,
        outcome: ItemOutcome,
    },
    /// A deferred item whose pause is over.
    Due(Item),
    /// A delivery of something dealt with before was acknowledged.
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

    /// Runs until nothing comes any more and what was begun has ended.
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
        let Pulled { message, tenure } = pulled;
        // Ours no more: whoever has it next is handed it again.
        if !tenure.is_open() {
            return;
        }
        let reply = message.reply.clone();
        let Some(item) = Item::of(message, tenure.clone()) else {
            error!("a delivery without JetStream's reply subject was left alone");
            return;
        };
        if let (Some(ack), Some(reply)) = (self.held.get(&item.sequence), reply) {
            ack.renew(reply, tenure);
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

    /// Begins the first of the lane of `user` that may be begun, looking at `item` first. The others
    /// are dropped, to be handed out again: to whoever has them by then, or to us under another tenure.
    ///
    /// What is dropped is the whole beginning of a lane, so an order is kept: a tenure's deliveries
    /// begin with the oldest open event, and renew what still waits here.
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

    /// Leave to begin with `item`.
    fn hold(&self, item: &Item) -> Option<Hold> {
        let may_begin = !self.stop.is_cancelled();
        may_begin.then(|| item.ack.tenure().hold()).flatten()
    }

    fn begin(&mut self, item: Item, hold: Hold) {
        let worker = Arc::clone(&self.worker);
        self.tasks.spawn(async move {
            let (user, sequence) = (item.user, item.sequence);
            let outcome = worker.work(item).await;
            // Acknowledged by now, which the server hears before it hears that the unit is given back.
            drop(hold);
            LaneEvent::Ended {
                user,
                sequence,
                outcome,
            }
        });
    }

    fn finish(&mut self, sequence: u64, acknowledged_at: &Subject) {
        // Handed out again while it was being acknowledged: the new delivery wants an answer too.
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
                    // It may have come to us again meanwhile, under another tenure.
                    ItemOutcome::Left(item) => Some(item),
                    ItemOutcome::Deferred(item, pause) => {
                        self.defer(item, pause);
                        None
                    }
                };
                if let Some(next) = again.or_else(|| self.lanes.finish(&user)) {
                    self.begin_first(user, next);
                }
            }
        }
    }

    fn defer(&mut self, item: Item, pause: Duration) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(sleep(pause)).await;
            LaneEvent::Due(item)
        });
    }
}
