//! The whole system on one machine, for tests and benchmarks: real NATS, Postgres and Caddy, the services as
//! separate processes, which a test can kill, and the simulators in this process, whose state a test can read. The
//! services and servers are child processes, or the containers of `docker-compose.yml`.

mod backend;
mod compose;
mod containers;
mod docker;
mod processes;
mod processor;
mod programs;
mod replicas;
mod servers;
mod service;
mod settings;

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context, Result, ensure};
use claw_domain::{Address, PhoneNumber, UserId};
use claw_testkit::ReservedPort;
use sim_docker::{SimDocker, SimDockerConfig};
use sim_meta::{SimMeta, SimMetaConfig};
use sim_openclaw::{SimOpenClaw, SimOpenClawConfig};
use sim_openrouter::{SimOpenRouter, SimOpenRouterConfig};
use sim_twilio::{SimTwilio, SimTwilioConfig};

use backend::{Backend, Kind, Plan};
pub use containers::Containers;
pub use processor::MachineTime;
pub use servers::{Nats, Postgres};
pub use service::{Replica, Service};
use settings::Settings;
pub use settings::{BASE_URL, TWILIO_AUTH_TOKEN};

/// The options of a world.
pub struct Options {
    /// Simulated or real assistants.
    pub sandboxes: Sandboxes,
    /// The most users that can have a sandbox.
    pub cap: u32,
    /// The simulated Meta; its secrets stay the default ones, which the services know.
    pub meta: SimMetaConfig,
    /// The simulated Twilio; the harness sets its secrets and addresses.
    pub twilio: SimTwilioConfig,
    /// The value of `VOICE_MODE`.
    pub voice: VoiceMode,
    /// The number of processes of a service; 1 for each service that is not listed.
    pub replicas: Vec<(Service, usize)>,
    /// Additional environment variables for every service.
    pub variables: Vec<(&'static str, String)>,
}

/// Where the assistants run.
pub enum Sandboxes {
    /// Assistants of the simulated `OpenClaw`, one for each user that needs one.
    Simulated(SimOpenClawConfig),
    /// Simulated containers of simulated assistants, which the provisioner keeps at a simulated engine. Only for
    /// services that are processes.
    SimulatedEngine(SimDockerConfig),
    /// Real `OpenClaw` containers on the engine at `DOCKER_HOST`.
    Containers,
}

/// How ingress handles calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VoiceMode {
    /// Turn by turn, with `<Gather>`.
    #[default]
    Gather,
    /// Streamed, over `ConversationRelay`.
    Relay,
}

impl VoiceMode {
    /// The value of `VOICE_MODE` for this mode.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gather => "gather",
            Self::Relay => "relay",
        }
    }
}

