//! The services and servers as the containers of the repository's `docker-compose.yml`.

mod container;
mod project;

use std::{
    collections::HashMap,
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use claw_testkit::ReservedPort;
use tempfile::TempDir;
use tokio::process::Command;

use super::{
    Nats, Postgres, Replica, Service,
    backend::{Backend, Plan, Started},
    docker,
    settings::{SECRETS, Settings, repository},
};
use project::Project;

pub(super) use container::Container;

/// The group that reads the secret files: that of the services' image, to which the servers are added.
const SECRETS_GROUP: u32 = 10_000;

/// The users of NATS.
const NATS_USERS: [&str; 5] = ["admin", "ingress", "gateway", "provisioner", "outbound"];

/// The roles as which services connect to Postgres.
const DATABASE_ROLES: [&str; 3] = ["provisioner", "gateway", "outbound"];

/// Pause between two health checks. Docker makes the first check after this time, and each check of 13 containers
/// costs processor time.
const HEALTH_INTERVAL: &str = "2s";

/// Longest time until all containers are healthy, in seconds.
const UP_LIMIT_SECONDS: &str = "240";

/// Lines of each container's log that a failure shows.
const LOG_LINES: &str = "20";

/// The containers of a Compose project; dropping it removes them.
pub(super) struct Compose {
    /// The first field, because its containers use the files in `directory`.
    project: Project,
    settings: Settings,
    replicas: HashMap<Service, usize>,
    caddy_port: u16,
    /// Caddy's port for HTTPS, which no test uses. The reservation is for 127.0.0.1, and Caddy listens on 127.0.0.2,
    /// because the reservation holds the UDP port, on which Caddy listens for HTTP/3.
    https_port: ReservedPort,
    has_external_sandboxes: bool,
    directory: TempDir,
}

impl Compose {
    pub(super) async fn start(plan: Plan) -> Result<Started> {
        Project::remove_abandoned().await?;
        let compose = Self {
            project: Project::new(),
            settings: plan.settings,
            replicas: plan.replicas.into(),
            caddy_port: plan.caddy_port,
            https_port: ReservedPort::new()?,
            has_external_sandboxes: plan.has_external_sandboxes,
            directory: tempfile::tempdir()?,
        };
        let passwords = Passwords::random();
        compose.write_secrets(&passwords)?;
        compose.write_env_file()?;
        compose.up().await?;
        Ok(Started {
            nats: Nats::of_container(compose.container("nats", 1), passwords.clone()),
            postgres: Postgres::of_container(compose.container("postgres", 1), passwords),
            backend: Box::new(compose),
        })
    }

    /// Creates or changes all containers until they match the files, and waits until they are healthy.
    async fn up(&self) -> Result<()> {
        self.up_with(&Service::ALL, &[]).await
    }

    /// The same for the containers of a single service, without those that it depends on.
    async fn up_service(&self, service: Service, options: &[&str]) -> Result<()> {
        let arguments = [&["--no-deps"], options, &[service.name()]].concat();
        self.up_with(&[service], &arguments).await
    }

    async fn up_with(&self, scaled: &[Service], arguments: &[&str]) -> Result<()> {
        let mut up = self.command();
        up.args(["up", "--detach", "--no-build", "--pull=never"])
            .args(["--wait", "--wait-timeout", UP_LIMIT_SECONDS]);
        for service in scaled {
            let count = self.replicas_of(*service).len();
            up.arg(format!("--scale={}={count}", service.name()));
        }
        let output = up
            .args(arguments)
            .output()
            .await
            .context("docker compose")?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "docker compose up: {stderr}\n{}",
            self.state().await
        );
        Ok(())
    }

    /// The state and the latest log lines of all containers, for an error.
    async fn state(&self) -> String {
        let mut text = String::new();
        for arguments in [
            &["ps", "--all"][..],
            &["logs", "--no-color", "--tail", LOG_LINES],
        ] {
            if let Ok(output) = self.command().args(arguments).output().await {
                text += &String::from_utf8_lossy(&output.stdout);
            }
        }
        text
    }

    fn command(&self) -> Command {
        let mut command = Command::new("docker");
        command.args(["compose", "--project-name", self.project.name(), "--file"]);
        command.arg(repository().join("docker-compose.yml"));
        if self.has_external_sandboxes {
            let overlay = repository().join("deploy/compose/external-sandboxes.yml");
            command.arg("--file").arg(overlay);
        }
        command.arg("--env-file").arg(self.env_file());
        command
    }

    fn write_env_file(&self) -> Result<()> {
        let (env_file, secrets) = (self.env_file(), self.secrets_directory());
        let of_compose = [
            ("CLAWKAKA_ENV_FILE", env_file.display().to_string()),
            ("CLAWKAKA_SECRETS", secrets.display().to_string()),
            ("HTTP_LISTEN", format!("127.0.0.1:{}", self.caddy_port)),
            (
                "HTTPS_LISTEN",
                format!("127.0.0.2:{}", self.https_port.number()),
            ),
            // Any host, without TLS.
            ("API_SITE", "http://".to_owned()),
            ("CONSOLE_SITE", "http://console.localhost".to_owned()),
            ("HEALTH_INTERVAL", HEALTH_INTERVAL.to_owned()),
            // The port is this world's alone, and so are the names of its networks' bridges.
            ("BRIDGE_TAG", format!("{:04x}", self.caddy_port)),
        ];
        let of_compose = of_compose.map(|(name, value)| (name.to_owned(), value));
        let lines = self.settings.public().chain(&of_compose).map(env_line);
        fs::write(&env_file, lines.collect::<String>()).context("writing the env file")
    }

    /// Writes the secret files as an operator does: the directory is private, and a group reads the files.
    fn write_secrets(&self, passwords: &Passwords) -> Result<()> {
        let directory = self.secrets_directory();
        fs::create_dir(&directory)?;
        fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
        for (name, secret) in secret_files(&self.settings, passwords) {
            let path = directory.join(name);
            fs::write(&path, secret)?;
            fs::set_permissions(&path, Permissions::from_mode(0o440))?;
            chown(&path, None, Some(SECRETS_GROUP))
                .context("giving the secrets to their group; tests in containers run as root")?;
        }
        Ok(())
    }

    fn env_file(&self) -> PathBuf {
        self.path("env")
    }

    fn secrets_directory(&self) -> PathBuf {
        self.path("secrets")
    }

    fn path(&self, name: &str) -> PathBuf {
        let directory: &Path = self.directory.path();
        directory.join(name)
    }

    fn container(&self, service: &str, number: usize) -> Container {
        Container::of_project(self.project.name(), service, number)
    }

    fn container_of(&self, replica: Replica) -> Container {
        self.container(replica.service.name(), replica.number + 1)
    }

    fn caddy(&self) -> Container {
        self.container("caddy", 1)
    }
}

