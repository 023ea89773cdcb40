//! The whole system on one machine, for tests and benchmarks: real NATS, Postgres and Caddy, the services as
//! separate processes, which a test can kill, and the simulators in this process, whose state a test can read.

mod containers;
mod processor;
mod programs;
mod replicas;
mod settings;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result};
use claw_domain::{Address, PhoneNumber};
use claw_testkit::{TestNats, TestPostgres};
use sim_meta::{SimMeta, SimMetaConfig};
use sim_openclaw::{SimOpenClaw, SimOpenClawConfig};
use sim_openrouter::{SimOpenRouter, SimOpenRouterConfig};
use sim_twilio::{SimTwilio, SimTwilioConfig};
use tempfile::TempDir;

pub use containers::Containers;
pub use processor::MachineTime;
use programs::Program;
pub use programs::{Replica, Service};
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
    /// The model, if the assistants are real.
    pub openrouter: Option<SimOpenRouter>,
    /// The NATS server, which tests can kill and restart.
    pub nats: TestNats,
    /// The Postgres server, which tests can stop and restart.
    pub postgres: TestPostgres,
    settings: Settings,
    running: HashMap<Replica, Program>,
    _caddy: Program,
    directory: TempDir,
}

impl World {
    /// Starts all processes and waits until every service is ready.
    pub async fn start(options: Options) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let (nats, postgres) = tokio::try_join!(TestNats::start(), TestPostgres::start())?;
        let meta = Arc::new(SimMeta::start(options.meta).await?);
        let (mut openclaw, mut openrouter) = (None, None);
        match options.sandboxes {
            Sandboxes::Simulated(mut config) => {
                config.token = Some(settings::OPENCLAW_TOKEN.into());
                openclaw = Some(Arc::new(SimOpenClaw::start(config).await?));
            }
            Sandboxes::Containers => {
                containers::remove_all_of(settings::OWNER).await?;
                openrouter =
                    Some(SimOpenRouter::start(SimOpenRouterConfig::for_containers()?).await?);
            }
        }
        let mut settings = Settings::new(&nats, &postgres, &meta)?;
        if let Some(openclaw) = &openclaw {
            settings.simulate_sandboxes(openclaw);
        }
        if let Some(openrouter) = &openrouter {
            settings.use_containers(openrouter)?;
        }
        settings.set("SANDBOX_CAP", options.cap.to_string());
        settings.set("VOICE_MODE", options.voice.name());
        for (name, value) in options.variables {
            settings.set(name, value);
        }
        for service in Service::ALL {
            for _ in 0..replicas_wanted(&options.replicas, service) {
                settings.add_replica(service)?;
            }
        }
        programs::run_to_end("clawkaka", ["bus", "ensure"], &settings.of_admin()).await?;
        programs::run_to_end("clawkaka", ["db", "migrate"], &settings.of_admin()).await?;
        let caddy = programs::start_caddy(&settings, directory.path())?;
        let twilio = SimTwilio::start(settings.number(options.twilio)).await?;
        let mut world = Self {
            meta,
            twilio,
            openclaw,
            openrouter,
            nats,
            postgres,
            settings,
            running: HashMap::new(),
            _caddy: caddy,
            directory,
        };
        let replicas = Service::ALL.map(|service| world.replicas_of(service));
        for replica in replicas.concat() {
            world.begin(replica)?;
        }
        for replica in replicas.concat() {
            world.wait_until_ready(replica).await?;
        }
        world.wait_for_caddy().await?;
        world.meta.set_webhook_url(Some(world.webhook_url()));
        Ok(world)
    }

    /// The URL at which Caddy takes Meta's webhooks, as in production.
    pub fn webhook_url(&self) -> String {
        format!("{}/whatsapp/webhook", self.settings.public_url())
    }

    /// Caddy's address, which stands for [`BASE_URL`].
    pub fn public_url(&self) -> String {
        self.settings.public_url()
    }

    /// The name of a user's simulated assistant, by the user's phone number.
    pub fn assistant_of(&self, number: &str) -> Result<String> {
        let phone = PhoneNumber::try_from(number).context("not a phone number")?;
        Ok(Address::Phone(phone).user().to_string())
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
    pub fn ingress_url(&self) -> String {
        format!(
            "{}/whatsapp/webhook",
            self.settings.url_of(Service::Ingress.into())
        )
    }

    /// The services' secrets with their names, for tests that search for leaks.
    pub fn secrets(&self) -> Vec<(&'static str, String)> {
        self.settings.secrets()
    }
}

fn replicas_wanted(replicas: &[(Service, usize)], service: Service) -> usize {
    let wanted = replicas.iter().find(|(of, _)| *of == service);
    wanted.map_or(1, |(_, count)| *count)
}

fn log_path(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.log"))
}
