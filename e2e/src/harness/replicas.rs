//! Control of single processes: kill, stop, pause, restart, and read their logs and metrics.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use claw_metrics::WAITS_ENDED_BY_CLOCK;
use claw_runtime::{HttpTimeouts, http};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{Replica, Service, VoiceMode, World, processor, programs::signal};

/// Longest time until a service is ready.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// Pause between two readiness checks.
const READY_PAUSE: Duration = Duration::from_millis(20);

/// Warnings and errors of each process that a failed test shows.
const WARNINGS_SHOWN: usize = 8;

impl World {
    /// Kills a process with SIGKILL, as a crash would.
    pub async fn kill(&mut self, replica: impl Into<Replica>) -> Result<()> {
        self.backend.kill(replica.into()).await
    }

    /// Stops a process with SIGTERM and waits for its end; true if it exits with status 0.
    pub async fn stop(&mut self, replica: impl Into<Replica>) -> Result<bool> {
        self.backend.stop(replica.into()).await
    }

    /// Starts a process again after [`World::kill`] or [`World::stop`], and waits until it is ready.
    pub async fn restart(&mut self, replica: impl Into<Replica>) -> Result<()> {
        let replica = replica.into();
        self.backend.start(replica).await?;
        self.wait_until_ready(replica).await
    }

    /// Restarts a process that has ended on its own, as Compose does. Returns whether it had; does not wait until the
    /// process is ready.
    pub async fn restart_if_ended(&mut self, replica: impl Into<Replica>) -> Result<bool> {
        let replica = replica.into();
        let has_ended = self.backend.ensure_running(replica).is_err();
        if has_ended {
            self.backend.start(replica).await?;
        }
        Ok(has_ended)
    }

    /// Runs the operator's command, `clawkaka`, with these arguments, and returns what it prints.
    pub async fn command(&self, arguments: &[&str]) -> Result<String> {
        self.backend.command(arguments).await
    }

    /// Restarts every ingress with this voice mode.
    pub async fn set_voice_mode(&mut self, mode: VoiceMode) -> Result<()> {
        self.backend.set("VOICE_MODE", mode.name());
        for ingress in self.replicas_of(Service::Ingress) {
            self.backend.renew(ingress).await?;
            self.wait_until_ready(ingress).await?;
        }
        Ok(())
    }

    /// Starts one more process of a service, and waits until it is ready. If the services are processes, Caddy does
    /// not use an ingress added this way.
    pub async fn add(&mut self, service: Service) -> Result<Replica> {
        let replica = self.backend.add(service).await?;
        self.wait_until_ready(replica).await?;
        Ok(replica)
    }

    /// Freezes a process with SIGSTOP, as a stalled machine would; its sockets stay open.
    pub async fn pause(&self, replica: impl Into<Replica>) -> Result<()> {
        signal(self.backend.process_of(replica.into())?, "STOP").await
    }

    /// Lets a paused process go on.
    pub async fn resume(&self, replica: impl Into<Replica>) -> Result<()> {
        signal(self.backend.process_of(replica.into())?, "CONT").await
    }

    /// Freezes a process for `time` and returns at once. The returned task ends when the process goes on.
    pub async fn pause_for(
        &self,
        replica: impl Into<Replica>,
        time: Duration,
    ) -> Result<JoinHandle<Result<()>>> {
        let id = self.backend.process_of(replica.into())?;
        signal(id, "STOP").await?;
        Ok(tokio::spawn(async move {
            sleep(time).await;
            signal(id, "CONT").await
        }))
    }

    /// Kills Caddy with SIGKILL, as a crash would.
    pub async fn kill_caddy(&mut self) -> Result<()> {
        self.backend.kill_caddy().await
    }

    /// Starts the killed Caddy again, and waits until it answers.
    pub async fn restart_caddy(&mut self) -> Result<()> {
        self.backend.start_caddy().await?;
        self.wait_for_caddy().await
    }

    /// All replicas of a service, including those that are not running.
    pub fn replicas_of(&self, service: Service) -> Vec<Replica> {
        self.backend.replicas_of(service)
    }

    /// The log of a replica, including runs before a restart.
    pub fn log_of(&self, replica: impl Into<Replica>) -> String {
        self.backend.log_of(replica.into())
    }

