use std::{net::SocketAddr, time::Duration};

use claw_bus::BusConfig;
use claw_chat::{Admission, Defaults, NO_QUIET_HOURS, QuietHours, VoiceTrust, WakeLimits};
use claw_runtime::{Env, EnvError, health, lifecycle};
use claw_seal::OpeningKey;
use claw_store::Keyring;
use secrecy::{ExposeSecret, SecretString};

use crate::{context::Policy, turn::TurnLimits};

/// Port of `/healthz`, `/readyz` and `/metrics`.
const DEFAULT_HEALTH_PORT: u16 = 3103;

/// Connections to Postgres. A turn holds one for a millisecond at a time.
const DEFAULT_DATABASE_CONNECTIONS: u32 = 16;

/// Longest time that one turn of the assistant may take.
const DEFAULT_TURN_LIMIT_SECONDS: u64 = 600;

/// Longest time in a turn without activity in the sandbox. The retries of its model's provider are silent for
/// up to 130 s.
const DEFAULT_TURN_IDLE_SECONDS: u64 = 180;

/// After this long in a turn the user is told that their assistant is still at work.
const DEFAULT_STILL_WORKING_SECONDS: u64 = 45;

/// After this long the user is told that their assistant is still starting. Most starts are over sooner.
const DEFAULT_STILL_WAKING_SECONDS: u64 = 20;

/// After this long without a use, a sandbox sleeps.
const DEFAULT_SLEEP_AFTER_SECONDS: u64 = 600;

/// How often a sandbox wakes by itself on a day: for jobs that repeat, and for heartbeats.
const DEFAULT_JOB_WAKES_PER_DAY: u32 = 24;
const DEFAULT_HEARTBEAT_WAKES_PER_DAY: u32 = 3;

/// Most heartbeats on a day: one in half an hour.
const MOST_HEARTBEAT_WAKES: u32 = 48;

/// When this many messages wait behind a turn, the user is told so.
const DEFAULT_BACKLOG: u32 = 5;

/// Quiet hours in the user's own time zone.
const DEFAULT_QUIET_HOURS: &str = "22:00-07:00";

/// Most proactive messages to one user per day.
const DEFAULT_PROACTIVE_PER_DAY: u32 = 12;

/// Callers whose number is shown and was not found to be forged.
const DEFAULT_VOICE_TRUST: &str = "caller-id";
/// Most newcomers in an hour and in a day. A rush of people who saw a link fits in; a script with numbers of its own
/// fills no more than the waiting list of a day.
const DEFAULT_PER_HOUR: u32 = 100;
const DEFAULT_PER_DAY: u32 = 500;

/// The settings of this service.
pub struct Config {
    /// The address of the bus: `NATS_URL`.
    pub bus: BusConfig,
    /// The address of Postgres, with the password: `DATABASE_URL`.
    pub database_url: SecretString,
    /// Most connections to Postgres.
    pub database_connections: u32,
    /// Decrypts the sandboxes' secrets.
    pub keyring: Keyring,
    /// Opens PINs that ingress has sealed: `PIN_PRIVATE_KEY`.
    pub pins: OpeningKey,
    /// Address of the health endpoints and metrics.
    pub health: SocketAddr,
    /// How long running turns may go on after a stop was requested.
    pub grace: Duration,
    /// How users are treated.
    pub(crate) policy: Policy,
}

