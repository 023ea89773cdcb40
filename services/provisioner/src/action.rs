//! Decides the next action for a sandbox. Pure: the row, the observation and the time are arguments.

use std::time::Duration;

use chrono::{DateTime, Utc};
use claw_docker::ContainerState;
use claw_domain::{FailureReason, SandboxStatus};
use claw_store::Sandbox;

use crate::{readiness::Readiness, retry::RetryState};

/// The exit code of a container with unusable settings: `EX_CONFIG` of sysexits.h.
const EXIT_CONFIGURATION: i64 = 78;

/// Most starts of a container that exits while it starts. Two, because an engine that was killed leaves exited
/// containers that would have become ready.
const STARTS_LIMIT: u32 = 2;

/// The next action for a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Nothing: it is queued, ready, failed or removed.
    None,
    /// Mark it as starting, before anything is made for it.
    Begin,
    /// Reserve a port of this host.
    ReservePort,
    /// Make its model key.
    MintKey,
    /// Make and start its container, or start it again.
    StartContainer,
    /// Observe it again after this pause.
    Wait(Duration),
    /// Mark it as ready.
    MarkReady,
    /// Start it over with its volume: it was ready and its container does not run.
    StartOver,
    /// Remove what was made for it, and mark it as failed for this reason.
    GiveUp(FailureReason),
}

/// An observation of a sandbox outside its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    /// The state of its container.
    pub container: ContainerState,
    /// Its readiness; [`Readiness::NotReady`] while the container does not run.
    pub readiness: Readiness,
    /// The number of container starts in this drive.
    pub starts: u32,
}

/// The time limits of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the container's start until it accepts our connection; also the limit for retries.
    pub start_limit: Duration,
    /// The pause between two observations of a starting container.
    pub poll_pause: Duration,
}

/// The kind of system that runs the sandboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosting {
    /// Containers and model keys that we make.
    Containers,
    /// A service outside our control, which runs them permanently.
    External,
}

/// The next action for a sandbox.
pub fn next_action(
    hosting: Hosting,
    sandbox: &Sandbox,
    observed: &Observed,
    timeouts: Timeouts,
    now: DateTime<Utc>,
) -> Action {
    match (sandbox.status, hosting) {
        (
            SandboxStatus::Queued
            | SandboxStatus::Asleep
            | SandboxStatus::Removing
            | SandboxStatus::Failed
            | SandboxStatus::Removed,
            _,
        )
        | (SandboxStatus::Ready, Hosting::External) => Action::None,
        (SandboxStatus::Requested, _) => Action::Begin,
        (SandboxStatus::Starting, Hosting::External) => Action::MarkReady,
        (SandboxStatus::Starting, Hosting::Containers) => {
            when_starting(sandbox, observed, timeouts, now)
        }
        (SandboxStatus::Ready, Hosting::Containers) => when_ready(observed.container),
    }
}

/// The next action for a sandbox after an observation or an action failed.
pub fn action_after_failure(
    sandbox: &Sandbox,
    retry: &RetryState,
    timeouts: Timeouts,
    now: DateTime<Utc>,
) -> Action {
    let is_over = retry.is_permanent || has_passed(retry.since, timeouts.start_limit, now);
    match sandbox.status {
        SandboxStatus::Requested | SandboxStatus::Starting if is_over => {
            Action::GiveUp(retry.reason)
        }
        SandboxStatus::Requested | SandboxStatus::Starting => Action::Wait(retry.pause()),
        // Whether its container runs is unknown until the next observation.
        SandboxStatus::Ready
        | SandboxStatus::Queued
        | SandboxStatus::Asleep
        | SandboxStatus::Removing
        | SandboxStatus::Failed
        | SandboxStatus::Removed => Action::None,
    }
}

fn when_ready(container: ContainerState) -> Action {
    match container {
        ContainerState::Running => Action::None,
        ContainerState::Absent | ContainerState::Created | ContainerState::Exited { .. } => {
            Action::StartOver
        }
    }
}

