use std::collections::BTreeMap;

use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Caller,
    view::{CallView, Ended, Heard, Request, RequestKind, Why},
};

/// What one call is to the caller and to the network at once: everybody's record of it.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) sid: String,
    pub(crate) caller: Caller,
    pub(crate) dialled: Instant,
    pub(crate) acts: mpsc::Sender<Act>,
    pub(crate) hung_up: CancellationToken,
    record: watch::Sender<Record>,
}

/// Something the caller (or the network) does. Answered once it had its effect.
#[derive(Debug)]
pub(crate) struct Act {
    pub(crate) what: What,
    pub(crate) done: oneshot::Sender<Result<(), &'static str>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Say(String),
    Key(String),
    Silent,
    DropSocket,
}

#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) view: CallView,
    answered: Option<Instant>,
    /// Since when the caller waits for us and hears nothing.
    waits_since: Option<Instant>,
}

impl Line {
    pub(crate) fn new(caller: Caller) -> (Self, mpsc::Receiver<Act>) {
        let (acts, coming) = mpsc::channel(1);
        let sid = format!("CA{}", Uuid::new_v4().simple());
        let view = CallView {
            sid: sid.clone(),
            from: caller.from.clone(),
            status: "ringing".to_owned(),
            ..CallView::default()
        };
        let record = Record {
            view,
            ..Record::default()
        };
        let line = Self {
            sid,
            caller,
            dialled: Instant::now(),
            acts,
            hung_up: CancellationToken::new(),
            record: watch::Sender::new(record),
        };
        (line, coming)
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Record> {
        self.record.subscribe()
    }

    pub(crate) fn view(&self) -> CallView {
        self.record.borrow().view.clone()
    }

    pub(crate) fn status(&self) -> String {
        self.record.borrow().view.status.clone()
    }

    pub(crate) fn is_over(&self) -> bool {
        self.record.borrow().view.ended.is_some()
    }

    pub(crate) fn is_answered(&self) -> bool {
        self.record.borrow().answered.is_some()
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut CallView)) {
        self.record.send_modify(|record| change(&mut record.view));
    }

    pub(crate) fn does(&self, what: &str) {
        self.change(|view| what.clone_into(&mut view.doing));
    }

    pub(crate) fn warn(&self, warning: String) {
        self.change(|view| view.warnings.push(warning));
    }

    /// The caller is put through; returns whether that is new.
    pub(crate) fn answer(&self) -> bool {
        let is_new = !self.is_answered();
        if is_new {
            self.record.send_modify(|record| {
                record.answered = Some(Instant::now());
                record.waits_since = record.answered;
                "in-progress".clone_into(&mut record.view.status);
            });
        }
        is_new
    }

    /// The caller waits for us from now on, unless they do already.
    pub(crate) fn caller_waits(&self) {
        self.record.send_modify(|record| {
            if record.answered.is_some() {
                record.waits_since.get_or_insert_with(Instant::now);
            }
        });
    }

    /// It is the caller's turn.
    pub(crate) fn caller_is_asked(&self) {
        self.record.send_modify(Record::end_of_silence);
    }

    /// The caller starts to hear `text`; returns its place among what was heard.
    pub(crate) fn begins(&self, text: &str) -> usize {
        let from_ms = self.now_ms();
        let mut place = 0;
        self.record.send_modify(|record| {
            record.end_of_silence();
            place = record.view.heard.len();
            record.view.heard.push(Heard {
                text: text.to_owned(),
                spoken: String::new(),
                from_ms,
                until_ms: None,
                interrupted: false,
            });
        });
        place
    }

    /// More of what is being spoken is known.
    pub(crate) fn goes_on(&self, place: usize, more: &str) {
        self.change(|view| view.heard[place].text.push_str(more));
    }

    /// What was begun at `place` is over after so many characters; the caller waits again.
    pub(crate) fn stops(&self, place: usize, characters: usize, interrupted: bool) {
        let until_ms = self.now_ms();
        self.change(|view| {
            let heard = &mut view.heard[place];
            heard.spoken = heard.text.chars().take(characters).collect();
            heard.until_ms = Some(until_ms);
            heard.interrupted = interrupted;
        });
        self.caller_waits();
    }

    /// Notes a request that sets off; returns its place.
    pub(crate) fn requests(
        &self,
        kind: RequestKind,
        url: &str,
        fields: &[(String, String)],
        token: &str,
    ) -> usize {
        let request = Request {
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
        let mut place = 0;
        self.change(|view| {
            place = view.requests.len();
            view.requests.push(request);
        });
        place
    }

    pub(crate) fn ends(&self, why: Why, duration_seconds: u64) {
        let at_ms = self.now_ms();
        self.record.send_modify(|record| {
            record.end_of_silence();
            let view = &mut record.view;
            view.doing.clear();
            status_of(why, record.answered.is_some()).clone_into(&mut view.status);
            view.ended = Some(Ended {
                why,
                at_ms,
                duration_seconds,
            });
        });
    }

    pub(crate) fn talked_for(&self) -> std::time::Duration {
        let answered = self.record.borrow().answered;
        answered.map(|since| since.elapsed()).unwrap_or_default()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.dialled.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Record {
    fn end_of_silence(&mut self) {
        if let Some(since) = self.waits_since.take() {
            let silence = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            let longest = &mut self.view.longest_silence_ms;
            *longest = silence.max(*longest);
        }
    }
}

/// Twilio's word for an ended call.
fn status_of(why: Why, answered: bool) -> &'static str {
    match why {
        Why::Rejected => "busy",
        Why::CallerHungUp | Why::Stopped if !answered => "canceled",
        Why::CallerHungUp
        | Why::Hangup
        | Why::DocumentEnded
        | Why::ApplicationError(_)
        | Why::Stopped => "completed",
    }
}
