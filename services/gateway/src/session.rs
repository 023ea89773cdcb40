use std::{collections::HashSet, sync::Arc, time::Duration};

use claw_agent::{
    AgentConnection, AgentEvent, AgentHandle, Allowance, CallError, Cursor, History, HistorySince,
    MAIN_SESSION, RunFailure,
};
use claw_bus::Publisher;
use claw_domain::{CallId, ReplyText, Sensitive};
use claw_events::SpeechStreamed;
use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

/// Most runs of a sandbox that are known to be active. OpenClaw runs one at a time; the ids have at most 256 bytes.
const ACTIVE_RUNS_KNOWN: usize = 16;

/// Readings of the transcript at once, and per second. A turn needs two or three. A page counts as five.
const READINGS_AT_ONCE: u32 = 60;
const READINGS_PER_SECOND: u32 = 3;
const PAGE_READINGS: u32 = 5;

/// Rows read if there is no cursor to start at: more than any open turn needs.
const PAGE_ROWS: u32 = 200;

/// Rows read if a page did not reach far enough. OpenClaw returns no more at once.
const FAR_ROWS: u32 = 1_000;

/// How much of an answer is streamed to a call, in characters of Markdown. A caller hears 600 characters, and gets the
/// rest in the chat.
const MOST_STREAMED_CHARS: u32 = 8_000;

/// The end of a run as an event tells it. Only a hint: the transcript is authoritative.
#[derive(Debug, Clone)]
pub(crate) enum RunEnd {
    /// The awaited run is over. Without a text it was silent, queued or absorbed by another run.
    Final(Option<ReplyText>),
    Failed(RunFailure),
    Aborted,
    /// Another run has ended, which may have been the awaited one under another id.
    OfAnother,
}

/// An open connection to one sandbox, with one reader.
pub(crate) struct Session {
    handle: AgentHandle,
    shared: Arc<Shared>,
    readings: Mutex<Allowance>,
    _events: AbortOnDropHandle<()>,
}

/// The state that the task that reads events shares with the session's reader.
struct Shared {
    changed: Notify,
    state: Mutex<State>,
    publisher: Publisher,
}

struct State {
    awaited: Option<AwaitedEnd>,
    /// A run that nobody awaits has ended.
    has_other_ended: bool,
    active_runs: HashSet<String>,
    /// The transcript has, or may have, new rows.
    has_rows: bool,
    last_activity: Instant,
    streamed: Option<StreamedRun>,
}

/// A run whose end is awaited, and the end until it is taken.
struct AwaitedEnd {
    run: String,
    end: Option<RunEnd>,
}

/// Keeps the end of a run until this is dropped.
pub(crate) struct AwaitedRun<'a>(&'a Session);

/// A run whose text is streamed to a call.
struct StreamedRun {
    run: String,
    call: CallId,
    turn: u32,
    /// Characters streamed so far.
    streamed_chars: u32,
}

impl Session {
    /// Takes over a fresh connection. Subscribes to the transcript, because only subscribers are told of
    /// the rows of heartbeats and reminders.
    pub(crate) async fn open(
        connection: AgentConnection,
        publisher: Publisher,
    ) -> Result<Self, CallError> {
        let handle = connection.handle().clone();
        let shared = Arc::new(Shared {
            changed: Notify::new(),
            state: Mutex::new(State::new()),
            publisher,
        });
        let events = tokio::spawn(read_events(connection, Arc::clone(&shared)));
        let session = Self {
            handle,
            shared,
            readings: Mutex::new(Allowance::new(
                READINGS_AT_ONCE,
                READINGS_PER_SECOND,
                Instant::now(),
            )),
            _events: AbortOnDropHandle::new(events),
        };
        session.handle.subscribe().await?;
        Ok(session)
    }

    /// Sends requests to OpenClaw.
    pub(crate) const fn handle(&self) -> &AgentHandle {
        &self.handle
    }

    /// Returns when an event has arrived since the last call, or the connection is closed.
    pub(crate) async fn changed(&self) {
        tokio::select! {
            () = self.shared.changed.notified() => {}
            _ = self.handle.closed() => {}
        }
    }

    /// Publishes the text of this run piece by piece, for a caller to hear.
    pub(crate) fn stream_to_call(&self, run: &str, call: CallId, turn: u32) {
        self.shared.state.lock().streamed = Some(StreamedRun {
            run: run.to_owned(),
            call,
            turn,
            streamed_chars: 0,
        });
    }