fn when_starting(
    sandbox: &Sandbox,
    observed: &Observed,
    timeouts: Timeouts,
    now: DateTime<Utc>,
) -> Action {
    if sandbox.port.is_none() {
        return Action::ReservePort;
    }
    if sandbox.model_key_hash.is_none() {
        return Action::MintKey;
    }
    match observed.container {
        ContainerState::Absent | ContainerState::Created => Action::StartContainer,
        ContainerState::Exited { code, .. } => {
            let is_misconfigured = observed.starts > 0 && code == EXIT_CONFIGURATION;
            if is_misconfigured || observed.starts >= STARTS_LIMIT {
                Action::GiveUp(FailureReason::Exited)
            } else {
                Action::StartContainer
            }
        }
        ContainerState::Running => when_running(sandbox, observed.readiness, timeouts, now),
    }
}

/// The row was last changed when the container was started.
fn when_running(
    sandbox: &Sandbox,
    readiness: Readiness,
    timeouts: Timeouts,
    now: DateTime<Utc>,
) -> Action {
    let is_late = has_passed(sandbox.updated_at, timeouts.start_limit, now);
    match readiness {
        Readiness::Ready => Action::MarkReady,
        Readiness::Rejected => Action::GiveUp(FailureReason::NotApproved),
        Readiness::NotReady if is_late => Action::GiveUp(FailureReason::StartTimeout),
        Readiness::NotApproved if is_late => Action::GiveUp(FailureReason::NotApproved),
        Readiness::NotReady | Readiness::NotApproved => Action::Wait(timeouts.poll_pause),
    }
}

