use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result, bail};
use async_trait::async_trait;

use super::{
    Nats, Postgres, Replica, Service,
    compose::Compose,
    processes::Processes,
    settings::{Settings, environment},
};

/// Runs Caddy and the services of a world: as processes, or as containers.
#[async_trait]
pub(super) trait Backend: Send + Sync {
    /// All replicas of a service, including those that are not running.
    fn replicas_of(&self, service: Service) -> Vec<Replica>;

    /// The address at which this machine reaches a running replica.
    fn url_of(&self, replica: Replica) -> Result<String>;

    /// The log of a replica, including runs before a restart.
    fn log_of(&self, replica: Replica) -> String;

    /// The log of Caddy.
    fn log_of_caddy(&self) -> String;

    /// The id of a replica's process; fails if it is not running.
    fn process_of(&self, replica: Replica) -> Result<u32>;

    /// Fails if a started replica has ended.
    fn ensure_running(&mut self, replica: Replica) -> Result<()>;

    /// Kills a replica with SIGKILL; it may already have ended.
    async fn kill(&mut self, replica: Replica) -> Result<()>;

    /// Stops a replica with SIGTERM and waits for its end; true if it exits with status 0 or was not running.
    async fn stop(&mut self, replica: Replica) -> Result<bool>;

    /// Starts a replica that was killed or stopped; does not wait until it is ready.
    async fn start(&mut self, replica: Replica) -> Result<()>;

    /// Starts one more replica; does not wait until it is ready.
    async fn add(&mut self, service: Service) -> Result<Replica>;

    /// Runs the operator's command with these arguments, and returns what it prints.
    async fn command(&self, _arguments: &[&str]) -> Result<String> {
        bail!("the operator's command is only run on processes")
    }

    /// Changes a setting of all services. A running replica gets it in [`Backend::renew`].
    fn set(&mut self, name: &str, value: &str);

    /// Stops a replica, and starts it with the present settings.
    async fn renew(&mut self, replica: Replica) -> Result<()>;

    /// Kills Caddy with SIGKILL.
    async fn kill_caddy(&mut self) -> Result<()>;

    /// Starts the killed Caddy again; does not wait until it answers.
    async fn start_caddy(&mut self) -> Result<()>;

    /// The names of all running programs, each with the memory it uses.
    fn memory(&self) -> Result<Vec<(String, String)>>;

    /// The name of the Compose project, if there is one.
    fn project(&self) -> Option<&str> {
        None
    }
}

/// A backend that has started all its programs, and the servers, which tests can kill.
pub(super) struct Started {
    pub(super) backend: Box<dyn Backend>,
    pub(super) nats: Nats,
    pub(super) postgres: Postgres,
}

/// The programs that a backend starts.
pub(super) struct Plan {
    pub(super) settings: Settings,
    /// The number of replicas of each service.
    pub(super) replicas: [(Service, usize); Service::ALL.len()],
    /// The loopback port of Caddy.
    pub(super) caddy_port: u16,
    /// Whether the gateway needs a network that leads to simulated assistants.
    pub(super) has_external_sandboxes: bool,
}

/// The kinds of backend. The environment variable `CLAWKAKA_WORLD` selects one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Every program is a process on this machine.
    Processes,
    /// The programs are the containers of `docker-compose.yml`.
    Compose {
        /// The address of this machine that containers reach.
        host: IpAddr,
    },
}

impl Kind {
    pub(super) fn of_environment() -> Result<Self> {
        match environment("CLAWKAKA_WORLD").as_deref() {
            None | Some("processes") => Ok(Self::Processes),
            Some("compose") => {
                let host = environment("SANDBOX_HOST_ADDRESS")
                    .context("SANDBOX_HOST_ADDRESS is not set: run this through ./dev")?;
                let host = host.parse().context("SANDBOX_HOST_ADDRESS")?;
                Ok(Self::Compose { host })
            }
            Some(other) => bail!("CLAWKAKA_WORLD: expected processes or compose, not {other}"),
        }
    }

    /// The address on which the simulators listen, so that the services reach them.
    pub(super) const fn simulators(self) -> IpAddr {
        match self {
            Self::Processes => IpAddr::V4(Ipv4Addr::LOCALHOST),
            Self::Compose { host } => host,
        }
    }

    pub(super) async fn start(self, plan: Plan) -> Result<Started> {
        match self {
            Self::Processes => Processes::start(plan).await,
            Self::Compose { .. } => Compose::start(plan).await,
        }
    }
}
