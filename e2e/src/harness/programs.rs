use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, Result, bail, ensure};
use tokio::process::{Child, Command};

use super::settings::{Variables, environment, repository};

/// The most private memory that a service may reserve. It ends if it wants more, as in `./dev up`.
const MEMORY_LIMIT_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// A child process that is killed when this is dropped.
pub(super) struct Program {
    child: Child,
}

impl Program {
    pub(super) fn start(name: &str, variables: &Variables, log: &Path) -> Result<Self> {
        // `prlimit` replaces itself with the program.
        let mut command = Command::new("prlimit");
        command
            .arg(format!("--data={MEMORY_LIMIT_BYTES}"))
            .arg(binary(name)?);
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
        signal(self.id()?, "TERM").await?;
        Ok(self.child.wait().await?.success())
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
}

/// Sends a signal to a process; `name` is without `SIG`.
pub(super) async fn signal(id: u32, name: &str) -> Result<()> {
    let mut kill = Command::new("kill");
    let sent = kill.args(["-s", name, &id.to_string()]).status().await?;
    ensure!(sent.success(), "SIG{name} could not be sent");
    Ok(())
}

/// Runs a program to its end, and returns what it prints on stdout.
pub(super) async fn run_to_end(
    name: &str,
    arguments: &[&str],
    variables: &Variables,
) -> Result<String> {
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
    Ok(String::from_utf8(output.stdout)?)
}

/// Starts Caddy with the repository's Caddyfile.
pub(super) fn start_caddy(variables: &Variables, directory: &Path, log: &Path) -> Result<Program> {
    let mut command = Command::new(tool("CLAWKAKA_CADDY")?);
    command
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(repository().join("Caddyfile"))
        .env("XDG_DATA_HOME", directory)
        .env("XDG_CONFIG_HOME", directory)
        .envs(variables.iter().cloned());
    Program::spawn(&mut command, log)
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

fn tool(name: &str) -> Result<PathBuf> {
    let path = environment(name).map(PathBuf::from);
    path.with_context(|| format!("{name} is not set: run this through ./dev"))
}

fn append(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("opening {}", path.display()))
}
