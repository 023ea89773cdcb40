use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

use super::{
    line::{CallerAction, Line, LineState, PendingAction},
    view::{CallView, Ended, Heard},
};

/// The caller's handle on a call.
#[derive(Debug, Clone)]
pub struct Call {
    line: Arc<Line>,
    action_timeout: Duration,
    /// How many entries of `heard` the method `next_heard` has returned or skipped.
    passed: Arc<AtomicUsize>,
}

/// An action of the caller failed, or a condition was not met in time or can no longer be met.
#[derive(Debug)]
pub struct WaitError {
    /// The action or condition, and why it failed.
    pub reason: String,
    /// The call at that time.
    pub call: Box<CallView>,
}

impl fmt::Display for WaitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doing = &self.call.doing;
        write!(
            f,
            "{} (the call is {}, {doing})",
            self.reason, self.call.status
        )
    }
}

impl std::error::Error for WaitError {}

impl Call {
    pub(crate) fn new(line: Arc<Line>, action_timeout: Duration) -> Self {
        Self {
            line,
            action_timeout,
            passed: Arc::default(),
        }
    }

    /// Twilio's id of the call.
    pub fn sid(&self) -> &str {
        &self.line.sid
    }

    /// Says something as soon as the call listens, and interrupts speech that can be interrupted. Returns
    /// when the words were recognised.
    pub async fn say(&self, text: &str) -> Result<(), WaitError> {
        self.perform(CallerAction::Say(text.to_owned())).await
    }

    /// Presses keys as soon as the call listens.
    pub async fn key(&self, keys: &str) -> Result<(), WaitError> {
        self.perform(CallerAction::Key(keys.to_owned())).await
    }

    /// Says nothing until the current Gather, or the next one, times out.
    pub async fn silent(&self) -> Result<(), WaitError> {
        self.perform(CallerAction::Silent).await
    }

    /// Cuts the socket of the current relay session, as a network failure does.
    pub async fn drop_socket(&self) -> Result<(), WaitError> {
        self.perform(CallerAction::DropSocket).await
    }

    /// Hangs up at once.
    pub fn hang_up(&self) {
        self.line.hung_up.cancel();
    }

    /// The texts and sounds that the caller has heard, oldest first.
    pub fn heard(&self) -> Vec<Heard> {
        self.line.view().heard
    }

    /// The current state of the call.
    pub fn view(&self) -> CallView {
        self.line.view()
    }

    /// Waits until the caller has heard a text that contains `part`, to its end or its interruption. Skips
    /// everything heard before it.
    pub async fn next_heard(&self, part: &str, limit: Duration) -> Result<Heard, WaitError> {
        let passed = self.passed.load(Ordering::SeqCst);
        let found = |record: &LineState| {
            let mut heard = record.view.heard.iter().enumerate().skip(passed);
            heard.find_map(|(index, heard)| {
                let is_it = heard.until_ms.is_some() && heard.text.contains(part);
                is_it.then(|| (index, heard.clone()))
            })
        };
        let (index, heard) = self
            .until(&format!("hearing {part:?}"), limit, found)
            .await?;
        self.passed.store(index + 1, Ordering::SeqCst);
        Ok(heard)
    }

    /// Waits until a text that contains `part` is being spoken, and does not skip it.
    pub async fn begins_to_hear(&self, part: &str, limit: Duration) -> Result<Heard, WaitError> {
        let passed = self.passed.load(Ordering::SeqCst);
        let found = |record: &LineState| {
            let mut heard = record.view.heard.iter().skip(passed);
            heard.find(|heard| heard.text.contains(part)).cloned()
        };
        self.until(&format!("{part:?} beginning"), limit, found)
            .await
    }

    /// Waits until the view satisfies `is_wanted`, even after the end of the call.
    pub async fn view_where(
        &self,
        is_wanted: impl Fn(&CallView) -> bool,
        limit: Duration,
    ) -> Result<CallView, WaitError> {
        let found = |record: &LineState| is_wanted(&record.view).then(|| record.view.clone());
        self.wait("the view wanted", limit, found, |_| false).await
    }

    /// Waits for the end of the call.
    pub async fn ended(&self, limit: Duration) -> Result<Ended, WaitError> {
        self.until("the end", limit, |record| record.view.ended.clone())
            .await
    }

    async fn perform(&self, action: CallerAction) -> Result<(), WaitError> {
        let name = format!("{action:?}");
        let (done, outcome) = oneshot::channel();
        let mut record = self.line.watch();
        let acting = async {
            if self
                .line
                .actions
                .send(PendingAction { action, done })
                .await
                .is_err()
            {
                return Err("the call has ended");
            }
            outcome.await.unwrap_or(Err("the call has ended"))
        };
        let ended = record.wait_for(|record| record.view.ended.is_some());
        let outcome = timeout(self.action_timeout, async {
            tokio::select! {
                biased;
                outcome = acting => outcome,
                _ = ended => Err("the call has ended"),
            }
        });
        let reason = match outcome.await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(reason)) => reason,
            Err(_) => "the call did not listen in time",
        };
        Err(self.error(&format!("{name}: {reason}")))
    }

    /// Waits for something that can only happen before the call ends.
    async fn until<T>(
        &self,
        what: &str,
        limit: Duration,
        found: impl FnMut(&LineState) -> Option<T>,
    ) -> Result<T, WaitError> {
        let is_over = |record: &LineState| record.view.ended.is_some();
        self.wait(what, limit, found, is_over).await
    }

    async fn wait<T>(
        &self,
        what: &str,
        limit: Duration,
        mut found: impl FnMut(&LineState) -> Option<T>,
        is_over: impl Fn(&LineState) -> bool,
    ) -> Result<T, WaitError> {
        let mut record = self.line.watch();
        let mut value = None;
        let waiting = record.wait_for(|record| {
            value = found(record);
            value.is_some() || is_over(record)
        });
        let in_time = timeout(limit, waiting).await.is_ok();
        let reason = if in_time {
            "the call has ended"
        } else {
            "too late"
        };
        value.ok_or_else(|| self.error(&format!("{what}: {reason}")))
    }

    fn error(&self, reason: &str) -> WaitError {
        WaitError {
            reason: reason.to_owned(),
            call: Box::new(self.line.view()),
        }
    }
}