    /// The log of Caddy.
    pub fn log_of_caddy(&self) -> String {
        self.backend.log_of_caddy()
    }

    /// The latest warnings and errors of every process, for a failed test to show.
    pub fn recent_warnings(&self) -> String {
        let replicas = Service::ALL.map(|service| self.replicas_of(service));
        let warnings = replicas.concat().into_iter().map(|replica| {
            let log = self.log_of(replica);
            let lines = log
                .lines()
                .rev()
                .filter(|line| line.contains("WARN") || line.contains("ERROR"));
            let latest: Vec<&str> = lines.take(WARNINGS_SHOWN).collect();
            format!("--- {replica}\n{}\n", latest.join("\n"))
        });
        warnings.collect()
    }

    /// Resident memory of a running process, in bytes.
    pub fn memory_of(&self, replica: impl Into<Replica>) -> Result<u64> {
        processor::memory_of(self.backend.process_of(replica.into())?)
    }

    /// Processor time of a running process since its last start.
    pub fn cpu_of(&self, replica: impl Into<Replica>) -> Result<Duration> {
        let process = self.backend.process_of(replica.into())?;
        processor::time_of(&process.to_string())
    }

    /// The memory of each running program, by name: the resident memory of a process, or that of a container and its
    /// limit.
    pub fn memory(&self) -> Result<Vec<(String, String)>> {
        self.backend.memory()
    }

    /// A counter or gauge from the process's `/metrics`, summed over its labels; `None` if the process does not
    /// answer or has never set the metric.
    pub async fn metric_of(&self, replica: impl Into<Replica>, name: &str) -> Option<f64> {
        metric(&self.metrics_of(replica).await.ok()?, name)
    }

    /// All metrics from the process's `/metrics`.
    pub async fn metrics_of(&self, replica: impl Into<Replica>) -> Result<String> {
        let url = format!("{}/metrics", self.backend.url_of(replica.into())?);
        let answer = http::client(HttpTimeouts::default())
            .get(url)
            .send()
            .await?;
        Ok(answer.text().await?)
    }

    /// Panics if a fallback timer ended any wait for an event.
    pub async fn assert_no_wait_ended_by_clock(&self) {
        let name = WAITS_ENDED_BY_CLOCK.name();
        for replica in Service::ALL
            .map(|service| self.replicas_of(service))
            .concat()
        {
            let waits = self.metric_of(replica, name).await.unwrap_or_default();
            assert!(
                waits == 0.0,
                "{waits} waits of {replica} were ended by a timer"
            );
        }
    }

    pub(super) async fn wait_until_ready(&mut self, replica: Replica) -> Result<()> {
        let client = http::client(HttpTimeouts::default());
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            // The answer may come from another process that has taken the port.
            let ended = self.backend.ensure_running(replica);
            ended.with_context(|| format!("{replica}:\n{}", self.log_of(replica)))?;
            let url = format!("{}/readyz", self.backend.url_of(replica)?);
            let answer = client.get(&url).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let log = self.log_of(replica);
                bail!("{replica} is not ready after {READY_LIMIT:?}:\n{log}");
            }
            sleep(READY_PAUSE).await;
        }
    }

    /// Waits until Caddy answers requests, with any status.
    pub(super) async fn wait_for_caddy(&self) -> Result<()> {
        let client = http::client(HttpTimeouts::default());
        let deadline = Instant::now() + READY_LIMIT;
        while let Err(error) = client.get(self.public_url()).send().await {
            if Instant::now() > deadline {
                return Err(error).context("Caddy does not answer");
            }
            sleep(READY_PAUSE).await;
        }
        Ok(())
    }
}

/// The sum of a metric over its labels, in Prometheus' text format.
fn metric(text: &str, name: &str) -> Option<f64> {
    let samples = text.lines().filter_map(|line| {
        let (sample, value) = line.rsplit_once(' ')?;
        let of = sample.split('{').next()?;
        (of == name).then(|| value.parse::<f64>().ok()).flatten()
    });
    samples.reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_the_sum_over_its_labels() {
        let text = "# TYPE owned gauge\nowned{of=\"a\"} 3\nowned{of=\"b\"} 4\nowned_ever 9\n";

        assert_eq!(metric(text, "owned"), Some(7.0));
        assert_eq!(metric(text, "never"), None);
    }
}
