mod dispatch;
#[cfg(debug_assertions)]
mod fault_point;
mod pull;
mod work;

use std::sync::Arc;

use async_nats::jetstream;
use claw_events::Event;
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{Bus, Handler, Ownership, Tenure, suspects::Suspects};
use dispatch::Dispatcher;
use pull::Puller;

/// Largest number of events pulled and not yet in a lane, over all units.
const PULLED_AHEAD: usize = 256;

/// Passes events of one type to a handler: one event of a user at a time, many users at once.
pub struct Consumer<H> {
    bus: Bus,
    purpose: &'static str,
    handler: Arc<H>,
}

/// A delivery, the tenure under which it was pulled, and the suspects of that tenure.
struct Pulled {
    message: jetstream::Message,
    tenure: Tenure,
    suspects: Option<Arc<Suspects>>,
}

impl<H: Handler> Consumer<H> {
    /// `purpose` (`a-z0-9-`) begins the names of the consumers on the server, one for each unit this replica holds.
    pub fn new(bus: Bus, purpose: &'static str, handler: H) -> Self {
        Self {
            bus,
            purpose,
            handler: Arc::new(handler),
        }
    }

    /// Consumes the units of `ownership` until `stop` is cancelled. Then no new event is started, and this returns
    /// when the running ones have ended. Events that were not started are redelivered to the next holder.
    ///
    /// Waits for an absent server.
    pub async fn run(self, ownership: &Ownership, stop: CancellationToken) {
        let (pulled, received) = mpsc::channel(PULLED_AHEAD);
        let source = Arc::new(Puller::<H::Event>::new(
            self.bus.clone(),
            self.purpose,
            ownership.suspect_gate(),
        ));
        let dispatcher = Dispatcher::new(self.bus, self.purpose, self.handler, stop.clone());
        let pulling = stop.run_until_cancelled(pull_for_tenures(source, ownership, pulled));
        tokio::join!(pulling, dispatcher.run(received));
    }
}

/// Pulls for every tenure while it lasts, until this future is dropped.
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
