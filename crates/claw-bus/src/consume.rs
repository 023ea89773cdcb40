mod dispatch;
mod pull;
mod work;

use std::sync::Arc;

use async_nats::jetstream;
use claw_events::Event;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{Bus, Handler, Ownership, Tenure};
use dispatch::Dispatcher;
use pull::Puller;

/// Events pulled and not yet given to a lane, of all units together.
const PULLED_AHEAD: usize = 256;

/// Feeds one kind of event to a handler, in lanes.
pub struct Consumer<H> {
    bus: Bus,
    purpose: &'static str,
    handler: Arc<H>,
}

/// A delivery, and why it came to us.
struct Pulled {
    message: jetstream::Message,
    tenure: Tenure,
}

impl<H: Handler> Consumer<H> {
    /// A consumer that keeps its consumers on the server under `purpose` (lower case, `a-z0-9-`), one for
    /// each unit that is ours.
    pub fn new(bus: Bus, purpose: &'static str, handler: H) -> Self {
        Self {
            bus,
            purpose,
            handler: Arc::new(handler),
        }
    }

    /// Runs until `stop`, with what `ownership` says is ours: then nothing new is begun, and this
    /// returns when what runs has ended. What was not begun is handed out again to whoever has it next.
    ///
    /// An absent server is waited for.
    pub async fn run(self, ownership: &Ownership, stop: CancellationToken) {
        let (pulled, received) = mpsc::channel(PULLED_AHEAD);
        let source = Arc::new(Puller::<H::Event>::new(self.bus.clone(), self.purpose));
        let dispatcher = Dispatcher::new(self.bus, self.purpose, self.handler, stop.clone());
        let pulling = stop.run_until_cancelled(pull_for_tenures(source, ownership, pulled));
        tokio::join!(pulling, dispatcher.run(received));
    }
}

/// Pulls for every tenure while it lasts. Dropping this stops them all.
async fn pull_for_tenures<E: Event>(
    source: Arc<Puller<E>>,
    ownership: &Ownership,
    pulled: mpsc::Sender<Pulled>,
) {
    let mut tenures = ownership.tenures();
    let mut pulling = JoinSet::new();
    loop {
        tokio::select! {
            tenure = tenures.next() => match tenure {
                Some(tenure) => {
                    pulling.spawn(Arc::clone(&source).run(tenure, pulled.clone()));
                }
                None => return,
            },
            Some(_ended) = pulling.join_next() => {}
        }
    }
}