    /// Keeps the end of this run from now on, and forgets those of earlier ones.
    pub(crate) fn await_run(&self, run: &str) -> AwaitedRun<'_> {
        self.shared.state.lock().await_run(run);
        AwaitedRun(self)
    }

    /// The end of the awaited run, or the news that another run has ended, if not taken yet.
    pub(crate) fn take_run_end(&self) -> Option<RunEnd> {
        self.shared.state.lock().take_run_end()
    }

    /// Whether the transcript may have new rows since the last call.
    pub(crate) fn take_has_rows(&self) -> bool {
        std::mem::take(&mut self.shared.state.lock().has_rows)
    }

    /// Counts [`Session::idle_time`] from now on.
    pub(crate) fn reset_idle_time(&self) {
        self.shared.state.lock().last_activity = Instant::now();
    }

    /// How long no run has shown any activity.
    pub(crate) fn idle_time(&self) -> Duration {
        self.shared.state.lock().last_activity.elapsed()
    }

    /// Waits, at most for `limit`, until no run is known to be active: an active run would absorb our
    /// message.
    pub(crate) async fn wait_until_idle(&self, limit: Duration) {
        let idle = async {
            while !self.shared.state.lock().active_runs.is_empty() && !self.handle.is_closed() {
                self.changed().await;
            }
        };
        if timeout(limit, idle).await.is_err() {
            // The end of the run was never announced. The send itself finds out whether the run is active.
            self.shared.state.lock().active_runs.clear();
        }
    }

    /// The rows since `cursor`, or the latest page if OpenClaw cannot return them or cut a text.
    pub(crate) async fn read_since(&self, cursor: Option<&Cursor>) -> Result<History, CallError> {
        if let Some(cursor) = cursor {
            self.pace_readings(1).await;
            self.shared.state.lock().has_rows = false;
            let since = self.handle.history_since(MAIN_SESSION, cursor).await?;
            if let HistorySince::Delta(history) = since {
                return Ok(history);
            }
        }
        self.pace_readings(PAGE_READINGS).await;
        self.shared.state.lock().has_rows = false;
        let page = self.handle.history(MAIN_SESSION, PAGE_ROWS).await?;
        if page.has_more {
            return self.read_far_back().await;
        }
        Ok(page)
    }

    /// As many rows as OpenClaw returns at once.
    pub(crate) async fn read_far_back(&self) -> Result<History, CallError> {
        self.pace_readings(PAGE_READINGS).await;
        self.handle.history(MAIN_SESSION, FAR_ROWS).await
    }

    /// Waits until the transcript may be read again: a sandbox decides how often it announces new rows, and every
    /// reading costs processor time and statements.
    async fn pace_readings(&self, readings: u32) {
        loop {
            let taken = self.readings.lock().take(readings, Instant::now());
            match taken {
                Ok(()) => return,
                Err(pause) => sleep(pause).await,
            }
        }
    }
}

impl Drop for AwaitedRun<'_> {
    fn drop(&mut self) {
        self.0.shared.state.lock().awaited = None;
    }
}

impl State {
    fn new() -> Self {
        Self {
            awaited: None,
            has_other_ended: false,
            active_runs: HashSet::new(),
            has_rows: false,
            last_activity: Instant::now(),
            streamed: None,
        }
    }

    fn await_run(&mut self, run: &str) {
        self.awaited = Some(AwaitedEnd {
            run: run.to_owned(),
            end: None,
        });
        self.has_other_ended = false;
    }

    fn begin_run(&mut self, run: String) {
        if self.active_runs.len() < ACTIVE_RUNS_KNOWN {
            self.active_runs.insert(run);
        }
    }

    fn end_run(&mut self, run: &str, end: RunEnd) {
        self.active_runs.remove(run);
        match self.awaited.as_mut().filter(|awaited| awaited.run == run) {
            // The first end counts, unless a later one adds the text.
            Some(awaited) if matches!(awaited.end, None | Some(RunEnd::Final(None))) => {
                awaited.end = Some(end);
            }
            Some(_) => {}
            None => self.has_other_ended = true,
        }
    }

    fn take_run_end(&mut self) -> Option<RunEnd> {
        let awaited = self.awaited.as_mut();
        let end = awaited.and_then(|awaited| awaited.end.take());
        if end.is_none() && std::mem::take(&mut self.has_other_ended) {
            return Some(RunEnd::OfAnother);
        }
        end
    }
}

