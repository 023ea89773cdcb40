use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{
    caller_identity::CallerIdentity,
    form::{self, Fields},
    line::{CallerAction, Line, PendingAction},
    page::{Page, resolve_url},
    status_callbacks::StatusCallbacks,
    twiml::{Spoken, Verb},
    view::{EndReason, RequestKind},
    world::World,
};

/// Documents that one call can execute before it is ended as an endless loop.
const DOCUMENTS_LIMIT: usize = 2_000;

/// Duration of every sound file, in seconds.
const SOUND_SECONDS: f64 = 2.0;

/// The text that a caller hears when no document could be fetched.
const APOLOGY: &str = "We are sorry, an application error has occurred. Goodbye.";

/// Executes the documents of one call until it ends.
pub(crate) struct Interpreter {
    pub(crate) world: Arc<World>,
    pub(crate) line: Arc<Line>,
    pub(crate) actions: mpsc::Receiver<PendingAction>,
    /// The order to be silent, if the call has not listened since the caller got it.
    pub(crate) pending_silence: Option<PendingAction>,
    status_callbacks: StatusCallbacks,
}

/// A result whose `Err` is the end of the call.
pub(crate) type CallResult<T> = Result<T, EndReason>;

/// The event that ended a wait.
pub(crate) enum WaitOutcome {
    Elapsed,
    HungUp,
    Action(PendingAction),
}

impl World {
    /// Starts a call to our number.
    pub(crate) fn dial(self: &Arc<Self>, caller: CallerIdentity) -> Arc<Line> {
        let (line, actions) = Line::new(caller);
        let line = Arc::new(line);
        self.keep(Arc::clone(&line));
        let call = run(Arc::clone(self), Arc::clone(&line), actions);
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = call => {}
            }
        });
        line
    }
}

/// Runs a call from its ring to its end.
async fn run(world: Arc<World>, line: Arc<Line>, actions: mpsc::Receiver<PendingAction>) {
    let mut interpreter = Interpreter {
        status_callbacks: StatusCallbacks::of(&world, &line),
        world,
        line,
        actions,
        pending_silence: None,
    };
    let reason = interpreter.run().await;
    let pace = interpreter.world.config.pace;
    let duration_seconds = pace.on_the_line(interpreter.line.talk_time()).as_secs();
    interpreter.line.end(reason, duration_seconds);
    let status = interpreter.line.status();
    interpreter
        .status_callbacks
        .report_end(&status, duration_seconds)
        .await;
}

impl Interpreter {
    async fn run(&mut self) -> EndReason {
        match self.documents().await {
            Err(EndReason::ApplicationError(code)) => self.apologise(code).await,
            Err(reason) => reason,
            Ok(()) => EndReason::DocumentEnded,
        }
    }

    async fn documents(&mut self) -> CallResult<()> {
        self.status_callbacks.report("initiated", "initiated").await;
        self.status_callbacks.report("ringing", "ringing").await;
        let voice_url = self.world.config.voice_url.clone();
        let ring = form::of_ring(&self.line);
        let mut page = self.fetch(RequestKind::Voice, voice_url, ring).await?;
        for _ in 0..DOCUMENTS_LIMIT {
            page = self.execute(page).await?;
        }
        self.line.warn("the call is in an endless loop".to_owned());
        Err(EndReason::ApplicationError(11_200))
    }

    /// Executes a document until it leads to the next one.
    async fn execute(&mut self, page: Page) -> CallResult<Page> {
        for verb in page.document.verbs {
            if !matches!(verb, Verb::Reject | Verb::Redirect { .. }) {
                self.answer().await;
            }
            match verb {
                Verb::Spoken(spoken) => self.speak(&spoken).await?,
                Verb::Redirect { url } => {
                    let url = resolve_url(&page.url, &url);
                    return self.fetch(RequestKind::Redirect, url, Fields::new()).await;
                }
                Verb::Reject if !self.line.is_answered() => return Err(EndReason::Rejected),
                Verb::Hangup | Verb::Reject => return Err(EndReason::Hangup),
                Verb::Gather(gather) => {
                    if let Some(fields) = self.gather(&gather, &page.url).await? {
                        let url = resolve_url(&page.url, &gather.action);
                        return self.fetch(RequestKind::Gather, url, fields).await;
                    }
                }
                Verb::Connect { action, relay } => {
                    let action = action.map(|action| resolve_url(&page.url, &action));
                    let fields = self.relay(&relay, action.as_deref()).await?;
                    let Some(url) = action else {
                        return Err(EndReason::DocumentEnded);
                    };
                    return self.fetch(RequestKind::Connect, url, fields).await;
                }
            }
        }
        Err(EndReason::DocumentEnded)
    }

