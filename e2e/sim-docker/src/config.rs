use std::{fmt, net::SocketAddr, path::PathBuf, str::FromStr};

use anyhow::Context;
use claw_runtime::{Env, EnvError};
use sim_openclaw::SimOpenClawConfig;

use super::Starts;

/// Settings of a simulated engine. `Default` suits tests: free ports on loopback, and containers that are ready at
/// once.
#[derive(Debug, Clone)]
pub struct SimDockerConfig {
    /// The engine's address.
    pub listen: EngineAddress,
    /// The address of the control API; port 0 picks a free port.
    pub control: SocketAddr,
    /// The engine's id, `ID` in `GET /info`.
    pub id: String,
    /// The images on this host. No other image can be used, as there is no registry.
    pub images: Vec<String>,
    /// What starts of containers come to.
    pub starts: Starts,
    /// The assistants in the containers. Their token and their device come from each container's environment.
    pub openclaw: SimOpenClawConfig,
}

impl Default for SimDockerConfig {
    fn default() -> Self {
        Self {
            listen: EngineAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))),
            control: SocketAddr::from(([127, 0, 0, 1], 0)),
            id: "7QXC:5RLK:2ZJD:SIM0:7QXC:5RLK:2ZJD:SIM0:7QXC:5RLK:2ZJD:SIM0".to_owned(),
            images: vec!["clawkaka/sandbox:simulated".to_owned()],
            starts: Starts::default(),
            openclaw: SimOpenClawConfig::default(),
        }
    }
}

impl SimDockerConfig {
    /// Reads the environment variables that `sim-docker --help` lists.
    pub fn read(env: &Env) -> Result<Self, EnvError> {
        let defaults = Self::default();
        let loopback = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let listen = env.or("SIM_DOCKER_LISTEN", EngineAddress::Tcp(loopback(2375)));
        let control = env.or("SIM_DOCKER_CONTROL", loopback(18085));
        let openclaw = env.or("SIM_DOCKER_OPENCLAW", loopback(18086));
        let id = env.or("SIM_DOCKER_ID", defaults.id);
        let image = env.or("OPENCLAW_SANDBOX_IMAGE", defaults.images[0].clone());
        let listen_ms = env.or("SIM_DOCKER_LISTEN_MS", 0);
        let ready_ms = env.or("SIM_DOCKER_READY_MS", 0);
        Ok(Self {
            listen: listen?,
            control: control?,
            id: id?,
            images: vec![image?],
            starts: Starts::Run {
                listen_ms: listen_ms?,
                ready_ms: ready_ms?,
            },
            openclaw: SimOpenClawConfig {
                listen: openclaw?,
                ..SimOpenClawConfig::default()
            },
        })
    }
}

/// The address of an engine: `unix:///run/docker.sock` or `tcp://127.0.0.1:2375`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineAddress {
    /// The path of a Unix socket. A socket that an earlier engine left there is replaced.
    Unix(PathBuf),
    /// An address of this host; port 0 picks a free port.
    Tcp(SocketAddr),
}

impl FromStr for EngineAddress {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix://") {
            return Ok(Self::Unix(path.into()));
        }
        let tcp = text
            .strip_prefix("tcp://")
            .context("expected unix:///… or tcp://…")?;
        tcp.parse()
            .map(Self::Tcp)
            .context("expected tcp://<address>:<port>")
    }
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(addr) => write!(f, "tcp://{addr}"),
        }
    }
}
