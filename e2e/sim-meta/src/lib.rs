//! Meta's `WhatsApp` Cloud API, simulated: takes sends as the Graph API does, refuses them with its
//! codes, reports on them in signed webhooks that repeat and overtake one another, and delivers what
//! people write until it is accepted. Counts everything exactly; keeps texts only up to a limit.

mod chat;
mod config;
mod control;
mod error;
mod faults;
mod graph;
mod limits;
mod media;
mod payload;
mod postman;
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
use sim_kit::serve::Serving;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

pub use config::{SimMetaConfig, StatusPlan, WebhookPlan};
pub use control::{Inbound, NotWritten};
pub use faults::{Answer, Faults};
pub use templates::SimTemplate;
pub use view::{ChatView, Line, MetaStats, SendView, Speaker, WebhookStats};

use world::World;

/// Largest request taken: a little over the 16 MB Meta allows for audio and video.
const BODY_LIMIT_BYTES: usize = 17 << 20;

/// A running simulated Meta. Dropping it cuts every connection.
#[derive(Debug)]
pub struct SimMeta {
    world: Arc<World>,
    serving: Serving,
    stop: CancellationToken,
    postman: AbortOnDropHandle<()>,
}

impl SimMeta {
    /// Starts listening and delivering webhooks.
    pub async fn start(config: SimMetaConfig) -> anyhow::Result<Self> {
        let client = postman::client(&config.webhooks).context("making the webhook client")?;
        let listen = config.listen;
        let world = Arc::new(World::new(config));
        let serving = Serving::start(listen, router(Arc::clone(&world)))
            .await
            .with_context(|| format!("listening on {listen}"))?;
        let stop = CancellationToken::new();
        let postman = tokio::spawn(postman::run(Arc::clone(&world), client, stop.clone()));
        Ok(Self {
            world,
            serving,
            stop,
            postman: AbortOnDropHandle::new(postman),
        })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.serving.addr()
    }

    /// What to set `WHATSAPP_API_BASE_URL` to.
    pub fn graph_url(&self) -> String {
        format!("http://{}/v24.0", self.addr())
    }

    /// Where webhooks go from now on; what waits goes there too. `None` holds them back.
    pub fn set_webhook_url(&self, url: Option<String>) {
        self.world.webhooks.target.send_replace(url);
    }

    /// Lets a person write a text; returns `WhatsApp`'s id of it.
    pub fn write(&self, from: &str, text: &str) -> Result<String, NotWritten> {
        self.write_anything(Inbound {
            from: from.to_owned(),
            text: Some(text.to_owned()),
            ..Inbound::default()
        })
    }

    /// Lets a person send anything, as often as told.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers write the message where they call"
    )]
    pub fn write_anything(&self, inbound: Inbound) -> Result<String, NotWritten> {
        self.world.write(&inbound)
    }

    /// What the person's phone shows.
    pub fn chat(&self, number: &str) -> ChatView {
        self.world.chat_view(number.trim_start_matches('+'))
    }

    /// Waits until the person has received `received` messages in all. `Err` with the chat as it is
    /// when that takes longer than `limit`.
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

    /// Accepted sends from number `seq` on, as far as they are kept.
    pub fn sends_since(&self, seq: u64) -> Vec<SendView> {
        self.world.sends_since(seq, usize::MAX)
    }

    /// How many messages each person received.
    pub fn received_by_number(&self) -> BTreeMap<String, u64> {
        self.world.received_by_number()
    }

    /// Exact counts since the start or the last reset.
    pub fn stats(&self) -> MetaStats {
        self.world.stats()
    }

    /// Changes what goes wrong; fields that are `None` stay as they are.
    pub fn set_faults(&self, faults: Faults) {
        self.world.change_faults(faults);
    }

    /// Nothing goes wrong any more, and statuses follow the plan of the start.
    pub fn clear_faults(&self) {
        self.world.faults.clear();
        self.world
            .set_status_plan(self.world.config.statuses.clone());
    }

    /// Forgets chats, sends, counts, faults and waiting webhooks.
    pub fn reset(&self) {
        self.world.reset();
    }

    /// Stops delivering and frees the port.
    pub async fn stop(self) {
        self.stop.cancel();
        self.postman.await.ok();
        self.serving.stop().await;
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
