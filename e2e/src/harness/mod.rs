//! The whole system on one machine, for tests and measurements: real NATS, Postgres and Caddy, the
//! services as processes of their own (so that they can be killed), the simulators in this process
//! (so that they can be asked).

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

/// What differs between one world and another.
pub struct Options {
    /// Where the assistants run.
    pub sandboxes: Sandboxes,
    /// How many people may have one.
    pub cap: u32,
    /// Meta, but for its secrets and addresses.
    pub meta: SimMetaConfig,
    /// Twilio, but for its secrets and addresses.
    pub twilio: SimTwilioConfig,
    /// How calls are held.
    pub voice: VoiceMode,
    /// How many processes there are of a service; one of each that is not named.
    pub replicas: Vec<(Service, usize)>,
    /// Further variables for every service.
    pub variables: Vec<(&'static str, String)>,
}

/// Where the assistants run.
pub enum Sandboxes {
    /// Simulated gateways, as many as are asked for.
    Simulated(SimOpenClawConfig),
    /// Real `OpenClaw` containers on the engine at `DOCKER_HOST`.
    Containers,
}

/// How calls are held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VoiceMode {
    /// Turn by turn.
    #[default]
    Gather,
    /// In a stream of words.
    Relay,
}

impl VoiceMode {
    /// As `VOICE_MODE` has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Gather => "gather",
            Self::Relay => "relay",
        }
    }
}

/// A running system. Everything of it ends when it is dropped.
pub struct World {
    /// The people's phones.
    pub meta: Arc<SimMeta>,
    /// The same phones, when they call.
    pub twilio: SimTwilio,
    /// The assistants, when simulated.
    pub openclaw: Option<Arc<SimOpenClaw>>,
    /// The model, when the assistants are real.
    pub openrouter: Option<SimOpenRouter>,
    /// The bus.
    pub nats: TestNats,
    /// The database.
    pub postgres: TestPostgres,
    settings: Settings,
    running: HashMap<Replica, Program>,
    _caddy: Program,
    directory: TempDir,
}

impl World {
    /// Starts everything and waits until every service says it is ready.
    pub async fn start(options: Options) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let (nats, postgres) = tokio::try_join!(TestNats::start(), TestPostgres::start())?;
        let meta = Arc::new(SimMeta::start(options.meta).await?);
        let (mut openclaw, mut openrouter) = (None, None);
        match options.sandboxes {
            Sandboxes::Simulated(mut config) => {
                config.token = Some(settings::GATEWAY_TOKEN.into());
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

    /// Where Meta posts: through Caddy, as in production.
    pub fn webhook_url(&self) -> String {
        format!("{}/whatsapp/webhook", self.settings.public_url())
    }

    /// Where what is meant for [`BASE_URL`] really arrives: at Caddy.
    pub fn door_url(&self) -> String {
        self.settings.public_url()
    }

    /// The name a person's simulated assistant has, by the person's number.
    pub fn assistant_of(&self, number: &str) -> Result<String> {
        let phone = PhoneNumber::try_from(number).context("no phone number")?;
        Ok(Address::Phone(phone).user().to_string())
    }

    /// The real sandboxes of this world.
    pub async fn containers(&self) -> Result<Containers> {
        Containers::of_database(&self.postgres.url().into()).await
    }

    /// Removes the real sandboxes of this world, and first the provisioner, which would make them anew.
    pub async fn remove_containers(&mut self) -> Result<()> {
        self.kill(Service::Provisioner).await?;
        containers::remove_all_of(settings::OWNER).await
    }

    /// Where ingress itself listens, without Caddy before it.
    pub fn ingress_url(&self) -> String {
        format!(
            "{}/whatsapp/webhook",
            self.settings.url_of(Service::Ingress.into())
        )
    }

    /// The secrets the services were given, by name: for looking where they must not be.
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
