use std::sync::Arc;

use sim_kit::clock;
use tokio::sync::mpsc;

use super::{
    form::{self, pairs},
    line::Line,
    twiml,
    view::RequestKind,
    webhook::{self, Post},
    world::World,
};

/// Capacity of the queue: more than the states of one call.
const STATES_WAITING: usize = 8;

/// Posts the status callbacks of one call, in order unless a fault is set.
pub(crate) struct StatusCallbacks {
    world: Arc<World>,
    line: Arc<Line>,
    sequence: u32,
    posts: Option<mpsc::Sender<Post>>,
}

impl StatusCallbacks {
    pub(crate) fn of(world: &Arc<World>, line: &Arc<Line>) -> Self {
        let posts = world.config.status_url.is_some().then(|| {
            let (posts, coming) = mpsc::channel(STATES_WAITING);
            let reporting = post_all(Arc::clone(world), Arc::clone(line), coming);
            world.tasks.spawn(reporting);
            posts
        });
        Self {
            world: Arc::clone(world),
            line: Arc::clone(line),
            sequence: 0,
            posts,
        }
    }

    /// Reports a change before the end, if the event is in `status_events`.
    pub(crate) async fn report(&mut self, event: &str, status: &str) {
        let asked_for = &self.world.config.status_events;
        if asked_for.iter().any(|one| one == event) {
            self.post(status, &[]).await;
        }
    }

    /// Reports the end of the call with its duration.
    pub(crate) async fn report_end(&mut self, status: &str, duration_seconds: u64) {
        let seconds = duration_seconds.to_string();
        let minutes = duration_seconds.div_ceil(60).to_string();
        let duration = [("CallDuration", &*seconds), ("Duration", &*minutes)];
        self.post(status, &duration).await;
        self.posts = None;
    }

    async fn post(&mut self, status: &str, more: &[(&str, &str)]) {
        let Some((posts, url)) = self
            .posts
            .as_ref()
            .zip(self.world.config.status_url.as_ref())
        else {
            return;
        };
        let sequence = self.sequence.to_string();
        let mut fields = form::of_call(&self.world, &self.line, status);
        fields.extend(pairs(more));
        fields.extend(pairs(&[
            ("Timestamp", &clock::now().to_rfc2822()),
            ("CallbackSource", "call-progress-events"),
            ("SequenceNumber", &sequence),
        ]));
        let post = Post {
            kind: RequestKind::Status,
            url: url.clone(),
            fields,
        };
        self.sequence += 1;
        posts.send(post).await.ok();
    }
}

async fn post_all(world: Arc<World>, line: Arc<Line>, mut coming: mpsc::Receiver<Post>) {
    let mut kept = Vec::new();
    while let Some(post) = coming.recv().await {
        if world.faults.now().reverse_statuses == Some(true) {
            kept.push(post);
        } else {
            send(&world, &line, post).await;
        }
    }
    for post in kept.into_iter().rev() {
        send(&world, &line, post).await;
    }
}

async fn send(world: &Arc<World>, line: &Arc<Line>, post: Post) {
    if world.faults.take_lost_status() {
        return;
    }
    if world.faults.take_repeated_status() {
        send_once(world, line, post.clone()).await;
    }
    send_once(world, line, post).await;
}

async fn send_once(world: &Arc<World>, line: &Arc<Line>, post: Post) {
    match webhook::deliver(Arc::clone(world), Arc::clone(line), post).await {
        Err(code) => line.warn(format!("{code}: the status callback was not accepted")),
        Ok(answer) if answer.body.is_empty() => {}
        Ok(answer) => match twiml::parse(&answer.content_type, &answer.body) {
            Ok(document) if document.verbs.is_empty() => {}
            _ => line.warn("15003: the answer to a status callback is ignored".to_owned()),
        },
    }
}
