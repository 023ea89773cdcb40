use std::collections::{BinaryHeap, HashMap, VecDeque};

use bytes::Bytes;
use tokio::time::Instant;

use super::payload::StatusUpdate;

/// Webhooks to post, by due time; with ordered delivery also by user.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) generation: u64,
    pushed: u64,
    pub(crate) in_flight: usize,
    in_lanes: usize,
    due: BinaryHeap<Due>,
    /// Messages of each user that wait for an earlier message of the same user.
    lanes: HashMap<String, VecDeque<Post>>,
}

struct Due {
    at: Instant,
    order: u64,
    post: Post,
}

/// One POST, repeated until it is accepted.
#[derive(Clone)]
pub(crate) struct Post {
    pub(crate) content: Content,
    pub(crate) tries: u32,
    pub(crate) first_try: Option<Instant>,
    pub(crate) is_duplicate: bool,
    pub(crate) generation: u64,
    pub(crate) lane: Option<String>,
}

#[derive(Clone)]
pub(crate) enum Content {
    /// One message of a user.
    Message(SignedBody),
    /// A status that can still be batched with others.
    Status(StatusUpdate),
    /// A batch of so many statuses.
    Statuses(u64, SignedBody),
}

/// A body and its signature.
#[derive(Debug, Clone)]
pub(crate) struct SignedBody {
    pub(crate) body: Bytes,
    pub(crate) signature: String,
}

impl Queue {
    /// An empty queue that ignores posts taken from this one.
    pub(crate) fn successor(&self) -> Self {
        Self {
            generation: self.generation + 1,
            ..Self::default()
        }
    }

    pub(crate) fn backlog(&self) -> usize {
        self.due.len() + self.in_lanes + self.in_flight
    }

    pub(crate) fn new_post(&self, content: Content, lane: Option<String>) -> Post {
        Post {
            content,
            tries: 0,
            first_try: None,
            is_duplicate: false,
            generation: self.generation,
            lane,
        }
    }

    /// Makes `post` due now, or puts it behind the others of its lane.
    pub(crate) fn enqueue(&mut self, post: Post, now: Instant) {
        if let Some(lane) = &post.lane {
            if let Some(waiting) = self.lanes.get_mut(lane) {
                waiting.push_back(post);
                self.in_lanes += 1;
                return;
            }
            self.lanes.insert(lane.clone(), VecDeque::new());
        }
        self.push(post, now);
    }

    pub(crate) fn push(&mut self, post: Post, at: Instant) {
        self.pushed += 1;
        let order = self.pushed;
        self.due.push(Due { at, order, post });
    }

    /// Makes the next post of `lane` due, or closes the lane.
    pub(crate) fn release(&mut self, lane: &str) {
        let Some(waiting) = self.lanes.get_mut(lane) else {
            return;
        };
        match waiting.pop_front() {
            Some(next) => {
                self.in_lanes -= 1;
                self.push(next, Instant::now());
            }
            None => {
                self.lanes.remove(lane);
            }
        }
    }

    /// The post that is due; otherwise `Err` with the time of the next one, if there is one.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Result<Post, Option<Instant>> {
        match self.due.peek() {
            Some(due) if due.at <= now => {
                self.in_flight += 1;
                Ok(self.due.pop().expect("peek has returned a post").post)
            }
            next => Err(next.map(|due| due.at)),
        }
    }

    pub(crate) fn pop_status(&mut self, now: Instant) -> Option<StatusUpdate> {
        let due = self.due.peek()?;
        let Content::Status(update) = &due.post.content else {
            return None;
        };
        if due.at > now {
            return None;
        }
        let update = update.clone();
        self.due.pop();
        self.in_flight += 1;
        Some(update)
    }
}

/// The order is reversed, because the heap yields the greatest first and the earliest must come first.
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}
