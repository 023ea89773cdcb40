use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use claw_docker::{DockerConfig, ExternalAddresses};
use claw_model_keys::{LimitReset, SpendLimit};
use claw_runtime::{Env, EnvError, health, lifecycle};
use claw_store::Keyring;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::{
    ContainerSettings, ReconcilerIntervals, Settings, Timeouts,
    model_keys::{ModelKeysConfig, url_for_sandboxes},
};

/// Default time limit from a container's start until it accepts our connection. Measured: 26 to 43 s.
const START_LIMIT_SECONDS: u64 = 180;

/// Default time from the start of a sleeper until its job or heartbeat is due. Starts take up to 43 s.
const WAKE_LEAD_SECONDS: u64 = 45;

/// Default memory that sandboxes leave to everything else, in MiB: the servers and services use a sixth of it, the rest is
/// for the system and its file cache.
const MEMORY_RESERVE_MB: u32 = 4_096;

/// Default memory that a sandbox is expected to use, in MiB. Measured: 1.1 GB in its first turn.
const MEMORY_MB: u32 = 1_200;

/// Default limit of concurrent starts of external sandboxes, each of which costs two SQL statements.
const EXTERNAL_STARTS_AT_ONCE: usize = 32;

/// The settings of the process, read once.
#[derive(Debug)]
pub struct Config {
    pub(crate) health: SocketAddr,
    pub(crate) grace: Duration,
    pub(crate) nats_url: SecretString,
    pub(crate) database_url: SecretString,
    pub(crate) keyring: Keyring,
    pub(crate) settings: Settings,
    pub(crate) intervals: ReconcilerIntervals,
    pub(crate) backend: BackendConfig,
}

/// The settings of the backend.
#[derive(Debug)]
pub(crate) enum BackendConfig {
    Containers {
        settings: Box<ContainerSettings>,
        docker: Box<DockerConfig>,
        model_keys: ModelKeysConfig,
    },
    External {
        addresses: ExternalAddresses,
        gateway_token: SecretString,
    },
}

impl Config {
    /// Reads the environment. The error names every missing or wrong setting.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let health = health::address(env, "HEALTH_PORT", 3102);
        let grace = lifecycle::grace(env);
        let nats_url = env.secret("NATS_URL");
        let database_url = env.secret("DATABASE_URL");
        let keyring = keyring(env);
        let host = env.or("SANDBOX_HOST", "local".to_owned());
        let backend = match env.or("SANDBOX_RUNTIME", "docker".to_owned())?.as_str() {
            "docker" => containers(
                env,
                host.as_deref().unwrap_or_default(),
                database_url.as_ref().ok(),
            ),
            "external" => external(env),
            _ => Err(env.invalid("SANDBOX_RUNTIME", "expected docker or external")),
        };
        let settings = settings(
            env,
            host,
            matches!(backend, Ok(BackendConfig::External { .. })),
        );
        let intervals = intervals(env);
        env.finish()?;
        Ok(Self {
            health: health?,
            grace: grace?,
            nats_url: nats_url?,
            database_url: database_url?,
            keyring: keyring?,
            settings: settings?,
            intervals: intervals?,
            backend: backend?,
        })
    }
}

fn keyring(env: &Env) -> Result<Keyring, EnvError> {
    let keys = env.secret("CLAWKAKA_MASTER_KEY")?;
    Keyring::parse(&keys).map_err(|error| env.invalid("CLAWKAKA_MASTER_KEY", error))
}

fn settings(
    env: &Env,
    host: Result<String, EnvError>,
    is_external: bool,
) -> Result<Settings, EnvError> {
    let model = env.required("OPENCLAW_MODEL");
    let cap = env.or("SANDBOX_CAP", u32::MAX);
    let pool_size = env.or("POOL_SIZE", 0_u32);
    let at_once = if is_external {
        EXTERNAL_STARTS_AT_ONCE
    } else {
        2
    };
    let starts_at_once = env.or("SANDBOX_STARTS_AT_ONCE", at_once);
    let start_limit = env.or("SANDBOX_START_LIMIT_SECONDS", START_LIMIT_SECONDS);
    let wake_lead = env.or("WAKE_LEAD_SECONDS", WAKE_LEAD_SECONDS);
    Ok(Settings {
        host: host?,
        model: model?,
        cap: cap?,
        pool_size: pool_size?,
        starts_at_once: starts_at_once?.max(1),
        timeouts: Timeouts {
            start_limit: Duration::from_secs(start_limit?),
            poll_pause: Duration::from_millis(500),
        },
        wake_lead: Duration::from_secs(wake_lead?),
    })
}

fn intervals(env: &Env) -> Result<ReconcilerIntervals, EnvError> {
    let sandboxes = env.or("RECONCILE_SECONDS", 15_u64)?.max(1);
    Ok(ReconcilerIntervals {
        sandboxes: Duration::from_secs(sandboxes),
        keys: Duration::from_mins(5),
    })
}

