use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use claw_bus::BusConfig;
use claw_runtime::{Env, health, lifecycle};
use claw_store::Keyring;
use secrecy::SecretString;

/// Where `/healthz`, `/readyz` and `/metrics` are served unless said otherwise.
const DEFAULT_HEALTH_PORT: u16 = 3103;

/// Connections to Postgres unless said otherwise. A turn holds one for a millisecond at a time.
const DEFAULT_DATABASE_CONNECTIONS: u32 = 16;

/// Longest one turn of the assistant may take unless said otherwise.
const DEFAULT_TURN_LIMIT_SECONDS: u64 = 600;

/// Everything this service is told from outside.
pub struct Config {
    /// The bus.
    pub bus: BusConfig,
    /// Postgres.
    pub database_url: SecretString,
    /// Most connections to it.
    pub database_connections: u32,
    /// Opens the sandboxes' sealed secrets.
    pub keyring: Keyring,
    /// Where health is served.
    pub health: SocketAddr,
    /// How long running turns may go on after a stop was asked for.
    pub grace: Duration,
    /// Longest one turn of the assistant may take.
    pub turn_limit: Duration,
}

impl Config {
    /// Reads the environment; names everything missing or wrong at once.
    pub fn read(env: &Env) -> Result<Self> {
        let nats_url = env.secret("NATS_URL");
        let database_url = env.secret("DATABASE_URL");
        let database_connections = env.or("DATABASE_CONNECTIONS", DEFAULT_DATABASE_CONNECTIONS);
        let master_key = env.secret("CLAWKAKA_MASTER_KEY");
        let health = health::address(env, "HEALTH_PORT", DEFAULT_HEALTH_PORT);
        let grace = lifecycle::grace(env);
        let turn_limit = env.or("TURN_LIMIT_SECONDS", DEFAULT_TURN_LIMIT_SECONDS);
        env.finish()?;
        Ok(Self {
            bus: BusConfig {
                url: nats_url?,
                service: "gateway",
            },
            database_url: database_url?,
            database_connections: database_connections?,
            keyring: Keyring::parse(&master_key?).context("CLAWKAKA_MASTER_KEY")?,
            health: health?,
            grace: grace?,
            turn_limit: Duration::from_secs(turn_limit?),
        })
    }
}
