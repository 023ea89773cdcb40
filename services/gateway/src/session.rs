use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use claw_agent::{
    AgentConnection, AgentEvent, AgentHandle, CallError, Cursor, History, HistorySince,
    MAIN_SESSION, RunFailure,
};
use claw_bus::Publisher;
use claw_domain::{CallId, Sensitive};
use claw_events::SpeechStreamed;
use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{Instant, timeout},
};

/// Endings kept for a reader that is busy; it looks into the transcript for what it missed.
const ENDINGS_KEPT: usize = 16;

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

/// An open connection to one sandbox, with one reader.
pub(crate) struct Session {
    handle: AgentHandle,
    live: Arc<Live>,
    pump: AbortHandle,
}

/// What a connection told live and its reader has not taken yet.
struct Live {
    news: Notify,
    signs: Mutex<Signs>,
    publisher: Publisher,
}

/// A run whose words a caller hears as they come.
struct Aloud {
    run: String,
    call: CallId,
    turn: u32,
    /// Characters told so far.
    told: u32,
}

struct Signs {
    endings: VecDeque<Ending>,
    active: HashSet<String>,
    /// Something was, or may have been, written into the transcript.
    has_rows: bool,
    /// When the sandbox last did anything for a run.
    last: Instant,
    aloud: Option<Aloud>,
}

impl Session {
    /// Takes over a fresh connection. A heartbeat's or reminder's row is told only to who subscribes.
    pub(crate) async fn open(
        connection: AgentConnection,
        publisher: Publisher,
    ) -> Result<Self, CallError> {
        let handle = connection.handle().clone();
        let live = Arc::new(Live {
            news: Notify::new(),
            signs: Mutex::new(Signs {
                endings: VecDeque::new(),
                active: HashSet::new(),
                has_rows: false,
                last: Instant::now(),
                aloud: None,
            }),
            publisher,
        });
        let pump = tokio::spawn(pump(connection, Arc::clone(&live)));
        let session = Self {
            handle,
            live,
            pump: pump.abort_handle(),
        };
        session.handle.subscribe().await?;
        Ok(session)
    }

    /// The requests of the protocol.
    pub(crate) const fn handle(&self) -> &AgentHandle {
        &self.handle
    }

    /// Returns when there was news since the last call, or the connection is over.
    pub(crate) async fn news(&self) {
        tokio::select! {
            () = self.live.news.notified() => {}
            _ = self.handle.closed() => {}
        }
    }

    /// What this run says is told to whoever talks with the caller, as it comes.
    pub(crate) fn tell_aloud(&self, run: &str, call: CallId, turn: u32) {
        self.live.signs().aloud = Some(Aloud {
            run: run.to_owned(),
            call,
            turn,
            told: 0,
        });
    }

    /// The oldest ending not taken yet.
    pub(crate) fn take_ending(&self) -> Option<Ending> {
        self.live.signs().endings.pop_front()
    }

    /// Forgets the endings heard so far: what is begun now has none of them.
    pub(crate) fn forget_endings(&self) {
        self.live.signs().endings.clear();
    }

    /// Whether the transcript may have grown since this was last asked.
    pub(crate) fn take_growth(&self) -> bool {
        std::mem::take(&mut self.live.signs().has_rows)
    }

    /// Counts [`Session::quiet_for`] from now on.
    pub(crate) fn begin_quiet(&self) {
        self.live.signs().last = Instant::now();
    }

    /// How long the sandbox has done nothing for any run.
    pub(crate) fn quiet_for(&self) -> Duration {
        self.live.signs().last.elapsed()
    }

    /// Waits until no run is known to be active, at most for `limit`: another's run in between would
    /// swallow ours.
    pub(crate) async fn idle(&self, limit: Duration) {
        let idle = async {
            while !self.live.signs().active.is_empty() && !self.handle.is_closed() {
                self.news().await;
            }
        };
        if timeout(limit, idle).await.is_err() {
            // Its end was never told. The send itself finds out how things are.
            self.live.signs().active.clear();
        }
    }

