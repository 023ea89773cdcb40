use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use async_nats::{Subject, jetstream};
use claw_domain::UserId;
use tokio::{sync::mpsc, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::work::{Item, Outcome, Ticket, Worker};
use crate::{Bus, Handler, lanes::Lanes};

/// Sequences remembered as dealt with: 8 bytes each, several minutes of a busy stream.
const DONE_REMEMBERED: usize = 65_536;

/// Gives each event to its person's lane and keeps the lanes going.
pub(super) struct Dispatcher<H> {
    worker: Arc<Worker<H>>,
    lanes: Lanes<UserId, Item>,
    /// Everything admitted and not yet acknowledged, by sequence: an event that is handed out again
    /// meanwhile is not a new one.
    held: HashMap<u64, Ticket>,
    /// What was dealt with lately: after a lost connection the server hands out again all that lies
    /// above the oldest open event.
    done: BTreeSet<u64>,
    tasks: JoinSet<Step>,
    stop: CancellationToken,
}

/// What a task reports.
enum Step {
    Ended {
        user: UserId,
        sequence: u64,
        outcome: Outcome,
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
    pub(super) async fn run(mut self, mut received: mpsc::Receiver<jetstream::Message>) {
        let mut open = true;
        while open || !self.tasks.is_empty() {
            tokio::select! {
                message = received.recv(), if open => match message {
                    Some(message) => self.admit(message),
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

    fn admit(&mut self, message: jetstream::Message) {
        let reply = message.reply.clone();
        let Some(item) = Item::of(message) else {
            error!("a delivery without JetStream's reply subject was left alone");
            return;
        };
        if let (Some(ticket), Some(reply)) = (self.held.get(&item.sequence), reply) {
            ticket.renew(reply);
            return;
        }
        if self.done.contains(&item.sequence) {
            self.acknowledge(item.ticket.reply());
            return;
        }
        self.held.insert(item.sequence, item.ticket.clone());
        self.enqueue(item);
    }

    fn enqueue(&mut self, item: Item) {
        // When stopping, what is not begun is left for whoever takes over.
        if self.stop.is_cancelled() {
            return;
        }
        if let Some(item) = self.lanes.admit(item.user, item) {
            self.begin(item);
        }
    }

    fn begin(&mut self, item: Item) {
        let worker = Arc::clone(&self.worker);
        self.tasks.spawn(async move {
            let (user, sequence) = (item.user, item.sequence);
            Step::Ended {
                user,
                sequence,
                outcome: worker.work(item).await,
            }
        });
    }

    fn finish(&mut self, sequence: u64, acknowledged_at: &Subject) {
        // Handed out again while it was being acknowledged: the new delivery wants an answer too.
        if let Some(ticket) = self.held.remove(&sequence)
            && ticket.reply() != *acknowledged_at
        {
            self.acknowledge(ticket.reply());
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
            Step::Acknowledged
        });
    }

    fn advance(&mut self, report: Step) {
        match report {
            Step::Due(item) => self.enqueue(item),
            Step::Acknowledged => {}
            Step::Ended {
                user,
                sequence,
                outcome,
            } => {
                match outcome {
                    Outcome::Done(acknowledged_at) => self.finish(sequence, &acknowledged_at),
                    Outcome::Left => {
                        self.held.remove(&sequence);
                    }
                    Outcome::Deferred(item, pause) => {
                        let stop = self.stop.clone();
                        self.tasks.spawn(async move {
                            stop.run_until_cancelled(sleep(pause)).await;
                            Step::Due(item)
                        });
                    }
                }
                if let Some(next) = self
                    .lanes
                    .finish(&user)
                    .filter(|_| !self.stop.is_cancelled())
                {
                    self.begin(next);
                }
            }
        }
    }
}
