//! Tasks that live and end together.

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

/// How long tasks may take to end unless `SHUTDOWN_GRACE_SECONDS` says otherwise.
const DEFAULT_GRACE_SECONDS: u64 = 20;

/// The grace period an operator asked for in `SHUTDOWN_GRACE_SECONDS`.
pub fn grace(env: &Env) -> Result<Duration, EnvError> {
    env.or("SHUTDOWN_GRACE_SECONDS", DEFAULT_GRACE_SECONDS)
        .map(Duration::from_secs)
}

/// Resolves when the process is told to stop: SIGTERM (a supervisor) or SIGINT (Ctrl-C).
pub async fn stop_signal() {
    let both = signal(SignalKind::terminate())
        .and_then(|term| signal(SignalKind::interrupt()).map(|int| (term, int)));
    match both {
        Ok((mut term, mut int)) => {
            let name = tokio::select! {
                _ = term.recv() => "SIGTERM",
                _ = int.recv() => "SIGINT",
            };
            info!("{name} received: stopping");
        }
        Err(error) => {
            warn!(%error, "signals cannot be heard: only a kill will end this process");
            pending::<()>().await;
        }
    }
}

/// Owns the long-lived tasks of a process. When one ends unasked, by error, by panic or by simply
/// returning, all are stopped: a service that does half its work looks well and is not.
///
/// Dropping it aborts them.
#[derive(Debug)]
pub struct Lifecycle {
    tasks: JoinSet<anyhow::Result<()>>,
    names: HashMap<Id, &'static str>,
    stop: CancellationToken,
    grace: Duration,
}

impl Lifecycle {
    /// No tasks yet; once told to stop they have `grace` to end by themselves.
    pub fn new(grace: Duration) -> Self {
        Self {
            tasks: JoinSet::new(),
            names: HashMap::new(),
            stop: CancellationToken::new(),
            grace,
        }
    }

    /// Cancelled when the tasks are to end.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task that runs until the token it is given is cancelled.
    pub fn spawn<Task, Running>(&mut self, name: &'static str, task: Task)
    where
        Task: FnOnce(CancellationToken) -> Running,
        Running: Future<Output: TaskOutcome> + Send + 'static,
    {
        let running = task(self.stop.clone());
        let handle = self.tasks.spawn(async move { running.await.into_result() });
        self.names.insert(handle.id(), name);
    }

    /// Runs until `stop` resolves or a task ends unasked, then lets every task end.
    ///
    /// Fails with the first of: a task that ended unasked, a task that failed, a task that did not end
    /// within the grace period (and was aborted).
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let unasked = tokio::select! {
            () = stop => Ok(()),
            ended = self.next_unasked_end() => Err(ended),
        };
        self.stop.cancel();
        let rest = self.let_tasks_end().await;
        unasked.and(rest)
    }

    async fn next_unasked_end(&mut self) -> anyhow::Error {
        match self.tasks.join_next_with_id().await {
            Some(joined) => match self.name_and_result(joined) {
                (name, Ok(())) => anyhow!("task {name} ended by itself"),
                (_, Err(error)) => error,
            },
            None => pending().await,
        }
    }

    async fn let_tasks_end(&mut self) -> anyhow::Result<()> {
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
            warn!("aborting what did not end within {grace:?}: {late}");
            self.tasks.shutdown().await;
            return outcome.and(Err(anyhow!("did not end within {grace:?}: {late}")));
        }
        outcome
    }

    /// Takes the task off the list; its error tells which task it was.
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

/// What a task may end with: nothing, or a result.
pub trait TaskOutcome {
    /// The same as a result.
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
    async fn told_to_stop_every_task_ends_and_all_is_well() {
        let mut lifecycle = Lifecycle::new(GRACE);
        lifecycle.spawn("one", |stop| async move { stop.cancelled().await });
        lifecycle.spawn("two", |stop| async move {
            stop.cancelled().await;
            anyhow::Ok(())
        });

        assert!(lifecycle.run_until(ready(())).await.is_ok());
    }

    #[tokio::test]
    async fn a_task_that_ends_by_itself_stops_the_others_and_is_named() {
        let mut lifecycle = Lifecycle::new(GRACE);
        let stop = lifecycle.stop_token();
        lifecycle.spawn("steady", |stop| async move { stop.cancelled().await });
        lifecycle.spawn("fickle", |_| ready(()));

        let error = lifecycle.run_until(pending()).await.unwrap_err();

        assert_eq!(error.to_string(), "task fickle ended by itself");
        assert!(stop.is_cancelled());
    }

    #[tokio::test]
    async fn a_failing_task_stops_the_process_with_its_error() {
        let mut lifecycle = Lifecycle::new(GRACE);
        lifecycle.spawn("failing", |_| ready(Err::<(), _>(anyhow!("disk full"))));

        let error = lifecycle.run_until(pending()).await.unwrap_err();

        assert_eq!(format!("{error:#}"), "task failing failed: disk full");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_like_any_other() {
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
    async fn a_task_that_will_not_end_is_aborted_after_the_grace_period() {
        let mut lifecycle = Lifecycle::new(Duration::from_millis(20));
        lifecycle.spawn("stubborn", |_| pending::<()>());

        let error = lifecycle.run_until(ready(())).await.unwrap_err();

        assert_eq!(error.to_string(), "did not end within 20ms: stubborn");
    }
}
