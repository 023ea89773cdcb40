//! The whole system on one machine, for tests and measurements: real NATS, Postgres and Caddy, the
//! services as processes of their own (so that they can be killed), the simulators in this process
//! (so that they can be asked).

mod containers;
mod programs;
mod settings;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use claw_runtime::{HttpTimeouts, http};
use claw_testkit::{TestNats, TestPostgres};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::{
    sim_meta::{SimMeta, SimMetaConfig},
    sim_openclaw::{SimOpenClaw, SimOpenClawConfig},
    sim_openrouter::{SimOpenRouter, SimOpenRouterConfig},
};
pub use containers::Containers;
use programs::Program;
pub use programs::Service;
use settings::Settings;

/// Longest a service may take to be ready.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// Between two questions whether it is.
const READY_PAUSE: Duration = Duration::from_millis(20);

/// Warnings shown of each service when a test fails.
const TROUBLES_SHOWN: usize = 8;

/// What differs between one world and another.
pub struct Options {
    /// Where the assistants run.
    pub sandboxes: Sandboxes,
    /// How many people may have one.
    pub cap: u32,
    /// Meta, but for its secrets and addresses.
    pub meta: SimMetaConfig,
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

/// A running system. Everything of it ends when it is dropped.
pub struct World {
    /// The people's phones.
    pub meta: Arc<SimMeta>,
    /// The assistants, when simulated.
    pub openclaw: Option<Arc<SimOpenClaw>>,
    /// The model, when the assistants are real.
    pub openrouter: Option<SimOpenRouter>,
    /// The bus.
    pub nats: TestNats,
    /// The database.
    pub postgres: TestPostgres,
    settings: Settings,
    running: HashMap<Service, Program>,
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
        for (name, value) in options.variables {
            settings.set(name, value);
        }
        programs::run_to_end("claw-bus", "ensure", &settings.of_admin()).await?;
        programs::run_to_end("claw-store", "migrate", &settings.of_admin()).await?;
        let caddy = programs::start_caddy(&settings, directory.path())?;
        let mut world = Self {
            meta,
            openclaw,
            openrouter,
            nats,
            postgres,
            settings,
            running: HashMap::new(),
            _caddy: caddy,
            directory,
        };
        for service in Service::ALL {
            world.begin(service)?;
        }
        for service in Service::ALL {
            world.wait_until_ready(service).await?;
        }
        world.meta.set_webhook_url(Some(world.webhook_url()));
        Ok(world)
    }

    /// Where Meta posts: through Caddy, as in production.
    pub fn webhook_url(&self) -> String {
        format!("{}/whatsapp/webhook", self.settings.public_url())
    }

    /// Ends a service as a crash would: with SIGKILL, nothing is finished.
    pub async fn kill(&mut self, service: Service) -> Result<()> {
        match self.running.remove(&service) {
            Some(program) => program.kill().await,
            None => Ok(()),
        }
    }

    /// Asks a service to end, as an operator would: with SIGTERM. Whether it ended well.
    pub async fn stop(&mut self, service: Service) -> Result<bool> {
        match self.running.remove(&service) {
            Some(program) => program.stop().await,
            None => Ok(true),
        }
    }

    /// Starts a service again after [`World::kill`], and waits until it is ready.
    pub async fn restart(&mut self, service: Service) -> Result<()> {
        self.begin(service)?;
        self.wait_until_ready(service).await
    }

    /// Everything a service has printed so far, in all its lives.
    pub fn log_of(&self, service: Service) -> String {
        std::fs::read_to_string(self.log_path(service)).unwrap_or_default()
    }

    /// The latest warnings and errors of every service, for a failed test to show.
    pub fn troubles(&self) -> String {
        let troubles = Service::ALL.map(|service| {
            let log = self.log_of(service);
            let lines = log
                .lines()
                .rev()
                .filter(|line| line.contains("WARN") || line.contains("ERROR"));
            let latest: Vec<&str> = lines.take(TROUBLES_SHOWN).collect();
            format!("--- {}\n{}\n", service.name(), latest.join("\n"))
        });
        troubles.concat()
    }

    /// Resident memory of a service, in bytes.
    pub fn memory_of(&self, service: Service) -> Result<u64> {
        self.running
            .get(&service)
            .context("the service does not run")?
            .memory()
    }

    /// Processor time a service has used in its present life.
    pub fn cpu_of(&self, service: Service) -> Result<Duration> {
        self.running
            .get(&service)
            .context("the service does not run")?
            .cpu_time()
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
            self.settings.url_of(Service::Ingress)
        )
    }

    /// The secrets the services were given, by name: for looking where they must not be.
    pub fn secrets(&self) -> Vec<(&'static str, String)> {
        self.settings.secrets()
    }

    fn begin(&mut self, service: Service) -> Result<()> {
        let program = Program::start(
            service.name(),
            &self.settings.of_service(service),
            &self.log_path(service),
        )?;
        self.running.insert(service, program);
        Ok(())
    }

    async fn wait_until_ready(&self, service: Service) -> Result<()> {
        let url = self.settings.ready_url(service);
        let client = http::client(HttpTimeouts::default());
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            let answer = client.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!(
                    "{} is not ready after {READY_LIMIT:?}:\n{}",
                    service.name(),
                    self.log_of(service)
                );
            }
            sleep(READY_PAUSE).await;
        }
    }

    fn log_path(&self, service: Service) -> PathBuf {
        log_path(self.directory.path(), service.name())
    }
}

fn log_path(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.log"))
}
