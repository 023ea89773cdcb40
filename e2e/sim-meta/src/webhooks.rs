use std::{
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

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
    queue::{Content, Post, Queue, Signed},
    world::Sent,
};

/// Webhooks on their way to us: what is due when, and who waits for whom.
pub(crate) struct Webhooks {
    pub(crate) plan: WebhookPlan,
    pub(crate) target: watch::Sender<Option<String>>,
    pub(crate) counts: Counts,
    phone_number_id: String,
    app_secret: SecretString,
    queue: Mutex<Queue>,
    grew: Notify,
}

/// Counters nobody needs a lock for.
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

    /// Announces a person's message, `copies` times.
    pub(crate) fn announce(
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
            let post = queue.fresh(content.clone(), lane);
            queue.enter(post, Instant::now());
        }
        drop(queue);
        self.grew.notify_one();
    }

    /// Plans what will be reported of a send.
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
            let post = queue.fresh(Content::Status(update), None);
            queue.push(post, now + Duration::from_millis(after_ms));
        }
        drop(queue);
        self.grew.notify_one();
    }

    /// The next POST to make, as soon as it is due. For one caller at a time.
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
        let mut post = queue.pop(now)?;
        if let Content::Status(first) = &post.content {
            let mut updates = vec![first.clone()];
            while updates.len() < self.plan.batch
                && let Some(update) = queue.pop_status(now)
            {
                updates.push(update);
            }
            queue.under_way -= updates.len() - 1;
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

    /// Tries `post` again later, or gives it up.
    pub(crate) fn try_again(&self, mut post: Post, now: Instant) {
        let first_try = *post.first_try.get_or_insert(now);
        if now.duration_since(first_try) > self.plan.tried_for() {
            self.counts.given_up.fetch_add(1, Ordering::Relaxed);
            self.done(&post);
            return;
        }
        let at = now + self.plan.pause_after(post.tries);
        let mut queue = self.queue();
        if queue.generation == post.generation {
            queue.under_way -= 1;
            queue.push(post, at);
        }
        drop(queue);
        self.grew.notify_one();
    }

    /// `post` was accepted: the next message of the same person may go.
    pub(crate) fn accepted(&self, post: &Post) {
        self.done(post);
        let percent = self.plan.duplicate_percent;
        let is_repeated =
            !post.is_duplicate && percent > 0 && rand::rng().random_range(0..100) < percent;
        if is_repeated {
            let mut queue = self.queue();
            let mut twin = queue.fresh(post.content.clone(), None);
            twin.is_duplicate = true;
            queue.push(twin, Instant::now());
            drop(queue);
            self.grew.notify_one();
        }
    }

    fn done(&self, post: &Post) {
        let mut queue = self.queue();
        if queue.generation != post.generation {
            return;
        }
        queue.under_way -= 1;
        if let Some(lane) = &post.lane {
            queue.release(lane);
        }
        drop(queue);
        self.grew.notify_one();
    }

    /// Forgets what waits and starts counting anew.
    pub(crate) fn reset(&self) {
        let mut queue = self.queue();
        *queue = queue.successor();
        drop(queue);
        for counter in self.counts.all() {
            counter.store(0, Ordering::Relaxed);
        }
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
        }
    }

    fn sign(&self, body: Vec<u8>) -> Signed {
        Signed {
            signature: payload::signature(self.app_secret.expose_secret(), &body),
            body: body.into(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("nothing panics with the queue")
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