    async fn answer(&mut self) {
        if self.line.answer() {
            self.status_callbacks
                .report("answered", "in-progress")
                .await;
        }
    }

    /// Speaks to the caller; the caller cannot interrupt the speech.
    async fn speak(&mut self, spoken: &Spoken) -> CallResult<()> {
        match self.play(spoken, false).await {
            WaitOutcome::HungUp => Err(EndReason::CallerHungUp),
            WaitOutcome::Elapsed | WaitOutcome::Action(_) => Ok(()),
        }
    }

    /// Speaks to the caller. If the call `listens`, an action of the caller ends the speech.
    pub(crate) async fn play(&mut self, spoken: &Spoken, listens: bool) -> WaitOutcome {
        let pace = self.world.config.pace;
        self.line.set_doing("speaking");
        let (text, time, times) = match spoken {
            Spoken::Pause { seconds } => {
                let time = pace.of_seconds(*seconds);
                return self.pass_time(time, listens).await;
            }
            Spoken::Say { text, times } => {
                let time = pace.of_characters(text.chars().count());
                (text.clone(), time, *times)
            }
            Spoken::Play { url, times } => {
                let time = pace.of_seconds(SOUND_SECONDS);
                (format!("<play {url}>"), time, *times)
            }
        };
        let times = if text.is_empty() { 0 } else { times };
        for _ in 0..times {
            let begun = self.line.start_speech(&text);
            let since = Instant::now();
            let event = self.pass_time(time, listens).await;
            let is_cut = !matches!(event, WaitOutcome::Elapsed);
            let spoken = if is_cut {
                pace.characters_in(since.elapsed())
            } else {
                usize::MAX
            };
            self.line.end_speech(begun, spoken, is_cut);
            if is_cut {
                return event;
            }
        }
        WaitOutcome::Elapsed
    }

    /// Waits for `time`. If the call `listens`, an action of the caller ends the wait, except the order to
    /// be silent.
    async fn pass_time(&mut self, time: Duration, listens: bool) -> WaitOutcome {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let listens = listens && self.pending_silence.is_none();
            match self.wait(Some(left), listens).await {
                WaitOutcome::Action(pending) if pending.is_silence() => {
                    self.pending_silence = Some(pending);
                }
                WaitOutcome::Elapsed => return WaitOutcome::Elapsed,
                WaitOutcome::HungUp => return WaitOutcome::HungUp,
                WaitOutcome::Action(pending) => return WaitOutcome::Action(pending),
            }
        }
    }

    /// Waits until `time` has passed (without limit if absent) or the caller hangs up. If the call `listens`,
    /// any action of the caller ends the wait.
    pub(crate) async fn wait(&mut self, time: Option<Duration>, listens: bool) -> WaitOutcome {
        let hung_up = self.line.hung_up.clone();
        let passing = async {
            match time {
                Some(time) => sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(passing);
        loop {
            tokio::select! {
                biased;
                () = hung_up.cancelled() => return WaitOutcome::HungUp,
                Some(pending) = self.actions.recv(), if listens => {
                    if !pending.done.is_closed() {
                        return WaitOutcome::Action(pending);
                    }
                }
                () = &mut passing => return WaitOutcome::Elapsed,
            }
        }
    }

    async fn apologise(&mut self, code: u32) -> EndReason {
        self.line.answer();
        let apology = Spoken::Say {
            text: APOLOGY.to_owned(),
            times: 1,
        };
        self.speak(&apology).await.ok();
        EndReason::ApplicationError(code)
    }
}

impl PendingAction {
    /// Reports that the action had its effect.
    pub(crate) fn succeeds(self) {
        self.done.send(Ok(())).ok();
    }

    /// Reports why the action has no effect.
    pub(crate) fn fails(self, reason: &'static str) {
        self.done.send(Err(reason)).ok();
    }

    pub(crate) fn is_silence(&self) -> bool {
        self.action == CallerAction::Silent
    }
}
