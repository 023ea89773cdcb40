//! The long-lived tasks of a process, which end together.

use std::{collections::HashMap, future::pending, time::Duration};

use anyhow::{Context, anyhow};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::{Id, JoinError, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{Env, EnvError};

/// The grace period if `SHUTDOWN_GRACE_SECONDS` is not set.
const DEFAULT_GRACE_SECONDS: u64 = 20;

/// Reads the grace period from `SHUTDOWN_GRACE_SECONDS`; 20 s if it is not set.
pub fn grace(env: &Env) -> Result<Duration, EnvError> {
    env.or("SHUTDOWN_GRACE_SECONDS", DEFAULT_GRACE_SECONDS)
        .map(Duration::from_secs)
}

/// Resolves when the process receives SIGTERM (from a supervisor) or SIGINT (from Ctrl-C).
pub async fn stop_signal() {
    let both = signal(SignalKind::terminate())
        .and_then(|term| signal(SignalKind::interrupt()).map(|int| (term, int)));
    match both {
        Ok((mut term, mut int)) => {
            let name = tokio::select! {
                _ = term.recv() => "SIGTERM",
                _ = int.recv() => "SIGINT",
            };
            info!("received {name}: stopping");
        }
        Err(error) => {
            warn!(%error, "cannot listen for signals: only SIGKILL will end this process");
            pending::<()>().await;
        }
    }
}

/// Owns the long-lived tasks of a process. If one of them ends before the process is told to stop, by an
/// error, a panic or a plain return, all of them are stopped: a service that does half of its work would
/// still look healthy.
///
/// Dropping the lifecycle aborts its tasks.
#[derive(Debug)]
pub struct Lifecycle {
    tasks: JoinSet<anyhow::Result<()>>,
    names: HashMap<Id, &'static str>,
    stop: CancellationToken,
    grace: Duration,
}

impl Lifecycle {
    /// Creates a lifecycle without tasks. After the stop, its tasks have `grace` to end.
    pub fn new(grace: Duration) -> Self {
        Self {
            tasks: JoinSet::new(),
            names: HashMap::new(),
            stop: CancellationToken::new(),
            grace,
        }
    }

    /// The token that is cancelled when the tasks must end.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task, which must run until the token passed to it is cancelled. Errors name the task.
    pub fn spawn<Task, Running>(&mut self, name: &'static str, task: Task)
    where
        Task: FnOnce(CancellationToken) -> Running,
        Running: Future<Output: TaskOutcome> + Send + 'static,
    {
        let running = task(self.stop.clone());
        let handle = self.tasks.spawn(async move { running.await.into_result() });
        self.names.insert(handle.id(), name);
    }

    /// Runs until `stop` resolves or a task ends, then waits for all tasks.
    ///
    /// Fails with the first of these errors: a task ended before the stop, a task failed, a task did not end
    /// within the grace period and was aborted.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let before_stop = tokio::select! {
            () = stop => Ok(()),
            error = self.next_early_end() => Err(error),
        };
        self.stop.cancel();
        let after_stop = self.wait_for_tasks().await;
        before_stop.and(after_stop)
    }

    async fn next_early_end(&mut self) -> anyhow::Error {
        match self.tasks.join_next_with_id().await {
            Some(joined) => match self.name_and_result(joined) {
                (name, Ok(())) => anyhow!("task {name} ended before the process was told to stop"),
                (_, Err(error)) => error,
            },
            None => pending().await,
        }
    }

    async fn wait_for_tasks(&mut self) -> anyhow::Result<()> {
        let mut outcome = Ok(());
        let grace = self.grace;
        let all_ended = timeout(grace, async {
            while let Some(joined) = self.tasks.join_next_with_id().await {
                let (_, result) = self.name_and_result(joined);
                if outcome.is_ok() {
                    outcome = result;
                }
            }
        });
        if all_ended.await.is_err() {
            let late = self.names.values().copied().collect::<Vec<_>>().join(", ");
            warn!("aborting the tasks that did not end within {grace:?}: {late}");
            self.tasks.shutdown().await;
            return outcome.and(Err(anyhow!("tasks did not end within {grace:?}: {late}")));
        }
        outcome
    }

    /// Removes the task's name, and names the task in its error.
    fn name_and_result(
        &mut self,
        joined: Result<(Id, anyhow::Result<()>), JoinError>,
    ) -> (&'static str, anyhow::Result<()>) {
        let (id, result) = match joined {
            Ok((id, result)) => (id, result),
            Err(error) => (error.id(), Err(error.into())),
        };
        let name = self.names.remove(&id).unwrap_or("unnamed");
        (name, result.with_context(|| format!("task {name} failed")))
    }
}

/// The output of a task: nothing, or a result.
pub trait TaskOutcome {
    /// Converts the output into a result.
    fn into_result(self) -> anyhow::Result<()>;
}

impl TaskOutcome for () {
    fn into_result(self) -> anyhow::Result<()> {
        Ok(())
    }
}

impl<E: Into<anyhow::Error>> TaskOutcome for Result<(), E> {
    fn into_result(self) -> anyhow::Result<()> {
        self.map_err(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    const GRACE: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn every_task_ends_after_the_stop() {
        let mut lifecycle = Lifecycle::new(GRACE);
        lifecycle.spawn("one", |stop| async move { stop.cancelled().await });
        lifecycle.spawn("two", |stop| async move {
            stop.cancelled().await;
            anyhow::Ok(())
        });

        assert!(lifecycle.run_until(ready(())).await.is_ok());
    }

    #[tokio::test]
    async fn a_task_that_ends_early_stops_the_others_and_is_named() {
        let mut lifecycle = Lifecycle::new(GRACE);
        let stop = lifecycle.stop_token();
        lifecycle.spawn("steady", |stop| async move { stop.cancelled().await });
        lifecycle.spawn("fickle", |_| ready(()));

        let error = lifecycle.run_until(pending()).await.unwrap_err();

        assert_eq!(
            error.to_string(),
            "task fickle ended before the process was told to stop"
        );
        assert!(stop.is_cancelled());
    }

    #[tokio::test]
    async fn the_error_of_a_failed_task_is_returned() {
        let mut lifecycle = Lifecycle::new(GRACE);
        lifecycle.spawn("failing", |_| ready(Err::<(), _>(anyhow!("disk full"))));

        let error = lifecycle.run_until(pending()).await.unwrap_err();

        assert_eq!(format!("{error:#}"), "task failing failed: disk full");
    }

    #[tokio::test]
    async fn a_panic_of_a_task_is_returned_as_an_error() {
        let mut lifecycle = Lifecycle::new(GRACE);
        lifecycle.spawn("panicking", |stop| async move {
            assert!(stop.is_cancelled(), "boom");
        });

        let error = lifecycle.run_until(pending()).await.unwrap_err();

        assert!(
            format!("{error:#}").contains("task panicking failed: task"),
            "{error:#}"
        );
    }

    #[tokio::test]
    async fn a_task_that_does_not_end_is_aborted_after_the_grace_period() {
        let mut lifecycle = Lifecycle::new(Duration::from_millis(20));
        lifecycle.spawn("stubborn", |_| pending::<()>());

        let error = lifecycle.run_until(ready(())).await.unwrap_err();

        assert_eq!(error.to_string(), "tasks did not end within 20ms: stubborn");
    }
}
