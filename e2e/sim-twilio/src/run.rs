use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{
    fetch::{Page, joined},
    form::{self, Fields},
    line::{Act, Line, What},
    status::Statuses,
    twiml::{Spoken, Verb},
    view::{RequestKind, Why},
    world::World,
};

/// Documents one call may run through before it counts as caught in a circle.
const DOCUMENTS_LIMIT: usize = 2_000;

/// Seconds a sound is taken to last.
const SOUND_SECONDS: f64 = 2.0;

/// What a caller hears when no document could be had.
const APOLOGY: &str = "We are sorry, an application error has occurred. Goodbye.";

/// A call being put through: executes documents until it ends.
pub(crate) struct Phone {
    pub(crate) world: Arc<World>,
    pub(crate) line: Arc<Line>,
    pub(crate) acts: mpsc::Receiver<Act>,
    /// The caller was told to be silent, and the call does not listen for that yet.
    pub(crate) told_silent: Option<Act>,
    statuses: Statuses,
}

/// `Err` is the end of the call.
pub(crate) type Step<T> = Result<T, Why>;

/// What ended a wait.
pub(crate) enum Event {
    Elapsed,
    HungUp,
    Act(Act),
}

/// Puts a call through from its ring to its end.
pub(crate) async fn run(world: Arc<World>, line: Arc<Line>, acts: mpsc::Receiver<Act>) {
    let mut phone = Phone {
        statuses: Statuses::of(&world, &line),
        world,
        line,
        acts,
        told_silent: None,
    };
    let why = phone.live().await;
    let pace = phone.world.config.pace;
    let duration_seconds = pace.on_the_line(phone.line.talked_for()).as_secs();
    phone.line.ends(why, duration_seconds);
    let status = phone.line.status();
    phone.statuses.ends(&status, duration_seconds).await;
}

impl Phone {
    async fn live(&mut self) -> Why {
        match self.documents().await {
            Err(Why::ApplicationError(code)) => self.apologise(code).await,
            Err(why) => why,
            Ok(()) => Why::DocumentEnded,
        }
    }

    async fn documents(&mut self) -> Step<()> {
        self.statuses.passes("initiated", "initiated").await;
        self.statuses.passes("ringing", "ringing").await;
        let voice_url = self.world.config.voice_url.clone();
        let ring = form::of_ring(&self.line);
        let mut page = self.fetch(RequestKind::Voice, voice_url, ring).await?;
        for _ in 0..DOCUMENTS_LIMIT {
            page = self.execute(page).await?;
        }
        self.line.warn("the call runs in circles".to_owned());
        Err(Why::ApplicationError(11_200))
    }

    /// Executes a document until it leads to the next one.
    async fn execute(&mut self, page: Page) -> Step<Page> {
        for verb in page.document.verbs {
            if !matches!(verb, Verb::Reject | Verb::Redirect { .. }) {
                self.answer().await;
            }
            match verb {
                Verb::Spoken(spoken) => self.speak(&spoken).await?,
                Verb::Redirect { url } => {
                    let url = joined(&page.url, &url);
                    return self.fetch(RequestKind::Redirect, url, Fields::new()).await;
                }
                Verb::Reject if !self.line.is_answered() => return Err(Why::Rejected),
                Verb::Hangup | Verb::Reject => return Err(Why::Hangup),
                Verb::Gather(gather) => {
                    if let Some(fields) = self.gather(&gather, &page.url).await? {
                        let url = joined(&page.url, &gather.action);
                        return self.fetch(RequestKind::Gather, url, fields).await;
                    }
                }
                Verb::Connect { action, relay } => {
                    let action = action.map(|action| joined(&page.url, &action));
                    let fields = self.relay(&relay, action.as_deref()).await?;
                    let Some(url) = action else {
                        return Err(Why::DocumentEnded);
                    };
                    return self.fetch(RequestKind::Connect, url, fields).await;
                }
            }
        }
        Err(Why::DocumentEnded)
    }

    async fn answer(&mut self) {
        if self.line.answer() {
            self.statuses.passes("answered", "in-progress").await;
        }
    }

    /// Lets the caller hear something no word of theirs can stop.
    async fn speak(&mut self, spoken: &Spoken) -> Step<()> {
        match self.utter(spoken, false).await {
            Event::HungUp => Err(Why::CallerHungUp),
            Event::Elapsed | Event::Act(_) => Ok(()),
        }
    }

    /// Lets the caller hear something, until they act if the call `listens`.
    pub(crate) async fn utter(&mut self, spoken: &Spoken, listens: bool) -> Event {
        let pace = self.world.config.pace;
        self.line.does("speaks");
        let (text, time, times) = match spoken {
            Spoken::Pause { seconds } => {
                let time = pace.of_seconds(*seconds);
                return self.last(time, listens).await;
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
            let begun = self.line.begins(&text);
            let since = Instant::now();
            let event = self.last(time, listens).await;
            let is_cut = !matches!(event, Event::Elapsed);
            let spoken = if is_cut {
                pace.characters_in(since.elapsed())
            } else {
                usize::MAX
            };
            self.line.stops(begun, spoken, is_cut);
            if is_cut {
                return event;
            }
        }
        Event::Elapsed
    }

    /// Lets `time` pass, which no silence of the caller cuts short.
    async fn last(&mut self, time: Duration, listens: bool) -> Event {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let listens = listens && self.told_silent.is_none();
            match self.wait(Some(left), listens).await {
                Event::Act(act) if act.is_silence() => self.told_silent = Some(act),
                Event::Elapsed => return Event::Elapsed,
                Event::HungUp => return Event::HungUp,
                Event::Act(act) => return Event::Act(act),
            }
        }
    }

    /// Waits for `time` to pass (for ever without one), or for the caller.
    pub(crate) async fn wait(&mut self, time: Option<Duration>, listens: bool) -> Event {
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
                () = hung_up.cancelled() => return Event::HungUp,
                Some(act) = self.acts.recv(), if listens => {
                    if !act.done.is_closed() {
                        return Event::Act(act);
                    }
                }
                () = &mut passing => return Event::Elapsed,
            }
        }
    }

    async fn apologise(&mut self, code: u32) -> Why {
        self.line.answer();
        let apology = Spoken::Say {
            text: APOLOGY.to_owned(),
            times: 1,
        };
        self.speak(&apology).await.ok();
        Why::ApplicationError(code)
    }
}

impl Act {
    /// Tells whoever acts that it had its effect.
    pub(crate) fn succeeds(self) {
        self.done.send(Ok(())).ok();
    }

    /// Tells whoever acts why it has none.
    pub(crate) fn fails(self, why: &'static str) {
        self.done.send(Err(why)).ok();
    }

    pub(crate) fn is_silence(&self) -> bool {
        self.what == What::Silent
    }
}
