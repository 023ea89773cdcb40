use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use claw_runtime::{Env, EnvError};
use secrecy::SecretString;

/// The host's address on the sandbox bridge; containers reach only this port of it.
const FOR_CONTAINERS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(172, 30, 0, 1)), 18080);

/// Settings of a simulated OpenRouter. The default suits tests: one free port on loopback and a known
/// management key.
#[derive(Debug, Clone)]
pub struct SimOpenRouterConfig {
    /// The addresses to listen on; port 0 picks a free port. The first is for services on this machine, the
    /// last for containers.
    pub listen: Vec<SocketAddr>,
    /// The key that makes and deletes keys; it cannot call models.
    pub management_key: SecretString,
    /// The account's credit, in USD.
    pub credits_usd: f64,
    /// The cost of one completion, in USD.
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
    /// Listens on loopback for our services and on the sandbox bridge for containers. The bridge must exist
    /// before the start.
    pub fn for_containers() -> anyhow::Result<Self> {
        let defaults = Self::default();
        Ok(Self {
            listen: vec![defaults.listen[0], FOR_CONTAINERS],
            ..defaults
        })
    }

    /// Reads the environment variables that `sim-openrouter --help` lists.
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
