use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};
use rand::RngExt;
use secrecy::{ExposeSecret, SecretString};
use sim_kit::clock;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use super::{
    SimMetaConfig, StatusPlan, WebhookPlan, WebhookStats,
    payload::{self, StatusKind, StatusUpdate},
    queue::{Content, Post, Queue, SignedBody},
    world::Sent,
};

/// Webhooks to deliver to the business: their content, their schedule and their counts.
pub(crate) struct Webhooks {
    pub(crate) plan: WebhookPlan,
    pub(crate) target: watch::Sender<Option<String>>,
    pub(crate) counts: Counts,
    phone_number_id: String,
    app_secret: SecretString,
    queue: Mutex<Queue>,
    grew: Notify,
}

/// Counters, as in [`WebhookStats`].
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) posted: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) given_up: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) messages_delivered: AtomicU64,
    pub(crate) statuses_delivered: AtomicU64,
    answers: Mutex<BTreeMap<u16, u64>>,
}

impl Webhooks {
    pub(crate) fn new(config: &SimMetaConfig) -> Self {
        Self {
            plan: config.webhooks.clone(),
            target: watch::Sender::new(config.webhook_url.clone()),
            counts: Counts::default(),
            phone_number_id: config.phone_number_id.clone(),
            app_secret: config.app_secret.clone(),
            queue: Mutex::default(),
            grew: Notify::new(),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.queue().backlog() >= self.plan.backlog_limit
    }

    /// Enqueues the webhook of a user's message, `copies` times.
    pub(crate) fn post_message(
        &self,
        number: &str,
        contact: &serde_json::Value,
        message: &serde_json::Value,
        copies: u32,
    ) {
        let body = payload::of_message(&self.phone_number_id, contact, message);
        let content = Content::Message(self.sign(body));
        let mut queue = self.queue();
        for copy in 0..copies {
            let lane = (self.plan.ordered && copy == 0).then(|| number.to_owned());
            let post = queue.new_post(content.clone(), lane);
            queue.enqueue(post, Instant::now());
        }
        drop(queue);
        self.grew.notify_one();
    }

    /// Enqueues the statuses of a send, each after its time.
    pub(crate) fn plan_statuses(&self, sent: &Arc<Sent>, plan: &StatusPlan) {
        let mut rng = rand::rng();
        let fails = plan.failed_percent > 0 && rng.random_range(0..100) < plan.failed_percent;
        let failed = (
            plan.delivered_ms.filter(|_| fails),
            StatusKind::Failed(plan.failed_code),
        );
        let delivered = (plan.delivered_ms.filter(|_| !fails), StatusKind::Delivered);
        let read = (plan.read_ms.filter(|_| !fails), StatusKind::Read);
        let now = Instant::now();
        let mut queue = self.queue();
        for (after_ms, kind) in [(plan.sent_ms, StatusKind::Sent), delivered, read, failed] {
            let Some(after_ms) = after_ms else { continue };
            if queue.backlog() >= self.plan.backlog_limit {
                self.counts.dropped.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let after_ms = after_ms + rng.random_range(0..=plan.shuffle_ms);
            let update = StatusUpdate {
                sent: Arc::clone(sent),
                kind,
                at_ms: clock::now_ms() + i64::try_from(after_ms).unwrap_or(i64::MAX / 2),
            };
            let post = queue.new_post(Content::Status(update), None);
            queue.push(post, now + Duration::from_millis(after_ms));
        }
        drop(queue);
        self.grew.notify_one();
    }

    /// Waits for the next POST that is due. Only one task may call it at a time.
    pub(crate) async fn next(&self) -> Post {
        loop {
            let grew = self.grew.notified();
            let next_at = match self.take_due() {
                Ok(post) => return post,
                Err(next_at) => next_at,
            };
            match next_at {
                None => grew.await,
                Some(at) => tokio::select! {
                    () = grew => {}
                    () = tokio::time::sleep_until(at) => {}
                },
            }
        }
    }

    fn take_due(&self) -> Result<Post, Option<Instant>> {
        let now = Instant::now();
        let mut queue = self.queue();
        let mut post = queue.pop_due(now)?;
        if let Content::Status(first) = &post.content {
            let mut updates = vec![first.clone()];
            while updates.len() < self.plan.batch
                && let Some(update) = queue.pop_status(now)
            {
                updates.push(update);
            }
            queue.in_flight -= updates.len() - 1;
            drop(queue);
            for update in &updates {
                update.sent.advance(update.kind);
            }
            let body = payload::of_statuses(&self.phone_number_id, &updates);
            let statuses = u64::try_from(updates.len()).unwrap_or(u64::MAX);
            post.content = Content::Statuses(statuses, self.sign(body));
        }
        Ok(post)
    }

    /// Schedules the retry of `post`, or gives it up.
    pub(crate) fn retry(&self, mut post: Post, now: Instant) {
        let first_try = *post.first_try.get_or_insert(now);
        if now.duration_since(first_try) > self.plan.tried_for() {
            self.counts.given_up.fetch_add(1, Ordering::Relaxed);
            self.done(&post);
            return;
        }
        let at = now + self.plan.pause_after(post.tries);
        let mut queue = self.queue();
        if queue.generation == post.generation {
            queue.in_flight -= 1;
            queue.push(post, at);
        }
        drop(queue);
        self.grew.notify_one();
    }

    /// Marks `post` as accepted, so that the next message of the same user becomes due.
    pub(crate) fn accepted(&self, post: &Post) {
        self.done(post);
        let percent = self.plan.duplicate_percent;
        let is_repeated =
            !post.is_duplicate && percent > 0 && rand::rng().random_range(0..100) < percent;
        if is_repeated {
            let mut queue = self.queue();
            let mut duplicate = queue.new_post(post.content.clone(), None);
            duplicate.is_duplicate = true;
            queue.push(duplicate, Instant::now());
            drop(queue);
            self.grew.notify_one();
        }
    }

    fn done(&self, post: &Post) {
        let mut queue = self.queue();
        if queue.generation != post.generation {
            return;
        }
        queue.in_flight -= 1;
        if let Some(lane) = &post.lane {
            queue.release(lane);
        }
        drop(queue);
        self.grew.notify_one();
    }

    /// Drops waiting webhooks and sets all counts to 0.
    pub(crate) fn reset(&self) {
        let mut queue = self.queue();
        *queue = queue.successor();
        drop(queue);
        for counter in self.counts.all() {
            counter.store(0, Ordering::Relaxed);
        }
        self.counts.answers.lock().clear();
    }

    /// Counts the status of the answer to a POST; `None` if there was no answer.
    pub(crate) fn count_answer(&self, status: Option<u16>) {
        let mut answers = self.counts.answers.lock();
        *answers.entry(status.unwrap_or_default()).or_default() += 1;
    }

    pub(crate) fn stats(&self) -> WebhookStats {
        let backlog = self.queue().backlog();
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        WebhookStats {
            posted: of(&self.counts.posted),
            accepted: of(&self.counts.accepted),
            refused: of(&self.counts.refused),
            retried: of(&self.counts.retried),
            given_up: of(&self.counts.given_up),
            dropped: of(&self.counts.dropped),
            backlog: u64::try_from(backlog).unwrap_or(u64::MAX),
            messages_delivered: of(&self.counts.messages_delivered),
            statuses_delivered: of(&self.counts.statuses_delivered),
            answers: self.counts.answers.lock().clone(),
        }
    }

    fn sign(&self, body: Vec<u8>) -> SignedBody {
        SignedBody {
            signature: payload::signature(self.app_secret.expose_secret(), &body),
            body: body.into(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock()
    }
}

impl Counts {
    fn all(&self) -> [&AtomicU64; 8] {
        [
            &self.posted,
            &self.accepted,
            &self.refused,
            &self.retried,
            &self.given_up,
            &self.dropped,
            &self.messages_delivered,
            &self.statuses_delivered,
        ]
    }
}
