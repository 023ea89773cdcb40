use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    time::Duration,
};

use claw_docker::{DockerConfig, External};
use claw_openrouter::{LimitReset, SpendLimit};
use claw_runtime::{Env, EnvError, health, lifecycle};
use claw_store::Keyring;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::{ContainerSettings, Patience, Rhythm, Settings};

/// The public address of the model provider's API.
const OPENROUTER: &str = "https://openrouter.ai/api/v1";

/// Ready, and let in, 180 s after the container's start at the latest. Measured: 26 to 43 s.
const START_LIMIT_SECONDS: u64 = 180;

/// Sandboxes somebody else runs cost us two statements each.
const EXTERNAL_STARTS_AT_ONCE: usize = 32;

/// Everything the process is told, read once.
#[derive(Debug)]
pub struct Config {
    pub(crate) health: SocketAddr,
    pub(crate) grace: Duration,
    pub(crate) nats_url: SecretString,
    pub(crate) database_url: SecretString,
    pub(crate) keyring: Keyring,
    pub(crate) settings: Settings,
    pub(crate) rhythm: Rhythm,
    pub(crate) place: PlaceConfig,
}

/// Where sandboxes come from.
#[derive(Debug)]
pub(crate) enum PlaceConfig {
    Containers {
        settings: Box<ContainerSettings>,
        docker: Box<DockerConfig>,
        management_key: SecretString,
        openrouter_url: String,
    },
    Elsewhere {
        addresses: External,
        gateway_token: SecretString,
    },
}

impl Config {
    /// Reads the environment; fails with everything that is missing or wrong at once.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let health = health::address(env, "HEALTH_PORT", 3102);
        let grace = lifecycle::grace(env);
        let nats_url = env.secret("NATS_URL");
        let database_url = env.secret("DATABASE_URL");
        let keyring = keyring(env);
        let host = env.or("SANDBOX_HOST", "local".to_owned());
        let place = match env.or("SANDBOX_RUNTIME", "docker".to_owned())?.as_str() {
            "docker" => containers(
                env,
                host.as_deref().unwrap_or_default(),
                database_url.as_ref().ok(),
            ),
            "external" => elsewhere(env),
            _ => Err(env.invalid("SANDBOX_RUNTIME", "is neither docker nor external")),
        };
        let settings = settings(
            env,
            host,
            matches!(place, Ok(PlaceConfig::Elsewhere { .. })),
        );
        let rhythm = rhythm(env);
        env.finish()?;
        Ok(Self {
            health: health?,
            grace: grace?,
            nats_url: nats_url?,
            database_url: database_url?,
            keyring: keyring?,
            settings: settings?,
            rhythm: rhythm?,
            place: place?,
        })
    }
}

fn keyring(env: &Env) -> Result<Keyring, EnvError> {
    let keys = env.secret("CLAWKAKA_MASTER_KEY")?;
    Keyring::parse(&keys)
        .map_err(|error| env.invalid("CLAWKAKA_MASTER_KEY", format_args!("will not do: {error}")))
}

fn settings(
    env: &Env,
    host: Result<String, EnvError>,
    is_external: bool,
) -> Result<Settings, EnvError> {
    let model = env.required("OPENCLAW_MODEL");
    let cap = env.or("SANDBOX_CAP", 16_u32);
    let at_once = if is_external {
        EXTERNAL_STARTS_AT_ONCE
    } else {
        2
    };
    let starts_at_once = env.or("SANDBOX_STARTS_AT_ONCE", at_once);
    let start_limit = env.or("SANDBOX_START_LIMIT_SECONDS", START_LIMIT_SECONDS);
    Ok(Settings {
        host: host?,
        model: model?,
        cap: cap?,
        starts_at_once: starts_at_once?.max(1),
        patience: Patience {
            start_limit: Duration::from_secs(start_limit?),
            poll_pause: Duration::from_millis(500),
        },
    })
}

fn rhythm(env: &Env) -> Result<Rhythm, EnvError> {
    let sandboxes = env.or("RECONCILE_SECONDS", 15_u64)?.max(1);
    Ok(Rhythm {
        sandboxes: Duration::from_secs(sandboxes),
        keys: Duration::from_mins(5),
    })
}