fn has_passed(since: DateTime<Utc>, limit: Duration, now: DateTime<Utc>) -> bool {
    (now - since).to_std().is_ok_and(|passed| passed >= limit)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use claw_domain::SandboxId;

    use super::*;

    #[test]
    fn each_state_of_a_container_has_its_action() {
        use Action::{GiveUp, MarkReady, StartContainer};
        use ContainerState::{Absent, Created, Exited, Running};
        use FailureReason::{Exited as ExitedEarly, NotApproved, StartTimeout};
        use Readiness::{NotApproved as Unapproved, NotReady, Ready, Rejected};
        let exited = |code| Exited {
            code,
            out_of_memory: false,
        };
        let wait = Action::Wait(TIMEOUTS.poll_pause);
        let cases = [
            (Absent, NotReady, 0, 0, StartContainer),
            (Created, NotReady, 1, 0, StartContainer),
            (exited(0), NotReady, 0, 0, StartContainer),
            (exited(78), NotReady, 0, 0, StartContainer),
            (exited(137), NotReady, 1, 0, StartContainer),
            (exited(78), NotReady, 1, 0, GiveUp(ExitedEarly)),
            (exited(137), NotReady, 2, 0, GiveUp(ExitedEarly)),
            (Running, NotReady, 1, 0, wait),
            (Running, NotReady, 1, 179, wait),
            (Running, NotReady, 1, 180, GiveUp(StartTimeout)),
            (Running, Unapproved, 1, 0, wait),
            (Running, Unapproved, 1, 180, GiveUp(NotApproved)),
            (Running, Rejected, 1, 0, GiveUp(NotApproved)),
            (Running, Ready, 1, 0, MarkReady),
            (Running, Ready, 1, 9_999, MarkReady),
        ];
        for (container, readiness, starts, seconds, expected) in cases {
            let observed = Observed {
                container,
                readiness,
                starts,
            };
            let action = next_action(
                Hosting::Containers,
                &starting(),
                &observed,
                TIMEOUTS,
                at(seconds),
            );
            assert_eq!(action, expected, "{observed:?} after {seconds} s");
        }
    }

    #[test]
    fn a_container_is_started_only_with_a_port_and_a_model_key() {
        let without_port = Sandbox {
            port: None,
            model_key_hash: None,
            ..starting()
        };
        let without_key = Sandbox {
            model_key_hash: None,
            ..starting()
        };

        assert_eq!(action_for(&without_port), Action::ReservePort);
        assert_eq!(action_for(&without_key), Action::MintKey);
    }

    #[test]
    fn a_ready_sandbox_starts_over_if_its_container_does_not_run() {
        let ready = in_status(SandboxStatus::Ready);
        let running = Observed {
            container: ContainerState::Running,
            ..NOTHING
        };

        assert_eq!(action_for(&ready), Action::StartOver);
        assert_eq!(
            next_action(Hosting::Containers, &ready, &running, TIMEOUTS, at(0)),
            Action::None
        );
    }

    #[test]
    fn a_queued_failed_or_removed_sandbox_needs_no_action() {
        for status in [
            SandboxStatus::Queued,
            SandboxStatus::Failed,
            SandboxStatus::Removed,
        ] {
            assert_eq!(action_for(&in_status(status)), Action::None, "{status:?}");
        }
        assert_eq!(
            action_for(&in_status(SandboxStatus::Requested)),
            Action::Begin
        );
    }

    #[test]
    fn an_external_sandbox_is_ready_as_soon_as_it_is_requested() {
        let action = |status| {
            next_action(
                Hosting::External,
                &in_status(status),
                &NOTHING,
                TIMEOUTS,
                at(9_999),
            )
        };

        assert_eq!(action(SandboxStatus::Requested), Action::Begin);
        assert_eq!(action(SandboxStatus::Starting), Action::MarkReady);
        assert_eq!(action(SandboxStatus::Ready), Action::None);
    }

    #[test]
    fn failures_are_retried_for_as_long_as_a_start_may_last() {
        let retry = RetryState::first(FailureReason::Engine, false, None, at(0));
        let after = |seconds| action_after_failure(&starting(), &retry, TIMEOUTS, at(seconds));

        assert_eq!(after(179), Action::Wait(retry.pause()));
        assert_eq!(after(180), Action::GiveUp(FailureReason::Engine));
    }

    #[test]
    fn a_permanent_failure_gives_the_sandbox_up_at_once_unless_it_was_ready() {
        let retry = RetryState::first(FailureReason::ImageMissing, true, None, at(0));

        assert_eq!(
            action_after_failure(&starting(), &retry, TIMEOUTS, at(0)),
            Action::GiveUp(FailureReason::ImageMissing)
        );
        assert_eq!(
            action_after_failure(&in_status(SandboxStatus::Ready), &retry, TIMEOUTS, at(999)),
            Action::None
        );
    }

    const TIMEOUTS: Timeouts = Timeouts {
        start_limit: Duration::from_mins(3),
        poll_pause: Duration::from_millis(500),
    };
    const NOTHING: Observed = Observed {
        container: ContainerState::Absent,
        readiness: Readiness::NotReady,
        starts: 0,
    };

    fn action_for(sandbox: &Sandbox) -> Action {
        next_action(Hosting::Containers, sandbox, &NOTHING, TIMEOUTS, at(0))
    }

    fn starting() -> Sandbox {
        in_status(SandboxStatus::Starting)
    }

    fn in_status(status: SandboxStatus) -> Sandbox {
        Sandbox {
            id: SandboxId::derived_from("s"),
            user: claw_testkit::user("u"),
            status,
            endpoint: None,
            port: Some(30_000),
            model: "openrouter/auto".to_owned(),
            failure: None,
            start: 1,
            model_key_hash: Some("hash".to_owned()),
            model_key_name: None,
            has_enabled_key: true,
            transcript: None,
            cause: None,
            engine: None,
            policy: claw_domain::SleepPolicy::Sleep,
            wake_at: None,
            wake_for: None,
            job_wakes: 0,
            job_wakes_since: DateTime::UNIX_EPOCH,
            failures: 0,
            retry_at: None,
            updated_at: at(0),
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }
}
