//! The services and servers as processes on this machine.

use std::{collections::HashMap, path::PathBuf};

use anyhow::{Context, Result};
use async_trait::async_trait;
use claw_testkit::{ReservedPort, TestNats, TestPostgres};
use tempfile::TempDir;

use super::{
    Nats, Postgres, Replica, Service,
    backend::{Backend, Plan, Started},
    processor,
    programs::{self, Program},
    settings::{Settings, Variables},
};

/// The roles of the database: its owner and the services that use it.
const DATABASE_ROLES: [&str; 4] = ["clawkaka", "provisioner", "gateway", "outbound"];

/// The services as child processes; dropping it kills them.
pub(super) struct Processes {
    settings: Settings,
    database_urls: Vec<(&'static str, String)>,
    nats_urls: Vec<(&'static str, String)>,
    ports: HashMap<Replica, ReservedPort>,
    running: HashMap<Replica, Program>,
    caddy_port: u16,
    caddy: Option<Program>,
    directory: TempDir,
}

impl Processes {
    pub(super) async fn start(plan: Plan) -> Result<Started> {
        let (nats, postgres) = tokio::try_join!(TestNats::start(), TestPostgres::start())?;
        let users = ["admin", "ingress", "provisioner", "gateway", "outbound"];
        let mut processes = Self {
            settings: plan.settings,
            database_urls: DATABASE_ROLES
                .map(|role| (role, postgres.url_of(role)))
                .into(),
            nats_urls: users.map(|user| (user, nats.url(user))).into(),
            ports: HashMap::new(),
            running: HashMap::new(),
            caddy_port: plan.caddy_port,
            caddy: None,
            directory: tempfile::tempdir()?,
        };
        for (service, count) in plan.replicas {
            for _ in 0..count {
                processes.reserve(service)?;
            }
        }
        let admin = processes.variables_of("admin");
        programs::run_to_end("clawkaka", &["db", "migrate"], &admin).await?;
        programs::run_to_end("clawkaka", &["bus", "ensure"], &admin).await?;
        processes.start_caddy().await?;
        for service in Service::ALL {
            for replica in processes.replicas_of(service) {
                processes.start(replica).await?;
            }
        }
        Ok(Started {
            backend: Box::new(processes),
            nats: Nats::of_process(nats),
            postgres: Postgres::of_process(postgres),
        })
    }

    /// Adds a replica of a service, with its own port.
    fn reserve(&mut self, service: Service) -> Result<Replica> {
        let replica = service.replica(self.replicas_of(service).len());
        self.ports.insert(replica, ReservedPort::new()?);
        Ok(replica)
    }

    fn variables_of_replica(&self, replica: Replica) -> Variables {
        let port = self.port(replica).to_string();
        let mut variables = self.variables_of(replica.service.name());
        variables.push(("PORT".to_owned(), port.clone()));
        variables.push(("HEALTH_PORT".to_owned(), port));
        variables
    }

    /// The variables of a program that connects to NATS and Postgres as `user`.
    fn variables_of(&self, user: &str) -> Variables {
        let mut variables = self.settings.all().clone();
        // The operator's command connects as the owner of the database; ingress has no role.
        let role = if user == "admin" { "clawkaka" } else { user };
        for (name, urls, user) in [
            ("DATABASE_URL", &self.database_urls, role),
            ("NATS_URL", &self.nats_urls, user),
        ] {
            let url = urls.iter().find(|(of, _)| *of == user);
            let url = url.map(|(_, url)| url.clone());
            variables.push((name.to_owned(), url.unwrap_or_default()));
        }
        variables
    }

    fn variables_of_caddy(&self) -> Variables {
        let ingresses = self.replicas_of(Service::Ingress).into_iter();
        let addresses: Vec<String> = ingresses
            .map(|ingress| format!("127.0.0.1:{}", self.port(ingress)))
            .collect();
        [
            ("API_SITE", format!("http://:{}", self.caddy_port)),
            (
                "CONSOLE_SITE",
                format!("http://console.localhost:{}", self.caddy_port),
            ),
            (
                "HEALTH_SITE",
                format!("http://health.localhost:{}", self.caddy_port),
            ),
            ("INGRESS_FROM", format!("to {}", addresses.join(" "))),
            ("CADDY_BIND", "127.0.0.1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn port(&self, replica: Replica) -> u16 {
        self.ports.get(&replica).map_or(0, ReservedPort::number)
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.directory.path().join(format!("{name}.log"))
    }
}

#[async_trait]
impl Backend for Processes {
    fn replicas_of(&self, service: Service) -> Vec<Replica> {
        let of_service = self.ports.keys().filter(|of| of.service == service);
        (0..of_service.count())
            .map(|number| service.replica(number))
            .collect()
    }

    fn url_of(&self, replica: Replica) -> Result<String> {
        Ok(format!("http://127.0.0.1:{}", self.port(replica)))
    }

    fn log_of(&self, replica: Replica) -> String {
        std::fs::read_to_string(self.log_path(&replica.to_string())).unwrap_or_default()
    }

    fn log_of_caddy(&self) -> String {
        std::fs::read_to_string(self.log_path("caddy")).unwrap_or_default()
    }

    fn process_of(&self, replica: Replica) -> Result<u32> {
        let program = self.running.get(&replica);
        program
            .with_context(|| format!("{replica} is not running"))?
            .id()
    }

    fn ensure_running(&mut self, replica: Replica) -> Result<()> {
        match self.running.get_mut(&replica) {
            Some(program) => program.ensure_running(),
            None => Ok(()),
        }
    }

    async fn kill(&mut self, replica: Replica) -> Result<()> {
        match self.running.remove(&replica) {
            Some(program) => program.kill().await,
            None => Ok(()),
        }
    }

    async fn stop(&mut self, replica: Replica) -> Result<bool> {
        match self.running.remove(&replica) {
            Some(program) => program.stop().await,
            None => Ok(true),
        }
    }

    async fn start(&mut self, replica: Replica) -> Result<()> {
        let program = Program::start(
            replica.service.name(),
            &self.variables_of_replica(replica),
            &self.log_path(&replica.to_string()),
        )?;
        self.running.insert(replica, program);
        Ok(())
    }

    async fn add(&mut self, service: Service) -> Result<Replica> {
        let replica = self.reserve(service)?;
        self.start(replica).await?;
        Ok(replica)
    }

    async fn command(&self, arguments: &[&str]) -> Result<String> {
        programs::run_to_end("clawkaka", arguments, &self.variables_of("admin")).await
    }

    fn set(&mut self, name: &str, value: &str) {
        self.settings.set(name, value);
    }

    async fn renew(&mut self, replica: Replica) -> Result<()> {
        self.stop(replica).await?;
        self.start(replica).await
    }

    async fn kill_caddy(&mut self) -> Result<()> {
        match self.caddy.take() {
            Some(caddy) => caddy.kill().await,
            None => Ok(()),
        }
    }

    async fn start_caddy(&mut self) -> Result<()> {
        let (variables, log) = (self.variables_of_caddy(), self.log_path("caddy"));
        let caddy = programs::start_caddy(&variables, self.directory.path(), &log)?;
        self.caddy = Some(caddy);
        Ok(())
    }

    fn memory(&self) -> Result<Vec<(String, String)>> {
        let replicas = Service::ALL.map(|service| self.replicas_of(service));
        let used = replicas.concat().into_iter().map(|replica| {
            let bytes = processor::memory_of(self.process_of(replica)?)?;
            Ok((replica.to_string(), format!("{} MiB", bytes >> 20)))
        });
        used.collect()
    }
}
