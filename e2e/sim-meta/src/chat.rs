use std::{collections::VecDeque, sync::Arc};

use tokio::{sync::watch, time::Instant};

use super::{
    limits::PairLimiter,
    view::{ChatLine, ChatView, Speaker},
    world::Sent,
};

/// How long after the user's last message free text may be sent.
const WINDOW_MS: i64 = 24 * 60 * 60 * 1000;

/// The chat of one user with the business.
pub(crate) struct Chat {
    entries: VecDeque<Entry>,
    written: u64,
    received: watch::Sender<u64>,
    typing: u64,
    last_written_ms: Option<i64>,
    pair: PairLimiter,
}

enum Entry {
    FromUser {
        wamid: String,
        text: String,
        at_ms: i64,
        is_read: bool,
    },
    FromBusiness(Arc<Sent>),
}

impl Chat {
    pub(crate) fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            written: 0,
            received: watch::Sender::new(0),
            typing: 0,
            last_written_ms: None,
            pair: PairLimiter::default(),
        }
    }

    pub(crate) fn write(&mut self, wamid: &str, text: String, at_ms: i64, kept: usize) {
        self.written += 1;
        self.last_written_ms = Some(at_ms);
        let entry = Entry::FromUser {
            wamid: wamid.to_owned(),
            text,
            at_ms,
            is_read: false,
        };
        self.push(entry, kept);
    }

    /// Adds a message of the business; true if it is the first one.
    pub(crate) fn receive(&mut self, sent: Arc<Sent>, kept: usize) -> bool {
        self.push(Entry::FromBusiness(sent), kept);
        self.received.send_modify(|received| *received += 1);
        self.received() == 1
    }

    fn push(&mut self, entry: Entry, kept: usize) {
        self.entries.push_back(entry);
        if self.entries.len() > kept {
            self.entries.pop_front();
        }
    }

    /// Marks this message of the user and all before it as read.
    pub(crate) fn mark_read(&mut self, wamid: &str) {
        let Some(upto) = self
            .entries
            .iter()
            .rposition(|entry| matches!(entry, Entry::FromUser { wamid: id, .. } if id == wamid))
        else {
            return;
        };
        for entry in self.entries.iter_mut().take(upto + 1) {
            if let Entry::FromUser { is_read, .. } = entry {
                *is_read = true;
            }
        }
    }

    pub(crate) fn show_typing(&mut self) {
        self.typing += 1;
    }

    pub(crate) fn window_is_open(&self, now_ms: i64) -> bool {
        self.last_written_ms
            .is_some_and(|written| now_ms - written < WINDOW_MS)
    }

    pub(crate) fn acquire_pair(&mut self, now: Instant) -> bool {
        self.pair.try_acquire(now)
    }

    pub(crate) fn received(&self) -> u64 {
        *self.received.borrow()
    }

    pub(crate) fn watch_received(&self) -> watch::Receiver<u64> {
        self.received.subscribe()
    }

    pub(crate) fn view(&self, number: &str) -> ChatView {
        ChatView {
            number: number.to_owned(),
            written: self.written,
            received: self.received(),
            typing: self.typing,
            lines: self.entries.iter().map(Entry::line).collect(),
        }
    }

    pub(crate) fn empty_view(number: &str) -> ChatView {
        ChatView {
            number: number.to_owned(),
            ..ChatView::default()
        }
    }
}

impl Entry {
    fn line(&self) -> ChatLine {
        match self {
            Self::FromBusiness(sent) => sent.line(),
            Self::FromUser {
                wamid,
                text,
                at_ms,
                is_read,
            } => ChatLine {
                from: Speaker::User,
                wamid: wamid.clone(),
                text: text.clone(),
                at_ms: *at_ms,
                state: if *is_read { "read" } else { "written" }.to_owned(),
                tracker: None,
            },
        }
    }
}