fn containers(
    env: &Env,
    host: &str,
    database: Option<&SecretString>,
) -> Result<PlaceConfig, EnvError> {
    let owner = owner(host, database);
    let image = env.required("OPENCLAW_SANDBOX_IMAGE");
    let management_key = env.secret("OPENROUTER_PROVISIONING_KEY");
    let openrouter_url = env.or("OPENROUTER_BASE_URL", OPENROUTER.to_owned());
    let model_base_url = env
        .optional("SANDBOX_OPENROUTER_BASE_URL")
        .or_else(|| env.optional("OPENROUTER_BASE_URL"));
    let heartbeat_every = env.or("SANDBOX_HEARTBEAT_EVERY", "30m".to_owned());
    let published_on = env.or("SANDBOX_PUBLISHED_ON", IpAddr::V4(Ipv4Addr::LOCALHOST));
    let defaults = DockerConfig::default();
    let engine = env.or("DOCKER_HOST", defaults.engine.clone());
    let network = env.or("SANDBOX_NETWORK", defaults.network.clone());
    let host_address = env.or("SANDBOX_HOST_ADDRESS", defaults.host_address);
    let (ports, key_limit) = (ports(env), key_limit(env));
    let published_on = published_on?;
    Ok(PlaceConfig::Containers {
        settings: Box::new(ContainerSettings {
            owner: owner.clone(),
            image: image?,
            ports: ports?,
            published_on,
            key_limit: key_limit?,
            model_base_url,
            heartbeat_every: heartbeat_every?,
            time_zone: env.optional("SANDBOX_TIME_ZONE"),
        }),
        docker: Box::new(DockerConfig {
            engine: engine?,
            owner,
            network: network?,
            host_address: host_address?,
            published_on,
            ..defaults
        }),
        management_key: management_key?,
        openrouter_url: openrouter_url?,
    })
}

fn elsewhere(env: &Env) -> Result<PlaceConfig, EnvError> {
    let addresses = env.required_as("SANDBOX_EXTERNAL_URL");
    let gateway_token = env.secret("SANDBOX_EXTERNAL_TOKEN");
    Ok(PlaceConfig::Elsewhere {
        addresses: addresses?,
        gateway_token: gateway_token?,
    })
}

fn ports(env: &Env) -> Result<RangeInclusive<u16>, EnvError> {
    let first = env.or("PORT_RANGE_START", 30_000_u16);
    let last = env.or("PORT_RANGE_END", 35_000_u16);
    let range = first?..=last?;
    if range.is_empty() {
        return Err(env.invalid("PORT_RANGE_END", "is before PORT_RANGE_START"));
    }
    Ok(range)
}

fn key_limit(env: &Env) -> Result<SpendLimit, EnvError> {
    let usd = env.or("SANDBOX_KEY_LIMIT_USD", 5.0_f64);
    let reset = env.or("SANDBOX_KEY_LIMIT_RESET", LimitReset::Daily);
    let (usd, reset) = (usd?, reset?);
    if !usd.is_finite() || usd <= 0.0 {
        return Err(env.invalid("SANDBOX_KEY_LIMIT_USD", "is no positive amount"));
    }
    Ok(SpendLimit { usd, reset })
}

/// What this installation calls itself on an engine and in an account it may share with others, none
/// of which has the same database. Colons are for the names it becomes part of.
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
    fn everything_missing_is_named_at_once() {
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
    fn sandboxes_elsewhere_need_no_engine_and_no_model_keys() {
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

        assert!(matches!(config.place, PlaceConfig::Elsewhere { .. }));
        assert_eq!(config.settings.starts_at_once, EXTERNAL_STARTS_AT_ONCE);
    }

    #[test]
    fn installations_with_databases_of_their_own_have_names_of_their_own() {
        let owner = |url: &str| owner("local", Some(&url.into()));

        assert_eq!(
            owner("postgres://u:old@db/x"),
            owner("postgres://u:new@db/x")
        );
        assert_ne!(owner("postgres://u:p@db/x"), owner("postgres://u:p@db/y"));
    }
}
