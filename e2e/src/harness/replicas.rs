//! Control of single processes: kill, stop, pause, restart, and read their logs and metrics.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail};
use claw_metrics::WAITS_ENDED_BY_CLOCK;
use claw_runtime::{HttpTimeouts, http};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::{Program, Replica, Service, VoiceMode, World, log_path, programs::signal};

/// Longest time until a service is ready.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// Pause between two readiness checks.
const READY_PAUSE: Duration = Duration::from_millis(20);

/// Warnings and errors of each process that a failed test shows.
const WARNINGS_SHOWN: usize = 8;

impl World {
    /// Kills a process with SIGKILL, as a crash would.
    pub async fn kill(&mut self, replica: impl Into<Replica>) -> Result<()> {
        match self.running.remove(&replica.into()) {
            Some(program) => program.kill().await,
            None => Ok(()),
        }
    }

    /// Stops a process with SIGTERM and waits for its end; true if it exits with status 0.
    pub async fn stop(&mut self, replica: impl Into<Replica>) -> Result<bool> {
        match self.running.remove(&replica.into()) {
            Some(program) => program.stop().await,
            None => Ok(true),
        }
    }

    /// Starts a process again after [`World::kill`] or [`World::stop`], and waits until it is ready.
    pub async fn restart(&mut self, replica: impl Into<Replica>) -> Result<()> {
        let replica = replica.into();
        self.begin(replica)?;
        self.wait_until_ready(replica).await
    }

    /// Restarts every ingress with this voice mode.
    pub async fn set_voice_mode(&mut self, mode: VoiceMode) -> Result<()> {
        self.settings.set("VOICE_MODE", mode.name());
        for ingress in self.replicas_of(Service::Ingress) {
            self.stop(ingress).await?;
            self.restart(ingress).await?;
        }
        Ok(())
    }

    /// Starts one more process of a service, and waits until it is ready. Caddy does not use an ingress added this
    /// way.
    pub async fn add(&mut self, service: Service) -> Result<Replica> {
        let replica = self.settings.add_replica(service)?;
        self.restart(replica).await?;
        Ok(replica)
    }

    /// Freezes a process with SIGSTOP, as a stalled machine would; its sockets stay open.
    pub async fn pause(&self, replica: impl Into<Replica>) -> Result<()> {
        self.running(replica.into())?.signal("STOP").await
    }

    /// Lets a paused process go on.
    pub async fn resume(&self, replica: impl Into<Replica>) -> Result<()> {
        self.running(replica.into())?.signal("CONT").await
    }

    /// Freezes a process for `time` and returns at once. The returned task ends when the process goes on.
    pub async fn pause_for(
        &self,
        replica: impl Into<Replica>,
        time: Duration,
    ) -> Result<JoinHandle<Result<()>>> {
        let program = self.running(replica.into())?;
        program.signal("STOP").await?;
        let id = program.id()?;
        Ok(tokio::spawn(async move {
            sleep(time).await;
            signal(id, "CONT").await
        }))
    }

    /// All replicas of a service, including those that are not running.
    pub fn replicas_of(&self, service: Service) -> Vec<Replica> {
        self.settings.replicas_of(service).collect()
    }

    /// The log of a replica, including runs before a restart.
    pub fn log_of(&self, replica: impl Into<Replica>) -> String {
        std::fs::read_to_string(self.log_path(replica.into())).unwrap_or_default()
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
        self.running(replica.into())?.memory()
    }

    /// Processor time of a running process since its last start.
    pub fn cpu_of(&self, replica: impl Into<Replica>) -> Result<Duration> {
        self.running(replica.into())?.cpu_time()
    }

    /// A counter or gauge from the process's `/metrics`, summed over its labels; `None` if the process does not
    /// answer or has never set the metric.
    pub async fn metric_of(&self, replica: impl Into<Replica>, name: &str) -> Option<f64> {
        let url = format!("{}/metrics", self.settings.url_of(replica.into()));
        let answer = http::client(HttpTimeouts::default()).get(url).send().await;
        metric(&answer.ok()?.text().await.ok()?, name)
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

    pub(super) fn begin(&mut self, replica: Replica) -> Result<()> {
        let program = Program::start(
            replica.service.name(),
            &self.settings.of_replica(replica),
            &self.log_path(replica),
        )?;
        self.running.insert(replica, program);
        Ok(())
    }

    pub(super) async fn wait_until_ready(&mut self, replica: Replica) -> Result<()> {
        let url = format!("{}/readyz", self.settings.url_of(replica));
        let client = http::client(HttpTimeouts::default());
        let deadline = Instant::now() + READY_LIMIT;
        loop {
            // The answer may come from another process that has taken the port.
            if let Some(program) = self.running.get_mut(&replica) {
                let ended = program.ensure_running();
                ended.with_context(|| format!("{replica}:\n{}", self.log_of(replica)))?;
            }
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

    fn running(&self, replica: Replica) -> Result<&Program> {
        let program = self.running.get(&replica);
        program.with_context(|| format!("{replica} is not running"))
    }

    fn log_path(&self, replica: Replica) -> PathBuf {
        log_path(self.directory.path(), &replica.to_string())
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
