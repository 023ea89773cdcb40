use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{sync::oneshot, time::timeout};

use super::{
    line::{Act, Line, Record, What},
    view::{CallView, Ended, Heard},
};

/// Someone who dials our number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Caller {
    /// Their number with `+`, or what Twilio says instead (`anonymous`, `+266696687`, `sip:…`).
    pub from: String,
    /// `StirVerstat`; absent when the network says nothing.
    pub stir: Option<String>,
    /// The name the network knows.
    pub name: Option<String>,
    /// The number they dialled first.
    pub forwarded_from: Option<String>,
}

impl From<&str> for Caller {
    fn from(number: &str) -> Self {
        Self {
            from: number.to_owned(),
            ..Self::default()
        }
    }
}

/// A call in the hand of its caller.
#[derive(Debug, Clone)]
pub struct Call {
    line: Arc<Line>,
    patience: Duration,
    /// How many of the things heard `next_heard` has passed.
    passed: Arc<AtomicUsize>,
}

/// Something did not come about in time, or cannot any more; with the call as it was then.
#[derive(Debug)]
pub struct NotNow {
    /// What did not, and why.
    pub why: String,
    /// The call.
    pub call: Box<CallView>,
}

impl fmt::Display for NotNow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doing = &self.call.doing;
        write!(
            f,
            "{} (the call is {}, {doing})",
            self.why, self.call.status
        )
    }
}

impl std::error::Error for NotNow {}

impl Call {
    pub(crate) fn new(line: Arc<Line>, patience: Duration) -> Self {
        Self {
            line,
            patience,
            passed: Arc::default(),
        }
    }

    /// Twilio's id of the call.
    pub fn sid(&self) -> &str {
        &self.line.sid
    }

    /// Says something as soon as the call listens, interrupting what may be interrupted; returns
    /// when it was understood.
    pub async fn say(&self, text: &str) -> Result<(), NotNow> {
        self.act(What::Say(text.to_owned())).await
    }

    /// Presses keys as soon as the call listens.
    pub async fn key(&self, keys: &str) -> Result<(), NotNow> {
        self.act(What::Key(keys.to_owned())).await
    }

    /// Says nothing until the Gather under way, or the next one, gives up.
    pub async fn silent(&self) -> Result<(), NotNow> {
        self.act(What::Silent).await
    }

    /// Cuts the socket of the relay session under way, as a network does.
    pub async fn drop_socket(&self) -> Result<(), NotNow> {
        self.act(What::DropSocket).await
    }

    /// Hangs up, whatever is under way.
    pub fn hang_up(&self) {
        self.line.hung_up.cancel();
    }

    /// Everything the caller heard so far.
    pub fn heard(&self) -> Vec<Heard> {
        self.line.view().heard
    }

    /// The call as it is.
    pub fn view(&self) -> CallView {
        self.line.view()
    }

    /// Waits for the next thing the caller has heard to its end (or its interruption) and whose
    /// text contains `part`; what came before it is passed over.
    pub async fn next_heard(&self, part: &str, limit: Duration) -> Result<Heard, NotNow> {
        let passed = self.passed.load(Ordering::SeqCst);
        let found = |record: &Record| {
            let mut heard = record.view.heard.iter().enumerate().skip(passed);
            heard.find_map(|(place, heard)| {
                let is_it = heard.until_ms.is_some() && heard.text.contains(part);
                is_it.then(|| (place, heard.clone()))
            })
        };
        let (place, heard) = self
            .until(&format!("hearing {part:?}"), limit, found)
            .await?;
        self.passed.store(place + 1, Ordering::SeqCst);
        Ok(heard)
    }

    /// Waits until something whose text contains `part` is being spoken, without passing it over.
    pub async fn begins_to_hear(&self, part: &str, limit: Duration) -> Result<Heard, NotNow> {
        let passed = self.passed.load(Ordering::SeqCst);
        let found = |record: &Record| {
            let mut heard = record.view.heard.iter().skip(passed);
            heard.find(|heard| heard.text.contains(part)).cloned()
        };
        self.until(&format!("{part:?} beginning"), limit, found)
            .await
    }

    /// Waits until the view is as wanted, beyond the end of the call too.
    pub async fn view_where(
        &self,
        is_wanted: impl Fn(&CallView) -> bool,
        limit: Duration,
    ) -> Result<CallView, NotNow> {
        let found = |record: &Record| is_wanted(&record.view).then(|| record.view.clone());
        self.wait("the view wanted", limit, found, |_| false).await
    }

    /// Waits for the end of the call.
    pub async fn ended(&self, limit: Duration) -> Result<Ended, NotNow> {
        self.until("the end", limit, |record| record.view.ended.clone())
            .await
    }

    async fn act(&self, what: What) -> Result<(), NotNow> {
        let what_for_people = format!("{what:?}");
        let (done, outcome) = oneshot::channel();
        let mut record = self.line.watch();
        let acting = async {
            if self.line.acts.send(Act { what, done }).await.is_err() {
                return Err("the call has ended");
            }
            outcome.await.unwrap_or(Err("the call has ended"))
        };
        let ended = record.wait_for(|record| record.view.ended.is_some());
        let outcome = timeout(self.patience, async {
            tokio::select! {
                biased;
                outcome = acting => outcome,
                _ = ended => Err("the call has ended"),
            }
        });
        let why = match outcome.await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(why)) => why,
            Err(_) => "the call did not listen in time",
        };
        Err(self.not_now(&format!("{what_for_people}: {why}")))
    }

    /// Waits for what only a living call can do.
    async fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        found: impl FnMut(&Record) -> Option<T>,
    ) -> Result<T, NotNow> {
        let is_over = |record: &Record| record.view.ended.is_some();
        self.wait(what, limit, found, is_over).await
    }

    async fn wait<T>(
        &self,
        what: &str,
        limit: Duration,
        mut found: impl FnMut(&Record) -> Option<T>,
        is_over: impl Fn(&Record) -> bool,
    ) -> Result<T, NotNow> {
        let mut record = self.line.watch();
        let mut value = None;
        let waiting = record.wait_for(|record| {
            value = found(record);
            value.is_some() || is_over(record)
        });
        let in_time = timeout(limit, waiting).await.is_ok();
        let why = if in_time {
            "the call has ended"
        } else {
            "too late"
        };
        value.ok_or_else(|| self.not_now(&format!("{what}: {why}")))
    }

    fn not_now(&self, why: &str) -> NotNow {
        NotNow {
            why: why.to_owned(),
            call: Box::new(self.line.view()),
        }
    }
}
