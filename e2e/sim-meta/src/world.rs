use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
};

use parking_lot::{Mutex, MutexGuard};
use tokio::{sync::watch, time::Instant};

use super::{
    ChatView, MetaStats, SendView, SimMetaConfig, StatusPlan,
    chat::Chat,
    faults::FaultInjector,
    limits::ThroughputLimiter,
    media::MediaStore,
    payload::StatusKind,
    view::{ChatLine, Speaker},
    webhooks::Webhooks,
};

/// Ids of user messages kept, so that a read mark can be attributed to the user.
const INBOUND_IDS_KEPT: usize = 100_000;

/// Trackers kept to count repetitions; a repetition after so many others is not counted.
const TRACKERS_KEPT: usize = 2_000_000;

/// An accepted message of the business.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) seq: u64,
    pub(crate) to: String,
    pub(crate) is_to_user_id: bool,
    pub(crate) wamid: String,
    pub(crate) text: String,
    pub(crate) tracker: Option<String>,
    pub(crate) at_ms: i64,
    state: AtomicU8,
}

/// States in order; a state is never replaced by an earlier one.
const STATES: [&str; 5] = ["accepted", "sent", "failed", "delivered", "read"];

impl Sent {
    pub(crate) fn advance(&self, kind: StatusKind) {
        let rank = STATES.iter().position(|&state| state == kind.into_str());
        let rank = rank.and_then(|rank| u8::try_from(rank).ok()).unwrap_or(0);
        self.state.fetch_max(rank, Ordering::Relaxed);
    }

    pub(crate) fn line(&self) -> ChatLine {
        ChatLine {
            from: Speaker::Business,
            wamid: self.wamid.clone(),
            text: self.text.clone(),
            at_ms: self.at_ms,
            state: STATES[usize::from(self.state.load(Ordering::Relaxed))].to_owned(),
            tracker: self.tracker.clone(),
        }
    }

    fn view(&self) -> SendView {
        SendView {
            seq: self.seq,
            to: self.to.clone(),
            line: self.line(),
        }
    }
}

/// A send that passed all checks and is about to be accepted.
pub(crate) struct Draft {
    pub(crate) to: String,
    pub(crate) is_to_user_id: bool,
    pub(crate) wamid: String,
    pub(crate) text: String,
    pub(crate) tracker: Option<String>,
    pub(crate) at_ms: i64,
}

/// The whole state of the simulator.
pub(crate) struct World {
    pub(crate) config: SimMetaConfig,
    pub(crate) faults: FaultInjector,
    pub(crate) webhooks: Webhooks,
    pub(crate) media: MediaStore,
    statuses: Mutex<StatusPlan>,
    state: Mutex<State>,
    hasher: RandomState,
}

/// State behind one lock, which is never held across an await.
pub(crate) struct State {
    pub(crate) stats: MetaStats,
    pub(crate) throughput: Option<ThroughputLimiter>,
    pub(crate) chats: HashMap<String, Chat>,
    sends: VecDeque<Arc<Sent>>,
    trackers: RecentSet<u64>,
    inbound: HashMap<String, String>,
    inbound_order: VecDeque<String>,
}