impl Config {
    /// Reads the environment; the error names every missing or invalid setting.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let nats_url = env.secret("NATS_URL");
        let database_url = env.secret("DATABASE_URL");
        let database_connections = env.or("DATABASE_CONNECTIONS", DEFAULT_DATABASE_CONNECTIONS);
        let keyring = keyring(env);
        let pins = pins(env);
        let health = health::address(env, "HEALTH_PORT", DEFAULT_HEALTH_PORT);
        let grace = lifecycle::grace(env);
        let total = env.or("TURN_LIMIT_SECONDS", DEFAULT_TURN_LIMIT_SECONDS);
        let idle = env.or("TURN_IDLE_SECONDS", DEFAULT_TURN_IDLE_SECONDS);
        let still_working = env.or("STILL_WORKING_SECONDS", DEFAULT_STILL_WORKING_SECONDS);
        let still_waking = env.or("STILL_WAKING_SECONDS", DEFAULT_STILL_WAKING_SECONDS);
        let sleep_after = env.or("SLEEP_AFTER_SECONDS", DEFAULT_SLEEP_AFTER_SECONDS);
        let job_wakes = env.or("JOB_WAKES_PER_DAY", DEFAULT_JOB_WAKES_PER_DAY);
        let heartbeat_wakes = heartbeat_wakes(env);
        let backlog = env.or("BACKLOG_MESSAGES", DEFAULT_BACKLOG);
        let voice_trust = voice_trust(env);
        let admission = admission(env);
        let quiet_hours = quiet_hours(env);
        let daily_limit = env.or("PROACTIVE_PER_DAY", DEFAULT_PROACTIVE_PER_DAY);
        env.finish()?;
        Ok(Self {
            bus: BusConfig {
                url: nats_url?,
                service: "gateway",
            },
            database_url: database_url?,
            database_connections: database_connections?,
            keyring: keyring?,
            pins: pins?,
            health: health?,
            grace: grace?,
            policy: Policy {
                admission: admission?,
                limits: TurnLimits {
                    total: Duration::from_secs(total?),
                    idle: Duration::from_secs(idle?),
                },
                still_working_after: Duration::from_secs(still_working?),
                still_waking_after: Duration::from_secs(still_waking?),
                sleep_after: Duration::from_secs(sleep_after?),
                wakes: WakeLimits {
                    jobs_per_day: job_wakes?,
                    heartbeats_per_day: heartbeat_wakes?,
                },
                backlog: backlog?,
                voice_trust: voice_trust?,
                preferences: Defaults {
                    quiet_hours: quiet_hours?,
                    daily_limit: daily_limit?,
                },
            },
        })
    }
}

fn keyring(env: &Env) -> Result<Keyring, EnvError> {
    let keys = env.secret("CLAWKAKA_MASTER_KEY")?;
    Keyring::parse(&keys).map_err(|error| env.invalid("CLAWKAKA_MASTER_KEY", error))
}

fn pins(env: &Env) -> Result<OpeningKey, EnvError> {
    let digits = env.secret("PIN_PRIVATE_KEY")?;
    OpeningKey::parse(digits.expose_secret()).map_err(|error| env.invalid("PIN_PRIVATE_KEY", error))
}

fn voice_trust(env: &Env) -> Result<VoiceTrust, EnvError> {
    let name = env.or("VOICE_TRUST", DEFAULT_VOICE_TRUST.to_owned())?;
    let invalid = |_| env.invalid("VOICE_TRUST", "expected caller-id, attested or pin");
    name.parse().map_err(invalid)
}

fn admission(env: &Env) -> Result<Admission, EnvError> {
    let policy = env.or("ADMISSION", "open".to_owned());
    let per_hour = env.or("ADMISSION_PER_HOUR", DEFAULT_PER_HOUR);
    let per_day = env.or("ADMISSION_PER_DAY", DEFAULT_PER_DAY);
    let (per_hour, per_day) = (per_hour?, per_day?);
    match policy?.as_str() {
        "open" => Ok(Admission::Open { per_hour, per_day }),
        "invite" => Ok(Admission::Invite),
        "closed" => Ok(Admission::Closed),
        _ => Err(env.invalid("ADMISSION", "expected open, invite or closed")),
    }
}

fn heartbeat_wakes(env: &Env) -> Result<u32, EnvError> {
    let per_day = env.or("HEARTBEAT_WAKES_PER_DAY", DEFAULT_HEARTBEAT_WAKES_PER_DAY)?;
    if per_day > MOST_HEARTBEAT_WAKES {
        return Err(env.invalid("HEARTBEAT_WAKES_PER_DAY", "expected a number from 0 to 48"));
    }
    Ok(per_day)
}

fn quiet_hours(env: &Env) -> Result<Option<QuietHours>, EnvError> {
    let hours = env.or("QUIET_HOURS", DEFAULT_QUIET_HOURS.to_owned())?;
    if hours.eq_ignore_ascii_case(NO_QUIET_HOURS) {
        return Ok(None);
    }
    let parsed = QuietHours::parse(&hours).map(Some);
    parsed.ok_or_else(|| env.invalid("QUIET_HOURS", "expected hours such as 22:00-07:00, or off"))
}