    /// Everything since `cursor`, or the latest page when that cannot be told or texts were cut.
    pub(crate) async fn read_since(&self, cursor: Option<&Cursor>) -> Result<History, CallError> {
        // What was written so far is read now.
        self.live.signs().has_rows = false;
        if let Some(cursor) = cursor
            && let HistorySince::Delta(history) =
                self.handle.history_since(MAIN_SESSION, cursor).await?
        {
            return Ok(history);
        }
        let page = self.handle.history(MAIN_SESSION, PAGE_ROWS).await?;
        if page.has_more {
            return self.read_far_back().await;
        }
        Ok(page)
    }

    /// As much of the transcript as the gateway gives at once.
    pub(crate) async fn read_far_back(&self) -> Result<History, CallError> {
        self.handle.history(MAIN_SESSION, FAR_ROWS).await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

impl Live {
    fn signs(&self) -> MutexGuard<'_, Signs> {
        self.signs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, ending: Ending) {
        {
            let mut signs = self.signs();
            signs.active.remove(ending.run());
            if signs.endings.len() == ENDINGS_KEPT {
                signs.endings.pop_front();
            }
            signs.endings.push_back(ending);
            signs.has_rows = true;
        }
        self.news.notify_one();
    }

    /// The next piece of a run that is told aloud.
    fn piece(&self, run: &str, text: Sensitive<String>) -> Option<SpeechStreamed> {
        let mut signs = self.signs();
        let aloud = signs.aloud.as_mut().filter(|aloud| aloud.run == run)?;
        let offset = aloud.told;
        let length = text.expose().chars().count();
        aloud.told = offset.saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
        Some(SpeechStreamed {
            call: aloud.call,
            turn: aloud.turn,
            offset,
            text,
        })
    }

    fn grown(&self) {
        self.signs().has_rows = true;
        self.news.notify_one();
    }
}

/// Takes every event as it comes: the gateway cuts off who reads slowly.
async fn pump(mut connection: AgentConnection, live: Arc<Live>) {
    while let Some(event) = connection.next_event().await {
        if is_work(&event) {
            live.signs().last = Instant::now();
        }
        match event {
            AgentEvent::LifecycleStart { run, session } if session == MAIN_SESSION => {
                live.signs().active.insert(run);
            }
            // One that replaces what came before cannot be told: the caller has heard that.
            AgentEvent::ChatDelta {
                run,
                session,
                text,
                replaces: false,
            } if session == MAIN_SESSION => {
                if let Some(piece) = live.piece(&run, text) {
                    live.publisher.signal(&piece).await;
                }
            }
            AgentEvent::ChatFinal { run, session, text } if session == MAIN_SESSION => {
                live.end(Ending::Final { run, text });
            }
            AgentEvent::ChatError {
                run,
                session,
                failure,
            } if session == MAIN_SESSION => live.end(Ending::Failed { run, failure }),
            AgentEvent::ChatAborted { run, session } if session == MAIN_SESSION => {
                live.end(Ending::Aborted { run });
            }
            // None carries its text for certain and whole: they only say that the transcript has it.
            AgentEvent::Heartbeat | AgentEvent::CronFinished => live.grown(),
            AgentEvent::SessionMessage { session } if session == MAIN_SESSION => live.grown(),
            AgentEvent::Challenge { .. }
            | AgentEvent::ChatDelta { .. }
            | AgentEvent::ChatFinal { .. }
            | AgentEvent::ChatError { .. }
            | AgentEvent::ChatAborted { .. }
            | AgentEvent::LifecycleStart { .. }
            | AgentEvent::LifecycleEnd { .. }
            | AgentEvent::SessionMessage { .. }
            | AgentEvent::Tick
            | AgentEvent::Shutdown
            | AgentEvent::Other { .. } => {}
        }
    }
}

/// Whether the event shows that something goes on in a run, not only that the sandbox lives.
fn is_work(event: &AgentEvent) -> bool {
    match event {
        AgentEvent::ChatDelta { .. }
        | AgentEvent::ChatFinal { .. }
        | AgentEvent::ChatError { .. }
        | AgentEvent::ChatAborted { .. }
        | AgentEvent::LifecycleStart { .. }
        | AgentEvent::LifecycleEnd { .. }
        | AgentEvent::SessionMessage { .. } => true,
        AgentEvent::Other { name } => name.starts_with("agent.") || name.starts_with("chat."),
        AgentEvent::Challenge { .. }
        | AgentEvent::Heartbeat
        | AgentEvent::CronFinished
        | AgentEvent::Tick
        | AgentEvent::Shutdown => false,
    }
}
