use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use reqwest::header::{CONTENT_TYPE, USER_AGENT};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    WebhookPlan,
    queue::{Content, Post, SignedBody},
    world::World,
};

/// How long idle connections are kept: shorter than servers usually keep theirs.
const IDLE_FOR: Duration = Duration::from_secs(20);

/// The only status with which Meta regards a webhook as delivered.
const ACCEPTED: u16 = 200;

/// The client that posts webhooks.
pub(crate) fn client(plan: &WebhookPlan) -> reqwest::Result<reqwest::Client> {
    claw_runtime::http::install_tls();
    reqwest::Client::builder()
        .timeout(Duration::from_millis(plan.timeout_ms))
        .pool_max_idle_per_host(plan.concurrency)
        .pool_idle_timeout(IDLE_FOR)
        .no_proxy()
        .build()
}

/// Posts webhooks, at most `concurrency` at once, until `stop`.
pub(crate) async fn run(world: Arc<World>, client: reqwest::Client, stop: CancellationToken) {
    let permits = Arc::new(Semaphore::new(world.config.webhooks.concurrency.max(1)));
    let mut in_flight = JoinSet::new();
    loop {
        let next = async {
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, world.webhooks.next().await)
        };
        tokio::select! {
            () = stop.cancelled() => return,
            (permit, post) = next => {
                let Ok(permit) = permit else { return };
                in_flight.spawn(deliver(Arc::clone(&world), client.clone(), post, permit));
            }
        }
        while in_flight.try_join_next().is_some() {}
    }
}

async fn deliver(
    world: Arc<World>,
    client: reqwest::Client,
    mut post: Post,
    _permit: OwnedSemaphorePermit,
) {
    let counts = &world.webhooks.counts;
    let mut target = world.webhooks.target.subscribe();
    let url = match target.wait_for(Option::is_some).await {
        Ok(url) => url.clone().unwrap_or_default(),
        Err(_) => return,
    };
    let started = Instant::now();
    let signed = match &post.content {
        Content::Message(signed) | Content::Statuses(_, signed) => signed.clone(),
        Content::Status(_) => unreachable!("a status is put into a body before it is posted"),
    };
    counts.posted.fetch_add(1, Ordering::Relaxed);
    if post.tries > 0 {
        counts.retried.fetch_add(1, Ordering::Relaxed);
    }
    post.tries += 1;
    post.first_try.get_or_insert(started);
    let status = status_of_answer(&client, &url, signed).await;
    world.webhooks.count_answer(status);
    if status == Some(ACCEPTED) {
        counts.accepted.fetch_add(1, Ordering::Relaxed);
        match &post.content {
            Content::Message(_) => counts.messages_delivered.fetch_add(1, Ordering::Relaxed),
            Content::Statuses(n, _) => counts.statuses_delivered.fetch_add(*n, Ordering::Relaxed),
            Content::Status(_) => 0,
        };
        world.webhooks.accepted(&post);
    } else {
        counts.refused.fetch_add(1, Ordering::Relaxed);
        world.webhooks.retry(post, Instant::now());
    }
}

/// Posts the body; `None` if there was no whole answer.
async fn status_of_answer(client: &reqwest::Client, url: &str, signed: SignedBody) -> Option<u16> {
    let answer = client
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, "facebookexternalua")
        .header("X-Hub-Signature-256", signed.signature)
        .body(signed.body)
        .send()
        .await
        .ok()?;
    let status = answer.status().as_u16();
    answer.bytes().await.ok()?;
    Some(status)
}
