mod dispatch;
mod pull;
mod work;

use std::sync::Arc;

use claw_events::{Event, stored_filter};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{Bus, BusError, Handler};
use dispatch::Dispatcher;

/// Events pulled and not yet given to a lane.
const PULLED_AHEAD: usize = 256;

/// Feeds one kind of event to a handler, in lanes.
pub struct Consumer<H> {
    bus: Bus,
    purpose: &'static str,
    handler: Arc<H>,
}

impl<H: Handler> Consumer<H> {
    /// A consumer that keeps its place on the server under `purpose` (lower case, `a-z0-9-`).
    pub fn new(bus: Bus, purpose: &'static str, handler: H) -> Self {
        Self {
            bus,
            purpose,
            handler: Arc::new(handler),
        }
    }

    /// Runs until `stop`: then nothing new is begun, and this returns when what runs has ended.
    /// What was not begun is handed out again to whoever takes over.
    ///
    /// Fails when another process took over. An absent server is waited for.
    pub async fn run(self, stop: CancellationToken) -> Result<(), BusError> {
        let (pulled, received) = mpsc::channel(PULLED_AHEAD);
        let stop = stop.child_token();
        let source = pull::Puller {
            bus: self.bus.clone(),
            stream: <H::Event as Event>::STREAM,
            purpose: self.purpose,
            filter: stored_filter::<H::Event>(),
        };
        let dispatcher = Dispatcher::new(self.bus, self.purpose, self.handler, stop.clone());
        let pulling = async {
            let end = source.run(pulled, stop.clone()).await;
            // Whose place was taken begins nothing more: the successor has it all.
            stop.cancel();
            end
        };
        let (end, ()) = tokio::join!(pulling, dispatcher.run(received));
        end
    }
}