#[async_trait]
impl Backend for Compose {
    fn replicas_of(&self, service: Service) -> Vec<Replica> {
        let count = self.replicas.get(&service).copied().unwrap_or_default();
        (0..count).map(|number| service.replica(number)).collect()
    }

    fn url_of(&self, replica: Replica) -> Result<String> {
        let address = self.container_of(replica).address_on("telemetry")?;
        Ok(format!("http://{address}:{}", port_of(replica.service)))
    }

    fn log_of(&self, replica: Replica) -> String {
        self.container_of(replica).log()
    }

    fn log_of_caddy(&self) -> String {
        self.caddy().log()
    }

    fn process_of(&self, replica: Replica) -> Result<u32> {
        self.container_of(replica).process()
    }

    fn ensure_running(&mut self, replica: Replica) -> Result<()> {
        let container = self.container_of(replica);
        ensure!(container.is_running()?, "the container has ended");
        Ok(())
    }

    async fn kill(&mut self, replica: Replica) -> Result<()> {
        self.container_of(replica).kill().await
    }

    async fn stop(&mut self, replica: Replica) -> Result<bool> {
        self.container_of(replica).stop().await
    }

    async fn start(&mut self, replica: Replica) -> Result<()> {
        self.container_of(replica).start().await
    }

    async fn add(&mut self, service: Service) -> Result<Replica> {
        let count = self.replicas.entry(service).or_default();
        let replica = service.replica(*count);
        *count += 1;
        self.up_service(service, &["--no-recreate"]).await?;
        Ok(replica)
    }

