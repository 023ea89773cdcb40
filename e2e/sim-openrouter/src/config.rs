use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use claw_runtime::{Env, EnvError};
use secrecy::SecretString;

/// The host as containers see it, and the only port of it they reach.
const FOR_CONTAINERS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(172, 30, 0, 1)), 18080);

/// What a simulated `OpenRouter` is told at its start. `Default` suits tests: one free port on
/// loopback and a known management key.
#[derive(Debug, Clone)]
pub struct SimOpenRouterConfig {
    /// Where it listens; port 0 picks a free one. The first is its address for services of this
    /// machine, the last its address for containers.
    pub listen: Vec<SocketAddr>,
    /// Makes and deletes keys; cannot call models.
    pub management_key: SecretString,
    /// Money the account has, in USD.
    pub credits_usd: f64,
    /// What one completion costs, in USD.
    pub cost_usd: f64,
    /// Requests kept for `GET /sim/requests`.
    pub requests_kept: usize,
}

impl Default for SimOpenRouterConfig {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            management_key: "sk-or-v1-management-key-of-the-simulator".into(),
            credits_usd: 100.0,
            cost_usd: 0.00042,
            requests_kept: 1_000,
        }
    }
}

impl SimOpenRouterConfig {
    /// Listens on loopback for our services and on the sandbox bridge for containers. The bridge
    /// must exist when it starts.
    pub fn for_containers() -> anyhow::Result<Self> {
        let defaults = Self::default();
        Ok(Self {
            listen: vec![defaults.listen[0], FOR_CONTAINERS],
            ..defaults
        })
    }

    /// Reads `SIM_OPENROUTER_LISTEN` (comma-separated addresses) and `OPENROUTER_PROVISIONING_KEY`.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let listen = env.or("SIM_OPENROUTER_LISTEN", "127.0.0.1:18080".to_owned());
        let management_key = env.secret("OPENROUTER_PROVISIONING_KEY");
        let listen = listen?
            .split(',')
            .map(|addr| addr.trim().parse())
            .collect::<Result<Vec<SocketAddr>, _>>()
            .map_err(|error| env.invalid("SIM_OPENROUTER_LISTEN", error))?;
        Ok(Self {
            listen,
            management_key: management_key?,
            ..Self::default()
        })
    }
}
