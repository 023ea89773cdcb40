use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use claw_bus::BusConfig;
use claw_runtime::{Env, health, lifecycle};
use claw_store::Keyring;
use secrecy::SecretString;

use crate::{
    context::Policy,
    guard::Quiet,
    preferences::{NEVER_QUIET, read_quiet},
    turn::TurnLimits,
};

/// Where `/healthz`, `/readyz` and `/metrics` are served unless said otherwise.
const DEFAULT_HEALTH_PORT: u16 = 3103;

/// Connections to Postgres unless said otherwise. A turn holds one for a millisecond at a time.
const DEFAULT_DATABASE_CONNECTIONS: u32 = 16;

/// Longest one turn of the assistant may take unless said otherwise.
const DEFAULT_TURN_LIMIT_SECONDS: u64 = 600;

/// Longest the assistant may show no sign of life in a turn unless said otherwise. The retries of its
/// model's provider are silent for up to 130 s.
const DEFAULT_TURN_IDLE_SECONDS: u64 = 180;

/// After this long a person hears that their assistant is still at work unless said otherwise.
const DEFAULT_STILL_WORKING_SECONDS: u64 = 45;

/// More messages than this behind a turn, and the person hears so, unless said otherwise.
const DEFAULT_BACKLOG: u32 = 5;

/// When nobody is disturbed unless said otherwise, by the person's own clock.
const DEFAULT_QUIET_HOURS: &str = "22:00-07:00";

/// Most texts a day that nobody asked for, unless said otherwise.
const DEFAULT_PROACTIVE_PER_DAY: u32 = 12;

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
    /// How people are treated.
    pub(crate) policy: Policy,
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
        let total = env.or("TURN_LIMIT_SECONDS", DEFAULT_TURN_LIMIT_SECONDS);
        let idle = env.or("TURN_IDLE_SECONDS", DEFAULT_TURN_IDLE_SECONDS);
        let still_working = env.or("STILL_WORKING_SECONDS", DEFAULT_STILL_WORKING_SECONDS);
        let backlog = env.or("BACKLOG_MESSAGES", DEFAULT_BACKLOG);
        let quiet = env.or("QUIET_HOURS", DEFAULT_QUIET_HOURS.to_owned());
        let per_day = env.or("PROACTIVE_PER_DAY", DEFAULT_PROACTIVE_PER_DAY);
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
            policy: Policy {
                limits: TurnLimits {
                    total: Duration::from_secs(total?),
                    idle: Duration::from_secs(idle?),
                },
                still_working_after: Duration::from_secs(still_working?),
                backlog: backlog?,
                quiet: quiet_hours(&quiet?)?,
                proactive_per_day: per_day?,
            },
        })
    }
}

fn quiet_hours(text: &str) -> Result<Option<Quiet>> {
    if text.eq_ignore_ascii_case(NEVER_QUIET) {
        return Ok(None);
    }
    let quiet = read_quiet(text);
    quiet
        .map(Some)
        .context("QUIET_HOURS must look like 22:00-07:00, or be off")
}
