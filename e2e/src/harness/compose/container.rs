use std::{net::IpAddr, process::Command, time::Duration};

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep};

use crate::harness::docker;

/// Longest time until a started container is healthy.
const HEALTHY_LIMIT: Duration = Duration::from_mins(1);

/// Pause between two questions to the engine.
const POLL_PAUSE: Duration = Duration::from_millis(100);

/// A container of a Compose project.
#[derive(Debug, Clone)]
pub(in crate::harness) struct Container {
    name: String,
    project: String,
}

impl Container {
    /// The container with this number, from 1, of a service in `docker-compose.yml`.
    pub(in crate::harness) fn of_project(project: &str, service: &str, number: usize) -> Self {
        Self {
            name: format!("{project}-{service}-{number}"),
            project: project.to_owned(),
        }
    }

    pub(in crate::harness) fn name(&self) -> &str {
        &self.name
    }

    /// The address on one of the project's networks. It may change when the container starts again.
    pub(in crate::harness) fn address_on(&self, network: &str) -> Result<IpAddr> {
        let network = format!("{}_{network}", self.project);
        let format = format!("{{{{(index .NetworkSettings.Networks {network:?}).IPAddress}}}}");
        let address = self.inspect(&format)?;
        address
            .parse()
            .with_context(|| format!("{} has no address on {network}", self.name))
    }

    /// The id of the program's process; that of the container is docker-init, which has one child.
    pub(in crate::harness) fn process(&self) -> Result<u32> {
        let init: u32 = self.inspect("{{.State.Pid}}")?.parse()?;
        let children = std::fs::read_to_string(format!("/proc/{init}/task/{init}/children"))
            .with_context(|| format!("{} is not running", self.name))?;
        let child = children.split_whitespace().next();
        Ok(child.context("docker-init has no child")?.parse()?)
    }

    pub(in crate::harness) fn is_running(&self) -> Result<bool> {
        Ok(self.inspect("{{.State.Running}}")? == "true")
    }

    /// Standard output and standard error since the container was created; empty if there is none.
    pub(in crate::harness) fn log(&self) -> String {
        let output = Command::new("docker").args(["logs", &self.name]).output();
        output.map_or_else(
            |_| String::new(),
            |output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
        )
    }

    /// Kills every process of the container; the engine does not start it again.
    pub(in crate::harness) async fn kill(&self) -> Result<()> {
        if self.is_running()? {
            docker::run(&["kill", &self.name]).await?;
        }
        Ok(())
    }

    /// Sends SIGTERM and waits for the end, at most as long as the Compose file allows. True if the program exits
    /// with status 0 or was not running.
    pub(in crate::harness) async fn stop(&self) -> Result<bool> {
        if !self.is_running()? {
            return Ok(true);
        }
        docker::run(&["stop", &self.name]).await?;
        Ok(self.inspect("{{.State.ExitCode}}")? == "0")
    }

    pub(in crate::harness) async fn start(&self) -> Result<()> {
        docker::run(&["start", &self.name]).await?;
        Ok(())
    }

    /// Starts the container, and waits until its health check succeeds.
    pub(in crate::harness) async fn start_and_wait(&self) -> Result<()> {
        self.start().await?;
        let deadline = Instant::now() + HEALTHY_LIMIT;
        while self.inspect("{{.State.Health.Status}}")? != "healthy" {
            if Instant::now() > deadline {
                let log = self.log();
                bail!(
                    "{} is not healthy after {HEALTHY_LIMIT:?}:\n{log}",
                    self.name
                );
            }
            sleep(POLL_PAUSE).await;
        }
        Ok(())
    }

    fn inspect(&self, format: &str) -> Result<String> {
        let text = docker::run_blocking(&["inspect", "--format", format, &self.name])?;
        Ok(text.trim().to_owned())
    }
}