impl World {
    pub(crate) fn new(config: SimMetaConfig) -> Self {
        Self {
            faults: FaultInjector::default(),
            webhooks: Webhooks::new(&config),
            media: MediaStore::default(),
            statuses: Mutex::new(config.statuses.clone()),
            state: Mutex::new(State::new(&config)),
            hasher: RandomState::new(),
            config,
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    pub(crate) fn status_plan(&self) -> StatusPlan {
        self.statuses.lock().clone()
    }

    pub(crate) fn set_status_plan(&self, plan: StatusPlan) {
        *self.statuses.lock() = plan;
    }

    /// Forgets everything but the configuration.
    pub(crate) fn reset(&self) {
        self.faults.clear();
        self.set_status_plan(self.config.statuses.clone());
        *self.state() = State::new(&self.config);
        self.webhooks.reset();
    }

    /// Accepts a send, which reaches the user at once.
    pub(crate) fn accept(&self, draft: Draft) -> Arc<Sent> {
        let tracker_hash = draft.tracker.as_ref().map(|t| self.hasher.hash_one(t));
        let mut state = self.state();
        let sent = Arc::new(Sent {
            seq: state.stats.accepted,
            to: draft.to,
            is_to_user_id: draft.is_to_user_id,
            wamid: draft.wamid,
            text: draft.text,
            tracker: draft.tracker,
            at_ms: draft.at_ms,
            state: AtomicU8::new(0),
        });
        state.stats.accepted += 1;
        match tracker_hash {
            Some(hash) if !state.trackers.is_new(hash) => state.stats.duplicate_trackers += 1,
            Some(_) => {}
            None => state.stats.untracked += 1,
        }
        state.sends.push_back(Arc::clone(&sent));
        if state.sends.len() > self.config.sends_kept {
            state.sends.pop_front();
        }
        let kept = self.config.lines_per_chat;
        let chat = state.chat(&sent.to);
        let is_first = chat.receive(Arc::clone(&sent), kept);
        state.stats.recipients += u64::from(is_first);
        sent
    }

    pub(crate) fn chat_view(&self, number: &str) -> ChatView {
        self.state()
            .chats
            .get(number)
            .map_or_else(|| Chat::empty_view(number), |chat| chat.view(number))
    }

    /// Watches how many messages this user has received.
    pub(crate) fn received_watch(&self, number: &str) -> watch::Receiver<u64> {
        self.state().chat(number).watch_received()
    }

    pub(crate) fn sends_since(&self, seq: u64, limit: usize) -> Vec<SendView> {
        let state = self.state();
        let first_kept = state.sends.front().map_or(0, |sent| sent.seq);
        let skip = usize::try_from(seq.saturating_sub(first_kept)).unwrap_or(usize::MAX);
        state
            .sends
            .iter()
            .skip(skip)
            .take(limit)
            .map(|sent| sent.view())
            .collect()
    }

    pub(crate) fn received_by_number(&self) -> BTreeMap<String, u64> {
        self.state()
            .chats
            .iter()
            .map(|(number, chat)| (number.clone(), chat.received()))
            .collect()
    }

    pub(crate) fn stats(&self) -> MetaStats {
        let mut stats = self.state().stats.clone();
        stats.webhooks = self.webhooks.stats();
        stats
    }
}

impl State {
    fn new(config: &SimMetaConfig) -> Self {
        Self {
            stats: MetaStats::default(),
            throughput: (config.throughput > 0).then(|| ThroughputLimiter::new(config.throughput)),
            chats: HashMap::new(),
            sends: VecDeque::new(),
            trackers: RecentSet::new(TRACKERS_KEPT),
            inbound: HashMap::new(),
            inbound_order: VecDeque::new(),
        }
    }

    pub(crate) fn chat(&mut self, number: &str) -> &mut Chat {
        if !self.chats.contains_key(number) {
            self.chats.insert(number.to_owned(), Chat::new());
        }
        self.chats
            .get_mut(number)
            .expect("the chat has just been inserted")
    }

    /// Records the writer of the message with this id; false if the id is already known.
    pub(crate) fn record_writer(&mut self, wamid: &str, number: &str) -> bool {
        if self.inbound.contains_key(wamid) {
            return false;
        }
        self.inbound.insert(wamid.to_owned(), number.to_owned());
        self.inbound_order.push_back(wamid.to_owned());
        if self.inbound_order.len() > INBOUND_IDS_KEPT
            && let Some(oldest) = self.inbound_order.pop_front()
        {
            self.inbound.remove(&oldest);
        }
        true
    }

    pub(crate) fn writer_of(&self, wamid: &str) -> Option<String> {
        self.inbound.get(wamid).cloned()
    }

    /// Counts a message against the throughput of the business number.
    pub(crate) fn acquire_throughput(&mut self, now: Instant) -> bool {
        self.throughput
            .as_mut()
            .is_none_or(|limit| limit.try_acquire(now))
    }
}

/// A set that drops its oldest members beyond a limit.
struct RecentSet<T> {
    limit: usize,
    members: HashSet<T>,
    order: VecDeque<T>,
}

impl<T: Copy + Eq + std::hash::Hash> RecentSet<T> {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            members: HashSet::new(),
            order: VecDeque::new(),
        }
    }

    fn is_new(&mut self, member: T) -> bool {
        if !self.members.insert(member) {
            return false;
        }
        self.order.push_back(member);
        if self.order.len() > self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.members.remove(&oldest);
        }
        true
    }
}