/// A running system. Dropping it ends all its processes.
pub struct World {
    /// The users' WhatsApp.
    pub meta: Arc<SimMeta>,
    /// The users' phone calls.
    pub twilio: SimTwilio,
    /// The assistants, if they are simulated.
    pub openclaw: Option<Arc<SimOpenClaw>>,
    /// The engine, if the containers are simulated.
    pub engine: Option<SimDocker>,
    /// The model keys, and the model if the assistants are real; `None` if sandboxes are external.
    pub openrouter: Option<SimOpenRouter>,
    /// The NATS server, which tests can kill and restart.
    pub nats: Nats,
    /// The Postgres server, which tests can stop and restart.
    pub postgres: Postgres,
    backend: Box<dyn Backend>,
    caddy_port: ReservedPort,
    secrets: Vec<(&'static str, String)>,
}

impl World {
    /// Starts all programs and waits until every service is ready. They are processes, or the containers of
    /// `docker-compose.yml` if `CLAWKAKA_WORLD` is `compose`.
    pub async fn start(options: Options) -> Result<Self> {
        let kind = Kind::of_environment()?;
        let listen = SocketAddr::from((kind.simulators(), 0));
        let meta = SimMetaConfig {
            listen,
            ..options.meta
        };
        let meta = Arc::new(SimMeta::start(meta).await?);
        let mut settings = Settings::new(&meta);
        let (mut openclaw, mut engine, mut openrouter) = (None, None, None);
        let has_external_sandboxes = matches!(options.sandboxes, Sandboxes::Simulated(_));
        match options.sandboxes {
            Sandboxes::Simulated(mut config) => {
                config.listen = listen;
                config.token = Some(settings::OPENCLAW_TOKEN.into());
                let simulated = SimOpenClaw::start(config).await?;
                settings.simulate_sandboxes(&simulated);
                openclaw = Some(Arc::new(simulated));
            }
            Sandboxes::SimulatedEngine(config) => {
                ensure!(
                    kind == Kind::Processes,
                    "a simulated engine needs services that are processes"
                );
                let keys = SimOpenRouter::start(SimOpenRouterConfig::default()).await?;
                let simulated = SimDocker::start(config).await?;
                settings.use_engine(&simulated, &keys);
                openclaw = Some(simulated.openclaw());
                engine = Some(simulated);
                openrouter = Some(keys);
            }
            Sandboxes::Containers => {
                containers::remove_all_of(settings::OWNER).await?;
                let config = SimOpenRouterConfig::for_containers()?;
                let simulated = SimOpenRouter::start(config).await?;
                settings.use_containers(&simulated)?;
                if matches!(kind, Kind::Compose { .. }) {
                    settings.set("OPENROUTER_BASE_URL", simulated.base_url_in_containers());
                }
                openrouter = Some(simulated);
            }
        }
        settings.set("SANDBOX_CAP", options.cap.to_string());
        settings.set("VOICE_MODE", options.voice.name());
        for (name, value) in options.variables {
            settings.set(name, value);
        }
        let (secrets, caddy_port) = (settings.secrets(), ReservedPort::new()?);
        let started = kind
            .start(Plan {
                settings,
                replicas: replicas_wanted(&options.replicas),
                caddy_port: caddy_port.number(),
                has_external_sandboxes,
            })
            .await?;
        let number = settings::number_at_twilio(options.twilio, caddy_port.number());
        let mut world = Self {
            meta,
            twilio: SimTwilio::start(number).await?,
            openclaw,
            engine,
            openrouter,
            nats: started.nats,
            postgres: started.postgres,
            backend: started.backend,
            caddy_port,
            secrets,
        };
        for service in Service::ALL {
            for replica in world.replicas_of(service) {
                world.wait_until_ready(replica).await?;
            }
        }
        world.wait_for_caddy().await?;
        world.meta.set_webhook_url(Some(world.webhook_url()));
        Ok(world)
    }

    /// The name of this world's Compose project; `None` if the programs are processes.
    pub fn project(&self) -> Option<&str> {
        self.backend.project()
    }

    /// The URL at which Caddy takes Meta's webhooks, as in production.
    pub fn webhook_url(&self) -> String {
        format!("{}/whatsapp/webhook", self.public_url())
    }

    /// Caddy's address, which stands for [`BASE_URL`].
    pub fn public_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.caddy_port.number())
    }

    /// The volume of a user's sandbox, by the user's phone number; `None` if there is no sandbox. At a simulated
    /// engine it is the name of the user's assistant.
    pub async fn volume_of(&self, number: &str) -> Result<Option<String>> {
        containers::volume_of(&self.postgres.url().into(), number).await
    }

    /// The name of a user's simulated assistant outside a simulated engine, by the user's phone number.
    pub fn assistant_of(&self, number: &str) -> Result<String> {
        Ok(user_of(number)?.to_string())
    }

    /// The real sandboxes of this world.
    pub async fn containers(&self) -> Result<Containers> {
        Containers::of_database(&self.postgres.url().into()).await
    }

    /// Kills the provisioner, which would make new sandboxes, and removes the real sandboxes of this world.
    pub async fn remove_containers(&mut self) -> Result<()> {
        self.kill(Service::Provisioner).await?;
        containers::remove_all_of(settings::OWNER).await
    }

    /// The URL of Meta's webhooks at ingress itself, without Caddy.
    pub fn ingress_url(&self) -> Result<String> {
        let url = self.backend.url_of(Service::Ingress.into())?;
        Ok(format!("{url}/whatsapp/webhook"))
    }

    /// The services' secrets with their names, for tests that search for leaks.
    pub fn secrets(&self) -> Vec<(&'static str, String)> {
        self.secrets.clone()
    }
}

/// The user with a phone number.
pub fn user_of(number: &str) -> Result<UserId> {
    let phone = PhoneNumber::try_from(number).context("not a phone number")?;
    Ok(claw_testkit::user_of(&Address::Phone(phone)))
}

fn replicas_wanted(wanted: &[(Service, usize)]) -> [(Service, usize); Service::ALL.len()] {
    Service::ALL.map(|service| {
        let of_service = wanted.iter().find(|(of, _)| *of == service);
        (service, of_service.map_or(1, |(_, count)| *count))
    })
}
