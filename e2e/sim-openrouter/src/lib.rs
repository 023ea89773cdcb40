//! `OpenRouter`, simulated: key administration with limits, and a model that answers by rules, well
//! enough to show a real `OpenClaw` at work: it greets, keeps a diary of meals through the `exec` tool,
//! reminds ("remind me in 20 seconds to call mum") through the `automations` tool, and obeys directives
//! (`[[SAY x]]`, `[[SLOW seconds]]`, `[[EXEC command]]`, `[[ERROR status]]`, `[[BREAK words]]`,
//! `[[SILENT]]`, and `[[HEARTBEAT words]]` for words to say at the next heartbeat).

mod account;
mod api;
mod calls;
mod config;
mod control;
mod error;
mod heartbeats;
mod key;
mod meals;
mod reminders;
mod script;
mod stream;
mod talk;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use axum::{Router, extract::DefaultBodyLimit};
use secrecy::ExposeSecret;
use sim_kit::{clock, serve::Serving};

pub use account::{ModelStats, Request};
pub use config::SimOpenRouterConfig;
pub use key::LimitReset;
pub use script::{Act, Rule};

use account::Account;

/// Largest request taken; an agent's prompt with its history stays far below.
const BODY_LIMIT_BYTES: usize = 32 << 20;

/// A running simulated `OpenRouter`. Dropping it cuts every connection.
#[derive(Debug)]
pub struct SimOpenRouter {
    account: Arc<Account>,
    serving: Vec<Serving>,
}

impl SimOpenRouter {
    /// Starts listening on all its addresses.
    pub async fn start(config: SimOpenRouterConfig) -> anyhow::Result<Self> {
        anyhow::ensure!(!config.listen.is_empty(), "no address to listen on");
        let listen = config.listen.clone();
        let account = Arc::new(Account::new(config));
        let mut serving = Vec::with_capacity(listen.len());
        for addr in listen {
            let one = Serving::start(addr, router(Arc::clone(&account)))
                .await
                .with_context(|| format!("listening on {addr}"))?;
            serving.push(one);
        }
        Ok(Self { account, serving })
    }

    /// Where it listens, in the order of its configuration.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.serving.iter().map(Serving::addr).collect()
    }

    /// What to set `OPENROUTER_BASE_URL` to.
    pub fn base_url(&self) -> String {
        format!("http://{}/api/v1", self.serving[0].addr())
    }

    /// What to set `SANDBOX_OPENROUTER_BASE_URL` to.
    pub fn base_url_in_containers(&self) -> String {
        let last = self.serving.len() - 1;
        format!("http://{}/api/v1", self.serving[last].addr())
    }

    /// What to set `OPENROUTER_PROVISIONING_KEY` to.
    pub fn management_key(&self) -> String {
        self.account
            .config
            .management_key
            .expose_secret()
            .to_owned()
    }

    /// Exact counts since the start or the last reset.
    pub fn stats(&self) -> ModelStats {
        self.account.state().stats()
    }

    /// The last completions asked for, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.account.state().requests()
    }

    /// Names of the keys there are, sorted.
    pub fn key_names(&self) -> Vec<String> {
        let mut state = self.account.state();
        let mut names: Vec<String> = state.keys_in_order().map(|key| key.name.clone()).collect();
        names.sort();
        names
    }

    /// Books `usd` on a key; false when there is no key of this hash.
    pub fn spend(&self, hash: &str, usd: f64) -> bool {
        let now = clock::now();
        let mut state = self.account.state();
        state.key(hash).map(|key| key.spend(usd, now)).is_ok()
    }

    /// Answers to go before the built-in ones.
    pub fn set_rules(&self, rules: Vec<Rule>) {
        self.account.state().rules = rules;
    }

    /// Forgets keys, rules, requests and counts.
    pub fn reset(&self) {
        *self.account.state() = account::State::default();
    }

    /// Cuts every connection and frees the ports.
    pub async fn stop(self) {
        for serving in self.serving {
            serving.stop().await;
        }
    }
}

fn router(account: Arc<Account>) -> Router {
    Router::new()
        .merge(api::routes())
        .merge(control::routes())
        .layer(DefaultBodyLimit::max(BODY_LIMIT_BYTES))
        .with_state(account)
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Account(…)")
    }
}
