//! A simulator of Meta's WhatsApp Cloud API. It accepts sends as the Graph API does, refuses them with
//! Meta's error codes, reports on them in signed webhooks that repeat and overtake one another, and posts
//! users' messages until they are accepted. All counts are exact; texts are kept up to a limit.

mod chat;
mod config;
mod control;
mod delivery;
mod error;
mod faults;
mod graph;
mod limits;
mod media;
mod payload;
mod queue;
mod send;
mod templates;
#[cfg(test)]
mod tests;
mod view;
mod wamid;
mod webhooks;
mod world;

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::{Router, extract::DefaultBodyLimit};
use sim_kit::server::HttpServer;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

pub use config::{SimMetaConfig, StatusPlan, WebhookPlan};
pub use control::{Inbound, WriteError};
pub use faults::{MetaFaults, Refusal};
pub use templates::SimTemplate;
pub use view::{ChatLine, ChatView, MetaStats, SendView, Speaker, WebhookStats};

use world::World;

/// Largest request body: a little over the 16 MB that Meta allows for audio and video.
const BODY_LIMIT_BYTES: usize = 17 << 20;

/// A running simulated Meta. Dropping it cuts every connection.
#[derive(Debug)]
pub struct SimMeta {
    world: Arc<World>,
    server: HttpServer,
    stop: CancellationToken,
    delivery: AbortOnDropHandle<()>,
}

impl SimMeta {
    /// Starts listening and delivering webhooks.
    pub async fn start(config: SimMetaConfig) -> anyhow::Result<Self> {
        let client = delivery::client(&config.webhooks).context("making the webhook client")?;
        let listen = config.listen;
        let world = Arc::new(World::new(config));
        let server = HttpServer::start(listen, router(Arc::clone(&world)))
            .await
            .with_context(|| format!("listening on {listen}"))?;
        let stop = CancellationToken::new();
        let delivery = tokio::spawn(delivery::run(Arc::clone(&world), client, stop.clone()));
        Ok(Self {
            world,
            server,
            stop,
            delivery: AbortOnDropHandle::new(delivery),
        })
    }

    /// The address it listens on.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// The value for `WHATSAPP_API_BASE_URL`.
    pub fn graph_url(&self) -> String {
        format!("http://{}/v24.0", self.addr())
    }

    /// Sets the URL that webhooks are posted to, waiting ones included. `None` holds them back.
    pub fn set_webhook_url(&self, url: Option<String>) {
        self.world.webhooks.target.send_replace(url);
    }

    /// Posts a text of a user; returns WhatsApp's id of the message.
    pub fn write(&self, from: &str, text: &str) -> Result<String, WriteError> {
        self.write_anything(Inbound {
            from: from.to_owned(),
            text: Some(text.to_owned()),
            ..Inbound::default()
        })
    }

    /// Posts any message of a user; returns WhatsApp's id of the message.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers build the message in the call"
    )]
    pub fn write_anything(&self, inbound: Inbound) -> Result<String, WriteError> {
        self.world.write(&inbound)
    }

    /// The chat as the user's phone shows it.
    pub fn chat(&self, number: &str) -> ChatView {
        self.world.chat_view(number.trim_start_matches('+'))
    }

    /// Waits until the user has received `received` messages in total; `Err` with the chat if that takes
    /// longer than `limit`.
    pub async fn wait_received(
        &self,
        number: &str,
        received: u64,
        limit: Duration,
    ) -> Result<ChatView, ChatView> {
        let mut count = self.world.received_watch(number.trim_start_matches('+'));
        let enough = count.wait_for(|&count| count >= received);
        let is_reached = matches!(tokio::time::timeout(limit, enough).await, Ok(Ok(_)));
        let chat = self.chat(number);
        if is_reached { Ok(chat) } else { Err(chat) }
    }

    /// The kept accepted sends from sequence number `seq` on.
    pub fn sends_since(&self, seq: u64) -> Vec<SendView> {
        self.world.sends_since(seq, usize::MAX)
    }

    /// How many messages each user received.
    pub fn received_by_number(&self) -> BTreeMap<String, u64> {
        self.world.received_by_number()
    }

    /// Exact counts since the start or the last reset.
    pub fn stats(&self) -> MetaStats {
        self.world.stats()
    }

    /// Sets faults; a field that is `None` keeps its value.
    pub fn set_faults(&self, faults: MetaFaults) {
        self.world.change_faults(faults);
    }

    /// Clears all faults and restores the configured status plan.
    pub fn clear_faults(&self) {
        self.world.faults.clear();
        self.world
            .set_status_plan(self.world.config.statuses.clone());
    }

    /// Forgets chats, sends, counts, faults and waiting webhooks.
    pub fn reset(&self) {
        self.world.reset();
    }

    /// Stops delivering webhooks and frees the port.
    pub async fn stop(self) {
        self.stop.cancel();
        self.delivery.await.ok();
        self.server.stop().await;
    }
}

fn router(world: Arc<World>) -> Router {
    Router::new()
        .merge(graph::routes())
        .merge(media::routes())
        .merge(control::routes())
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(world)
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("World(…)")
    }
}
