//! Twilio Voice, simulated: calls our number as people do, executes the documents our webhooks
//! answer with as its documentation says (`TwiML`, Gather, `ConversationRelay`), signs what it
//! sends, tries again and falls back as the settings of the number say, and reports how calls
//! ended. A test or an operator is the caller: says, keys, keeps silent, hangs up.
//!
//! Not simulated: Record, Dial, Stream and Enqueue, the Calls API, redirects by HTTP status,
//! `preemptible` speech.

mod caller;
mod config;
mod control;
mod faults;
mod fetch;
mod form;
mod gather;
mod line;
mod overrides;
mod relay;
mod relay_caller;
mod relay_end;
mod relay_frame;
mod relay_settings;
mod relay_socket;
mod relay_voice;
mod run;
mod schema;
mod signature;
mod status;
#[cfg(test)]
mod tests;
mod twiml;
mod view;
mod webhook;
mod world;
mod xml;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use sim_kit::serve::Serving;
use tokio_util::sync::DropGuard;

pub use caller::{Call, Caller, NotNow};
pub use config::{Pace, Silence, SimTwilioConfig};
pub use faults::Faults;
pub use view::{CallView, Ended, Heard, RelayView, Request, RequestKind, Token, Why};

use world::World;

/// Until a connection stands, as Twilio's default.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A running simulated Twilio. Dropping it ends all calls and cuts every connection.
#[derive(Debug)]
pub struct SimTwilio {
    world: Arc<World>,
    serving: Serving,
    stops_calls: DropGuard,
}

impl SimTwilio {
    /// Starts listening to operators; calls can be made at once.
    pub async fn start(config: SimTwilioConfig) -> anyhow::Result<Self> {
        claw_runtime::http::install_tls();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .context("making the webhook client")?;
        let listen = config.listen;
        let world = Arc::new(World::new(config, client));
        let serving = Serving::start(listen, control::routes().with_state(Arc::clone(&world)))
            .await
            .with_context(|| format!("listening on {listen}"))?;
        let stops_calls = world.stop.clone().drop_guard();
        Ok(Self {
            world,
            serving,
            stops_calls,
        })
    }

    /// Where operators reach it.
    pub fn addr(&self) -> SocketAddr {
        self.serving.addr()
    }

    /// Someone dials our number.
    pub fn call(&self, caller: impl Into<Caller>) -> Call {
        let line = self.world.dial(caller.into());
        Call::new(line, self.world.config.patience)
    }

    /// Where public URLs are really reached from now on: the replicas behind them, tried in turn.
    pub fn set_connect_to(&self, replicas: Vec<SocketAddr>) {
        self.world.connect_to(replicas);
    }

    /// All calls that are kept, oldest first.
    pub fn calls(&self) -> Vec<CallView> {
        self.world.views()
    }

    /// Changes what goes wrong; fields that are `None` stay as they are.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers write the faults where they call"
    )]
    pub fn set_faults(&self, faults: Faults) {
        self.world.faults.change(&faults);
    }

    /// Nothing goes wrong any more.
    pub fn clear_faults(&self) {
        self.world.faults.clear();
    }

    /// Ends all calls without a word and frees the port.
    pub async fn stop(self) {
        drop(self.stops_calls);
        self.serving.stop().await;
    }
}
