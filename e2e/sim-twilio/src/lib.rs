//! A simulator of Twilio Voice. It calls our number, executes the documents that our webhooks return
//! (TwiML, Gather, ConversationRelay) according to Twilio's documentation, signs its requests, retries
//! and falls back according to the number's settings, and reports how calls ended. A test or an operator
//! acts as the caller: speaks, presses keys, keeps silent, hangs up.
//!
//! Not simulated: Record, Dial, Stream and Enqueue, the Calls API, redirects by HTTP status,
//! `preemptible` speech.

mod caller;
mod caller_identity;
mod config;
mod control;
mod faults;
mod fetch;
mod form;
mod gather;
mod interpreter;
mod line;
mod overrides;
mod page;
mod relay;
mod relay_actions;
mod relay_end;
mod relay_frame;
mod relay_settings;
mod relay_socket;
mod relay_speech;
mod schema;
mod signature;
mod status_callbacks;
#[cfg(test)]
mod tests;
mod twiml;
mod view;
mod webhook;
mod world;
mod xml;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use sim_kit::server::HttpServer;
use tokio_util::sync::DropGuard;

pub use caller::{Call, WaitError};
pub use caller_identity::CallerIdentity;
pub use config::{Pace, Silence, SimTwilioConfig};
pub use faults::TwilioFaults;
pub use view::{CallView, EndReason, Ended, Heard, RelayView, RequestKind, RequestView, TokenView};

use world::World;

/// Limit for establishing a connection: Twilio's default.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A running simulated Twilio. Dropping it ends all calls and cuts every connection.
#[derive(Debug)]
pub struct SimTwilio {
    world: Arc<World>,
    server: HttpServer,
    stops_calls: DropGuard,
}

impl SimTwilio {
    /// Starts the control API. Calls can be made at once.
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
        let server = HttpServer::start(listen, control::routes().with_state(Arc::clone(&world)))
            .await
            .with_context(|| format!("listening on {listen}"))?;
        let stops_calls = world.stop.clone().drop_guard();
        Ok(Self {
            world,
            server,
            stops_calls,
        })
    }

    /// The address of the control API.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Dials our number; returns the caller's handle on the call.
    pub fn call(&self, caller: impl Into<CallerIdentity>) -> Call {
        let line = self.world.dial(caller.into());
        Call::new(line, self.world.config.action_timeout)
    }

    /// Replaces the replicas behind the public name.
    pub fn set_connect_to(&self, replicas: Vec<SocketAddr>) {
        self.world.connect_to(replicas);
    }

    /// The kept calls, oldest first.
    pub fn calls(&self) -> Vec<CallView> {
        self.world.views()
    }

    /// Sets faults; a field that is `None` keeps its value.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers build the faults in the call"
    )]
    pub fn set_faults(&self, faults: TwilioFaults) {
        self.world.faults.change(&faults);
    }

    /// Clears all faults that `set_faults` has set.
    pub fn clear_faults(&self) {
        self.world.faults.clear();
    }

    /// Ends all calls without reporting their end, and frees the port.
    pub async fn stop(self) {
        drop(self.stops_calls);
        self.server.stop().await;
    }
}
