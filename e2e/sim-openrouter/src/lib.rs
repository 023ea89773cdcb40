//! A simulator of OpenRouter: key administration with limits, and a model that answers by rules, well
//! enough to show a real OpenClaw at work. The model greets, keeps a diary of meals with the tool `exec`,
//! sets reminders with the tool `automations`, and obeys the directives that `sim-openrouter --help` lists.

mod account;
mod action;
mod api;
mod calls;
mod config;
mod control;
mod error;
mod heartbeats;
mod key;
mod meals;
mod prompt;
mod reminders;
mod script;
mod stream;
#[cfg(test)]
mod tests;

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use axum::{Router, extract::DefaultBodyLimit};
use secrecy::ExposeSecret;
use sim_kit::{clock, server::HttpServer};

pub use account::{CompletionRequest, ModelStats};
pub use action::Action;
pub use config::SimOpenRouterConfig;
pub use script::Rule;

use account::Account;

/// Largest request body; an agent's prompt with its history stays far below it.
const BODY_LIMIT_BYTES: usize = 32 << 20;

/// A running simulated OpenRouter. Dropping it cuts every connection.
#[derive(Debug)]
pub struct SimOpenRouter {
    account: Arc<Account>,
    servers: Vec<HttpServer>,
}

impl SimOpenRouter {
    /// Starts listening on all its addresses.
    pub async fn start(config: SimOpenRouterConfig) -> anyhow::Result<Self> {
        anyhow::ensure!(!config.listen.is_empty(), "no address to listen on");
        let listen = config.listen.clone();
        let account = Arc::new(Account::new(config));
        let mut servers = Vec::with_capacity(listen.len());
        for addr in listen {
            let one = HttpServer::start(addr, router(Arc::clone(&account)))
                .await
                .with_context(|| format!("listening on {addr}"))?;
            servers.push(one);
        }
        Ok(Self { account, servers })
    }

    /// The addresses it listens on, in the order of the configuration.
    pub fn addrs(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(HttpServer::addr).collect()
    }

    /// The value for `OPENROUTER_BASE_URL`.
    pub fn base_url(&self) -> String {
        format!("http://{}/api/v1", self.servers[0].addr())
    }

    /// The value for `SANDBOX_OPENROUTER_BASE_URL`.
    pub fn base_url_in_containers(&self) -> String {
        let last = self.servers.len() - 1;
        format!("http://{}/api/v1", self.servers[last].addr())
    }

    /// The value for `OPENROUTER_PROVISIONING_KEY`.
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

    /// The latest completion requests, oldest first.
    pub fn requests(&self) -> Vec<CompletionRequest> {
        self.account.state().requests()
    }

    /// Names of the existing keys, sorted.
    pub fn key_names(&self) -> Vec<String> {
        let mut state = self.account.state();
        let mut names: Vec<String> = state.keys_in_order().map(|key| key.name.clone()).collect();
        names.sort();
        names
    }

    /// Charges a key `usd`; false if no key has this hash.
    pub fn spend(&self, hash: &str, usd: f64) -> bool {
        let now = clock::now();
        let mut state = self.account.state();
        state.key(hash).map(|key| key.spend(usd, now)).is_ok()
    }

    /// Replaces the rules, which take precedence over the built-in answers.
    pub fn set_rules(&self, rules: Vec<Rule>) {
        self.account.state().rules = rules;
    }

    /// Forgets keys, rules, requests and counts.
    pub fn reset(&self) {
        *self.account.state() = account::State::default();
    }

    /// Cuts every connection and frees the ports.
    pub async fn stop(self) {
        for server in self.servers {
            server.stop().await;
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