    fn set(&mut self, name: &str, value: &str) {
        self.settings.set(name, value);
    }

    /// Compose recreates every replica of the service whose settings have changed.
    async fn renew(&mut self, replica: Replica) -> Result<()> {
        self.write_env_file()?;
        self.up_service(replica.service, &[]).await
    }

    async fn kill_caddy(&mut self) -> Result<()> {
        self.caddy().kill().await
    }

    async fn start_caddy(&mut self) -> Result<()> {
        self.caddy().start().await
    }

    fn memory(&self) -> Result<Vec<(String, String)>> {
        let format = "{{.Name}} {{.MemUsage}}";
        let stats = docker::run_blocking(&["stats", "--no-stream", "--format", format])?;
        let own = format!("{}-", self.project.name());
        let used = stats.lines().filter_map(|line| {
            let (name, used) = line.strip_prefix(&own)?.split_once(' ')?;
            Some((name.to_owned(), used.to_owned()))
        });
        Ok(used.collect())
    }

    fn project(&self) -> Option<&str> {
        Some(self.project.name())
    }
}

/// The passwords of the servers. Each begins with a letter, which `nats.conf` needs.
#[derive(Clone)]
pub(super) struct Passwords {
    random: String,
}

impl Passwords {
    fn random() -> Self {
        Self {
            random: format!("{:032x}", rand::random::<u128>()),
        }
    }

    /// The URL at which a user connects to NATS on this host.
    pub(super) fn nats_url(&self, user: &str, host: &str) -> String {
        format!("nats://{user}:{}@{host}:4222", self.of(user))
    }

    /// The URL at which the owner of the database connects.
    pub(super) fn database_url(&self, host: &str) -> String {
        let password = self.of("postgres");
        format!("postgres://clawkaka:{password}@{host}:5432/clawkaka")
    }

    fn database_url_of(&self, role: &str) -> String {
        let password = self.of(role);
        format!("postgres://{role}:{password}@postgres:5432/clawkaka")
    }

    fn of(&self, user: &str) -> String {
        format!("{user}{}", self.random)
    }
}

/// The names and contents of the files that `docker-compose.yml` mounts as secrets.
fn secret_files(settings: &Settings, passwords: &Passwords) -> Vec<(String, String)> {
    let of_services = SECRETS.map(|name| {
        // A service reads an empty file as a mistake, although it may not use the secret.
        let value = settings.value_of(name).unwrap_or("unused");
        (name.to_lowercase(), value.to_owned())
    });
    let of_nats = NATS_USERS.into_iter().flat_map(|user| {
        [
            (format!("nats_{user}_password"), passwords.of(user)),
            (format!("nats_url_{user}"), passwords.nats_url(user, "nats")),
        ]
    });
    let of_postgres = [
        ("postgres_password".to_owned(), passwords.of("postgres")),
        (
            "database_url".to_owned(),
            passwords.database_url("postgres"),
        ),
    ];
    let of_roles = DATABASE_ROLES.into_iter().flat_map(|role| {
        [
            (format!("database_password_{role}"), passwords.of(role)),
            (
                format!("database_url_{role}"),
                passwords.database_url_of(role),
            ),
        ]
    });
    of_services
        .into_iter()
        .chain(of_nats)
        .chain(of_roles)
        .chain(of_postgres)
        .collect()
}

/// A line of the env file; quoted, so that Compose changes nothing in the value.
fn env_line((name, value): &(String, String)) -> String {
    format!("{name}='{value}'\n")
}

/// The port in the container on which a service serves `/readyz` and `/metrics`.
const fn port_of(service: Service) -> u16 {
    match service {
        Service::Ingress => 3001,
        Service::Provisioner => 3102,
        Service::Gateway => 3103,
        Service::Outbound => 3104,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_secret_file_that_the_compose_file_mounts_is_written() {
        let file = fs::read_to_string(repository().join("docker-compose.yml")).unwrap();
        let mounted = file.split("${CLAWKAKA_SECRETS:-./secrets}/").skip(1);
        let mounted: BTreeSet<&str> = mounted.filter_map(|rest| rest.split('"').next()).collect();

        let written = secret_files(&Settings::default(), &Passwords::random());

        let written: BTreeSet<&str> = written.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(written, mounted);
    }
}