fn containers(
    env: &Env,
    host: &str,
    database: Option<&SecretString>,
) -> Result<BackendConfig, EnvError> {
    let owner = owner(host, database);
    let image = env.required("OPENCLAW_SANDBOX_IMAGE");
    let model_keys = ModelKeysConfig::read(env);
    let heartbeat_every = env.or("SANDBOX_HEARTBEAT_EVERY", "30m".to_owned());
    let published_on = env.or("SANDBOX_PUBLISHED_ON", IpAddr::V4(Ipv4Addr::LOCALHOST));
    let defaults = DockerConfig::default();
    let engine = env.or("DOCKER_HOST", defaults.engine);
    let network = env.or("SANDBOX_NETWORK", defaults.network);
    let host_address = env.or("SANDBOX_HOST_ADDRESS", defaults.host_address);
    let (ports, key_limit) = (ports(env), key_limit(env));
    let memory_reserve_mb = env.or("SANDBOX_MEMORY_RESERVE_MB", MEMORY_RESERVE_MB);
    let memory_mb = env.or("SANDBOX_MEMORY_MB", MEMORY_MB);
    let published_on = published_on?;
    Ok(BackendConfig::Containers {
        settings: Box::new(ContainerSettings {
            owner: owner.clone(),
            image: image?,
            ports: ports?,
            published_on,
            key_limit: key_limit?,
            model_base_url: url_for_sandboxes(env),
            heartbeat_every: heartbeat_every?,
            time_zone: env.optional("SANDBOX_TIME_ZONE"),
            memory_reserve_mb: memory_reserve_mb?,
            memory_mb: memory_mb?,
        }),
        docker: Box::new(DockerConfig {
            engine: engine?,
            owner,
            network: network?,
            host_address: host_address?,
            published_on,
        }),
        model_keys: model_keys?,
    })
}

fn external(env: &Env) -> Result<BackendConfig, EnvError> {
    let addresses = env.required_as("SANDBOX_EXTERNAL_URL");
    let gateway_token = env.secret("SANDBOX_EXTERNAL_TOKEN");
    Ok(BackendConfig::External {
        addresses: addresses?,
        gateway_token: gateway_token?,
    })
}

fn ports(env: &Env) -> Result<RangeInclusive<u16>, EnvError> {
    let first = env.or("PORT_RANGE_START", 30_000_u16);
    let last = env.or("PORT_RANGE_END", 35_000_u16);
    let range = first?..=last?;
    if range.is_empty() {
        return Err(env.invalid(
            "PORT_RANGE_END",
            "expected a port that is not below PORT_RANGE_START",
        ));
    }
    Ok(range)
}

fn key_limit(env: &Env) -> Result<SpendLimit, EnvError> {
    let usd = env.or("SANDBOX_KEY_LIMIT_USD", 5.0_f64);
    let reset = env.or("SANDBOX_KEY_LIMIT_RESET", LimitReset::Daily);
    let (usd, reset) = (usd?, reset?);
    if !usd.is_finite() || usd <= 0.0 {
        return Err(env.invalid("SANDBOX_KEY_LIMIT_USD", "expected a positive amount"));
    }
    Ok(SpendLimit { usd, reset })
}

/// The installation's name on a container engine and in a model provider's account, both of which it may share
/// with other installations. It contains a hash of the database's address, because two installations never share
/// a database. It has no colon, which separates the parts of a key's name.
fn owner(host: &str, database: Option<&SecretString>) -> String {
    let url = database
        .map(ExposeSecret::expose_secret)
        .unwrap_or_default();
    let address = url.rsplit('@').next().unwrap_or_default();
    let id = Uuid::new_v5(&Uuid::NAMESPACE_URL, address.as_bytes())
        .simple()
        .to_string();
    format!("{}-{}", host.replace(':', "-"), &id[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_names_every_missing_or_wrong_setting() {
        let env = Env::from_pairs([("SANDBOX_RUNTIME", "docker"), ("PORT_RANGE_START", "x")]);

        let error = Config::read(&env).unwrap_err().to_string();

        for name in [
            "NATS_URL",
            "DATABASE_URL",
            "CLAWKAKA_MASTER_KEY",
            "OPENCLAW_SANDBOX_IMAGE",
            "OPENCLAW_MODEL",
            "OPENROUTER_PROVISIONING_KEY",
            "PORT_RANGE_START",
        ] {
            assert!(error.contains(name), "{name} is not in {error}");
        }
        assert!(!error.contains("SANDBOX_EXTERNAL_URL"), "{error}");
    }

    #[test]
    fn external_sandboxes_need_no_engine_and_no_model_keys() {
        let master_key = format!("k:{}", "0".repeat(64));
        let env = Env::from_pairs([
            ("NATS_URL", "nats://bus"),
            ("DATABASE_URL", "postgres://db"),
            ("CLAWKAKA_MASTER_KEY", master_key.as_str()),
            ("OPENCLAW_MODEL", "openrouter/auto"),
            ("SANDBOX_RUNTIME", "external"),
            ("SANDBOX_EXTERNAL_URL", "ws://agents/{sandbox}"),
            ("SANDBOX_EXTERNAL_TOKEN", "token"),
        ]);

        let config = Config::read(&env).unwrap();

        assert!(matches!(config.backend, BackendConfig::External { .. }));
        assert_eq!(config.settings.starts_at_once, EXTERNAL_STARTS_AT_ONCE);
    }

    #[test]
    fn installations_with_different_databases_have_different_names() {
        let owner = |url: &str| owner("local", Some(&url.into()));

        assert_eq!(
            owner("postgres://u:old@db/x"),
            owner("postgres://u:new@db/x")
        );
        assert_ne!(owner("postgres://u:p@db/x"), owner("postgres://u:p@db/y"));
    }
}
