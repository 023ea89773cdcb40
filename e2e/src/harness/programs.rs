use std::{
    fmt,
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use tokio::process::{Child, Command};

use super::{log_path, processor, settings::Settings};

/// The services, in the order in which they start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// Receives webhooks and serves relay sockets.
    Ingress,
    /// Makes and removes sandboxes.
    Provisioner,
    /// Sends messages to the assistants and reads their answers.
    Gateway,
    /// Delivers replies to users.
    Outbound,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 4] = [
        Self::Ingress,
        Self::Provisioner,
        Self::Gateway,
        Self::Outbound,
    ];

    /// The name of the service's binary and of its NATS user.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Provisioner => "provisioner",
            Self::Gateway => "gateway",
            Self::Outbound => "outbound",
        }
    }
}

/// One process of a service. A [`Service`] converts to its first replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Replica {
    /// The service that this process belongs to.
    pub service: Service,
    /// The process's index within the service, from 0.
    pub number: usize,
}

impl Service {
    /// The replica with this index, from 0.
    pub const fn replica(self, number: usize) -> Replica {
        Replica {
            service: self,
            number,
        }
    }
}

impl From<Service> for Replica {
    fn from(service: Service) -> Self {
        service.replica(0)
    }
}

impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.service.name(), self.number)
    }
}

/// A child process that is killed when this is dropped.
pub(super) struct Program {
    child: Child,
}

/// Environment variables that a program gets in addition to those of this process.
pub(super) type Variables = Vec<(String, String)>;

impl Program {
    pub(super) fn start(name: &str, variables: &Variables, log: &Path) -> Result<Self> {
        let mut command = Command::new(binary(name)?);
        Self::spawn(command.envs(variables.iter().cloned()), log)
    }

    fn spawn(command: &mut Command, log: &Path) -> Result<Self> {
        let log = append(log)?;
        let child = command
            .stdout(log.try_clone()?)
            .stderr(log)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        Ok(Self { child })
    }

    pub(super) async fn kill(mut self) -> Result<()> {
        self.child.kill().await.context("killing a process")
    }

    pub(super) async fn stop(mut self) -> Result<bool> {
        self.signal("TERM").await?;
        Ok(self.child.wait().await?.success())
    }

    pub(super) async fn signal(&self, name: &str) -> Result<()> {
        signal(self.id()?, name).await
    }

    /// Fails if the process has ended.
    pub(super) fn ensure_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("the process has ended: {status}"),
            None => Ok(()),
        }
    }

    pub(super) fn id(&self) -> Result<u32> {
        self.child.id().context("the process has ended")
    }

    pub(super) fn memory(&self) -> Result<u64> {
        let status = self.proc_file("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().next());
        let kilobytes: u64 = kilobytes
            .context("/proc/<pid>/status has no VmRSS")?
            .parse()?;
        Ok(kilobytes * 1024)
    }

    pub(super) fn cpu_time(&self) -> Result<Duration> {
        processor::time_of(&self.id()?.to_string())
    }

    fn proc_file(&self, name: &str) -> Result<String> {
        let id = self.id()?;
        Ok(std::fs::read_to_string(format!("/proc/{id}/{name}"))?)
    }
}

/// Sends a signal to a process; `name` is without `SIG`.
pub(super) async fn signal(id: u32, name: &str) -> Result<()> {
    let mut kill = Command::new("kill");
    let sent = kill.args(["-s", name, &id.to_string()]).status().await?;
    ensure!(sent.success(), "SIG{name} could not be sent");
    Ok(())
}

pub(super) async fn run_to_end(
    name: &str,
    arguments: [&str; 2],
    variables: &Variables,
) -> Result<()> {
    let output = Command::new(binary(name)?)
        .args(arguments)
        .envs(variables.iter().cloned())
        .output()
        .await?;
    ensure!(
        output.status.success(),
        "{name} {} failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

pub(super) fn start_caddy(settings: &Settings, directory: &Path) -> Result<Program> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(tool("CLAWKAKA_CADDY")?);
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(root.join("Caddyfile"))
        .env("XDG_DATA_HOME", directory)
        .env("XDG_CONFIG_HOME", directory)
        .envs(settings.of_caddy());
    Program::spawn(&mut command, &log_path(directory, "caddy"))
}

/// The path of one of our binaries: in `CLAWKAKA_BIN_DIR` if set, else in cargo's target directory.
fn binary(name: &str) -> Result<PathBuf> {
    let directory = match tool("CLAWKAKA_BIN_DIR") {
        Ok(directory) => directory,
        Err(_) => directory_of_binaries()?,
    };
    let path = directory.join(name);
    if !path.exists() {
        bail!(
            "{} is not built: cargo build --workspace --bins",
            path.display()
        );
    }
    Ok(path)
}

fn directory_of_binaries() -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let directory = this
        .parent()
        .context("the path of this program has no directory")?;
    let is_test = directory.ends_with("deps");
    let directory = if is_test {
        directory.parent()
    } else {
        Some(directory)
    };
    Ok(directory
        .context("the path of this program has no directory")?
        .to_owned())
}

pub(super) fn tool(name: &str) -> Result<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests have no Env of their own")]
    let path = std::env::var_os(name);
    path.map(PathBuf::from)
        .with_context(|| format!("{name} is not set: run this through ./dev"))
}

fn append(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("opening {}", path.display()))
}
