//! Phone calls. Twilio's requests become events, and the answers that other services store become speech.
//! `dialogue` decides what a call does next, and `relay` does so where Twilio streams the conversation. The
//! state of a call travels in the URLs that we give to Twilio; a process remembers only the conversations on
//! its open sockets.

mod call_control;
mod call_state;
mod call_watcher;
mod dialogue;
mod handoff;
mod paths;
mod phrase;
mod relay;
mod response_cache;
mod twiml;
mod webhook;

use std::sync::Arc;

use axum::Router;
use claw_bus::Bus;
use claw_runtime::SystemClock;

pub(crate) use call_watcher::CallWatcher;
pub(crate) use relay::{HANDOVER_GRACE, RelaySessions};

use crate::{Keys, VoiceConfig, refusal::RefusalLog, unverified::UnverifiedRequests};
use call_control::CallControl;
use relay::RelayEndpoint;
use response_cache::ResponseCache;
use webhook::VoiceWebhook;

/// The routes that Twilio calls.
pub(crate) fn routes(
    config: VoiceConfig,
    keys: Keys,
    bus: &Bus,
    watcher: CallWatcher,
    sessions: RelaySessions,
    unverified: UnverifiedRequests,
) -> Router {
    let control = Arc::new(CallControl {
        watcher,
        keys,
        publisher: bus.publisher(),
        clock: Arc::new(SystemClock),
    });
    let refusals = Arc::new(RefusalLog::default());
    let sockets = relay::routes(RelayEndpoint {
        tokens: config.auth_tokens.clone(),
        base: config.base_url.clone(),
        bus: bus.clone(),
        control: Arc::clone(&control),
        sessions: sessions.clone(),
        unverified: unverified.clone(),
        refusals: Arc::clone(&refusals),
    });
    let webhooks = webhook::routes(VoiceWebhook {
        tokens: config.auth_tokens,
        base: config.base_url,
        mode: config.mode,
        sessions,
        control,
        responses: ResponseCache::default(),
        unverified,
        refusals,
    });
    webhooks.merge(sockets)
}
