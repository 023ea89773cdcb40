use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use claw_agent::{
    AgentConnection, AgentEvent, AgentHandle, CallError, Cursor, History, HistorySince,
    MAIN_SESSION, RunFailure,
};
use claw_domain::Sensitive;
use tokio::{
    sync::{broadcast, watch},
    task::AbortHandle,
    time::timeout,
};

/// Endings a turn may lag behind before it has to look into the transcript instead.
const ENDINGS_KEPT: usize = 64;

/// Rows read when there is no cursor to begin at: further back than any open turn lies.
const PAGE_ROWS: u32 = 200;

/// Rows read when a page did not reach far enough; the gateway gives no more.
const FAR_ROWS: u32 = 1_000;

/// How a run ended, as told live. Only a nudge: the transcript is what counts.
#[derive(Debug, Clone)]
pub(crate) enum Ending {
    /// It is over; without text it was silent, queued or fed into another run.
    Final {
        run: String,
        text: Option<Sensitive<String>>,
    },
    /// The model could not answer.
    Failed { run: String, failure: RunFailure },
    /// Somebody stopped it.
    Aborted { run: String },
}

impl Ending {
    /// Whose ending it is.
    pub(crate) fn run(&self) -> &str {
        match self {
            Self::Final { run, .. } | Self::Failed { run, .. } | Self::Aborted { run } => run,
        }
    }
}

/// An open connection to one sandbox, and where its transcript has been read to.
pub(crate) struct Session {
    handle: AgentHandle,
    endings: broadcast::Sender<Ending>,
    active: watch::Receiver<HashSet<String>>,
    cursor: Mutex<Option<Cursor>>,
    pump: AbortHandle,
}

impl Session {
    /// Takes over a fresh connection; finds out what goes on in it and where its transcript ends.
    pub(crate) async fn open(connection: AgentConnection) -> Result<Arc<Self>, CallError> {
        let handle = connection.handle().clone();
        let (endings, _) = broadcast::channel(ENDINGS_KEPT);
        let (active_now, active) = watch::channel(HashSet::new());
        let pump = tokio::spawn(pump(connection, endings.clone(), active_now));
        let session = Self {
            handle,
            endings,
            active,
            cursor: Mutex::default(),
            pump: pump.abort_handle(),
        };
        let history = session.handle.history(MAIN_SESSION, 1).await?;
        session.advance(&history);
        Ok(Arc::new(session))
    }

    /// The requests of the protocol.
    pub(crate) const fn handle(&self) -> &AgentHandle {
        &self.handle
    }

    /// Endings from now on.
    pub(crate) fn endings(&self) -> broadcast::Receiver<Ending> {
        self.endings.subscribe()
    }

    /// Where the transcript has been read to.
    pub(crate) fn cursor(&self) -> Option<Cursor> {
        self.lock().clone()
    }

    /// Waits until no run is known to be active, at most for `limit`: another's run in between would
    /// swallow ours.
    pub(crate) async fn idle(&self, limit: Duration) {
        let mut active = self.active.clone();
        // Past the limit, or with the pump gone, the send itself finds out how things are.
        let _ = timeout(limit, active.wait_for(HashSet::is_empty)).await;
    }

    /// Everything since `cursor`, or the latest page when that cannot be told or texts were cut.
    pub(crate) async fn read_since(&self, cursor: Option<&Cursor>) -> Result<History, CallError> {
        if let Some(cursor) = cursor
            && let HistorySince::Delta(history) =
                self.handle.history_since(MAIN_SESSION, cursor).await?
        {
            return Ok(history);
        }
        self.read_page().await
    }

    /// The latest page of the transcript.
    pub(crate) async fn read_page(&self) -> Result<History, CallError> {
        self.handle.history(MAIN_SESSION, PAGE_ROWS).await
    }

    /// As much of the transcript as the gateway gives at once.
    pub(crate) async fn read_far_back(&self) -> Result<History, CallError> {
        self.handle.history(MAIN_SESSION, FAR_ROWS).await
    }

    /// Notes that the transcript was read to the end of `history`.
    pub(crate) fn advance(&self, history: &History) {
        if let Some(cursor) = &history.cursor {
            *self.lock() = Some(cursor.clone());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Cursor>> {
        self.cursor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

/// Takes every event as it comes: the gateway cuts off who reads slowly.
async fn pump(
    mut connection: AgentConnection,
    endings: broadcast::Sender<Ending>,
    active: watch::Sender<HashSet<String>>,
) {
    while let Some(event) = connection.next_event().await {
        match event {
            AgentEvent::LifecycleStart { run, session, .. } if session == MAIN_SESSION => {
                active.send_modify(|runs| {
                    runs.insert(run);
                });
            }
            AgentEvent::ChatFinal { run, session, text } if session == MAIN_SESSION => {
                end(&endings, &active, Ending::Final { run, text });
            }
            AgentEvent::ChatError {
                run,
                session,
                failure,
            } if session == MAIN_SESSION => {
                end(&endings, &active, Ending::Failed { run, failure });
            }
            AgentEvent::ChatAborted { run, session } if session == MAIN_SESSION => {
                end(&endings, &active, Ending::Aborted { run });
            }
            AgentEvent::Challenge { .. }
            | AgentEvent::ChatDelta { .. }
            | AgentEvent::ChatFinal { .. }
            | AgentEvent::ChatError { .. }
            | AgentEvent::ChatAborted { .. }
            | AgentEvent::LifecycleStart { .. }
            | AgentEvent::LifecycleEnd { .. }
            | AgentEvent::SessionMessage { .. }
            | AgentEvent::Heartbeat
            | AgentEvent::CronFinished { .. }
            | AgentEvent::Tick
            | AgentEvent::Shutdown { .. }
            | AgentEvent::Other { .. } => {}
        }
    }
}

fn end(
    endings: &broadcast::Sender<Ending>,
    active: &watch::Sender<HashSet<String>>,
    ending: Ending,
) {
    active.send_if_modified(|runs| runs.remove(ending.run()));
    // Nobody listens between turns.
    let _ = endings.send(ending);
}
