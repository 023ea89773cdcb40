use std::{collections::HashMap, sync::Arc};

use claw_domain::SandboxId;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::start_queue::{StartClass, StartQueue, Ticket};

/// The permits to start sandboxes, of which there are few: a start keeps a core busy. Given in the order of
/// [`StartQueue`].
#[derive(Clone)]
pub(crate) struct StartPermits {
    state: Arc<Mutex<State>>,
}

struct State {
    queue: StartQueue,
    waiting: HashMap<Ticket, oneshot::Sender<StartPermit>>,
}

/// The right to start a sandbox. It lasts until it is dropped.
pub(crate) struct StartPermit {
    permits: StartPermits,
}

/// Takes a start that is no longer wanted out of the queue.
struct Waiting<'a> {
    permits: &'a StartPermits,
    ticket: Ticket,
}

impl StartPermits {
    pub(crate) fn new(permits: usize) -> Self {
        let state = State {
            queue: StartQueue::new(permits),
            waiting: HashMap::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Waits for a permit.
    pub(crate) async fn acquire(&self, sandbox: SandboxId, class: StartClass) -> StartPermit {
        loop {
            let (granting, granted) = oneshot::channel();
            let ticket = {
                let mut state = self.state.lock();
                let ticket = state.queue.enter(sandbox, class);
                state.waiting.insert(ticket, granting);
                ticket
            };
            let _waiting = Waiting {
                permits: self,
                ticket,
            };
            self.grant();
            if let Ok(permit) = granted.await {
                return permit;
            }
        }
    }

    /// Lets a waiting start go before less urgent ones.
    pub(crate) fn raise(&self, sandbox: SandboxId, class: StartClass) {
        self.state.lock().queue.raise(sandbox, class);
    }

    /// The number of starts that wait for a permit.
    pub(crate) fn waiting(&self) -> usize {
        self.state.lock().queue.waiting()
    }

    fn grant(&self) {
        while let Some(granting) = self.next() {
            let permit = StartPermit {
                permits: self.clone(),
            };
            // If the start is no longer wanted, dropping the permit gives it back.
            drop(granting.send(permit));
        }
    }

    fn next(&self) -> Option<oneshot::Sender<StartPermit>> {
        let mut state = self.state.lock();
        let ticket = state.queue.grant()?;
        state.waiting.remove(&ticket)
    }
}

impl Drop for StartPermit {
    fn drop(&mut self) {
        self.permits.state.lock().queue.give_back();
        self.permits.grant();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.permits.state.lock();
        state.queue.leave(self.ticket);
        state.waiting.remove(&self.ticket);
    }
}