impl Shared {
    fn end_run(&self, run: &str, end: RunEnd) {
        self.state.lock().end_run(run, end);
        self.rows_added();
    }

    fn rows_added(&self) {
        self.state.lock().has_rows = true;
        self.changed.notify_one();
    }

    /// The next piece of a run's text, if the run is streamed.
    fn next_piece(&self, run: &str, text: Sensitive<String>) -> Option<SpeechStreamed> {
        let mut state = self.state.lock();
        let streamed = state.streamed.as_mut();
        streamed.filter(|streamed| streamed.run == run)?.piece(text)
    }
}

impl StreamedRun {
    /// The next piece; `None` for what is beyond the limit.
    fn piece(&mut self, text: Sensitive<String>) -> Option<SpeechStreamed> {
        let offset = self.streamed_chars;
        let length = text.expose().chars().count();
        self.streamed_chars = offset.saturating_add(u32::try_from(length).unwrap_or(u32::MAX));
        (self.streamed_chars <= MOST_STREAMED_CHARS).then_some(SpeechStreamed {
            call: self.call,
            turn: self.turn,
            offset,
            text,
        })
    }
}

/// Takes every event at once, because OpenClaw disconnects slow readers.
async fn read_events(mut connection: AgentConnection, shared: Arc<Shared>) {
    while let Some(event) = connection.next_event().await {
        if is_activity(&event) {
            shared.state.lock().last_activity = Instant::now();
        }
        match event {
            AgentEvent::LifecycleStart { run, session } if session == MAIN_SESSION => {
                shared.state.lock().begin_run(run);
            }
            // A text that replaces earlier pieces is not streamed: the caller has heard those.
            AgentEvent::ChatDelta {
                run,
                session,
                text,
                replaces: false,
            } if session == MAIN_SESSION => {
                if let Some(piece) = shared.next_piece(&run, text) {
                    shared.publisher.signal(&piece).await;
                }
            }
            AgentEvent::ChatFinal { run, session, text } if session == MAIN_SESSION => {
                shared.end_run(&run, RunEnd::Final(text));
            }
            AgentEvent::ChatError {
                run,
                session,
                failure,
            } if session == MAIN_SESSION => shared.end_run(&run, RunEnd::Failed(failure)),
            AgentEvent::ChatAborted { run, session } if session == MAIN_SESSION => {
                shared.end_run(&run, RunEnd::Aborted);
            }
            // The text may be missing or cut in these events; the transcript has it.
            AgentEvent::Heartbeat | AgentEvent::CronFinished => shared.rows_added(),
            AgentEvent::SessionMessage { session } if session == MAIN_SESSION => {
                shared.rows_added();
            }
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

/// Whether the event shows progress of a run, not only that the sandbox is alive.
fn is_activity(event: &AgentEvent) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_the_awaited_run_is_kept_and_the_first_counts() {
        let mut state = State::new();
        let ended = |text: &str| RunEnd::Final(Some(text.into()));
        for number in 0..1_000 {
            state.end_run(&format!("idle-{number}"), ended("large"));
        }
        state.await_run("ours");
        assert!(state.take_run_end().is_none());

        state.end_run("another", ended("large"));
        state.end_run("ours", RunEnd::Final(None));
        state.end_run("ours", ended("first"));
        state.end_run("ours", ended("second"));

        let end = state.take_run_end();
        assert!(matches!(end, Some(RunEnd::Final(Some(text))) if text.expose() == "first"));
        assert!(matches!(state.take_run_end(), Some(RunEnd::OfAnother)));
        assert!(state.take_run_end().is_none());
    }

    #[test]
    fn runs_that_begin_without_end_are_not_all_remembered() {
        let mut state = State::new();

        for number in 0..1_000 {
            state.begin_run(format!("run-{number}"));
        }

        assert_eq!(state.active_runs.len(), ACTIVE_RUNS_KNOWN);
    }

    #[test]
    fn a_call_gets_no_more_of_an_answer_than_it_can_speak() {
        let mut run = StreamedRun {
            run: "msg_1".to_owned(),
            call: CallId::derived_from("CA1"),
            turn: 1,
            streamed_chars: 0,
        };
        let mut next = |text: &str| run.piece(text.repeat(4_000).into()).map(|it| it.offset);

        assert_eq!(next("ä"), Some(0));
        assert_eq!(next("b"), Some(4_000));
        assert_eq!(next("c"), None);
        assert_eq!(next("d"), None);
    }
}
