use std::collections::BTreeMap;

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    caller_identity::CallerIdentity,
    view::{CallView, EndReason, Ended, Heard, RequestKind, RequestView},
};

/// A phone line with one call on it. The caller acts on it, and the network records the events of the call.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) sid: String,
    pub(crate) caller: CallerIdentity,
    pub(crate) dialled: Instant,
    pub(crate) actions: mpsc::Sender<PendingAction>,
    pub(crate) hung_up: CancellationToken,
    state: watch::Sender<LineState>,
}

/// An action of the caller (or a failure of the network); `done` is answered when it has had its effect.
#[derive(Debug)]
pub(crate) struct PendingAction {
    pub(crate) action: CallerAction,
    pub(crate) done: oneshot::Sender<Result<(), &'static str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum CallerAction {
    Say(String),
    Key(String),
    Silent,
    DropSocket,
}

#[derive(Debug, Default)]
pub(crate) struct LineState {
    pub(crate) view: CallView,
    answered: Option<Instant>,
    /// The start of the silence in which the caller waits for us.
    waits_since: Option<Instant>,
}

impl Line {
    pub(crate) fn new(caller: CallerIdentity) -> (Self, mpsc::Receiver<PendingAction>) {
        let (actions, coming) = mpsc::channel(1);
        let sid = format!("CA{}", Uuid::new_v4().simple());
        let view = CallView {
            sid: sid.clone(),
            from: caller.from.clone(),
            status: "ringing".to_owned(),
            ..CallView::default()
        };
        let state = LineState {
            view,
            ..LineState::default()
        };
        let line = Self {
            sid,
            caller,
            dialled: Instant::now(),
            actions,
            hung_up: CancellationToken::new(),
            state: watch::Sender::new(state),
        };
        (line, coming)
    }

    pub(crate) fn watch(&self) -> watch::Receiver<LineState> {
        self.state.subscribe()
    }

    pub(crate) fn view(&self) -> CallView {
        self.state.borrow().view.clone()
    }

    pub(crate) fn status(&self) -> String {
        self.state.borrow().view.status.clone()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.state.borrow().view.ended.is_some()
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.state.borrow().answered.is_some()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut CallView)) {
        self.state.send_modify(|state| change(&mut state.view));
    }

    pub(crate) fn set_doing(&self, activity: &str) {
        self.update(|view| activity.clone_into(&mut view.doing));
    }

    pub(crate) fn warn(&self, warning: String) {
        self.update(|view| view.warnings.push(warning));
    }

    /// Answers the call; false if it was answered before.
    pub(crate) fn answer(&self) -> bool {
        let is_new = !self.is_answered();
        if is_new {
            self.state.send_modify(|state| {
                state.answered = Some(Instant::now());
                state.waits_since = state.answered;
                "in-progress".clone_into(&mut state.view.status);
            });
        }
        is_new
    }

    /// Starts measuring how long the caller waits for us, unless they wait already.
    pub(crate) fn caller_waits(&self) {
        self.state.send_modify(|state| {
            if state.answered.is_some() {
                state.waits_since.get_or_insert_with(Instant::now);
            }
        });
    }

    /// Ends the caller's wait, because the call waits for the caller.
    pub(crate) fn caller_is_prompted(&self) {
        self.state.send_modify(LineState::end_of_silence);
    }

    /// Records that the caller starts to hear `text`; returns its index in `heard`.
    pub(crate) fn start_speech(&self, text: &str) -> usize {
        let from_ms = self.now_ms();
        let mut index = 0;
        self.state.send_modify(|state| {
            state.end_of_silence();
            index = state.view.heard.len();
            state.view.heard.push(Heard {
                text: text.to_owned(),
                spoken: String::new(),
                from_ms,
                until_ms: None,
                interrupted: false,
            });
        });
        index
    }

    /// Appends to the text at `index`, which is being spoken.
    pub(crate) fn extend_speech(&self, index: usize, more: &str) {
        self.update(|view| view.heard[index].text.push_str(more));
    }

    /// Ends the text at `index` after so many characters; the caller waits again.
    pub(crate) fn end_speech(&self, index: usize, characters: usize, interrupted: bool) {
        let until_ms = self.now_ms();
        self.update(|view| {
            let heard = &mut view.heard[index];
            heard.spoken = heard.text.chars().take(characters).collect();
            heard.until_ms = Some(until_ms);
            heard.interrupted = interrupted;
        });
        self.caller_waits();
    }

    /// Records a request that is being sent; returns its index in `requests`.
    pub(crate) fn add_request(
        &self,
        kind: RequestKind,
        url: &str,
        fields: &[(String, String)],
        token: &str,
    ) -> usize {
        let request = RequestView {
            kind,
            url: url.to_owned(),
            fields: fields.iter().cloned().collect::<BTreeMap<_, _>>(),
            token: token.to_owned(),
            at_ms: self.now_ms(),
            took_ms: None,
            tries: 0,
            status: None,
            body: String::new(),
            error: None,
        };
        let mut index = 0;
        self.update(|view| {
            index = view.requests.len();
            view.requests.push(request);
        });
        index
    }

    pub(crate) fn end(&self, why: EndReason, duration_seconds: u64) {
        let at_ms = self.now_ms();
        self.state.send_modify(|state| {
            state.end_of_silence();
            let view = &mut state.view;
            view.doing.clear();
            status_of(why, state.answered.is_some()).clone_into(&mut view.status);
            view.ended = Some(Ended {
                why,
                at_ms,
                duration_seconds,
            });
        });
    }

    pub(crate) fn talk_time(&self) -> std::time::Duration {
        let answered = self.state.borrow().answered;
        answered.map(|since| since.elapsed()).unwrap_or_default()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.dialled.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl LineState {
    fn end_of_silence(&mut self) {
        if let Some(since) = self.waits_since.take() {
            let silence = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            let longest = &mut self.view.longest_silence_ms;
            *longest = silence.max(*longest);
        }
    }
}

/// Twilio's `CallStatus` of an ended call.
fn status_of(why: EndReason, answered: bool) -> &'static str {
    match why {
        EndReason::Rejected => "busy",
        EndReason::CallerHungUp | EndReason::Stopped if !answered => "canceled",
        EndReason::CallerHungUp
        | EndReason::Hangup
        | EndReason::DocumentEnded
        | EndReason::ApplicationError(_)
        | EndReason::Stopped => "completed",
    }
}
