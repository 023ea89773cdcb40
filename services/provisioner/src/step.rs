//! Decides the next step for a sandbox. Pure: the row, the observation and the time are arguments.

use std::time::Duration;

use chrono::{DateTime, Utc};
use claw_docker::ContainerState;
use claw_domain::{Backoff, FailureReason, SandboxStatus};
use claw_store::{AnySandbox, Sandbox};

use crate::{readiness::Readiness, retry::RetryState};

/// The exit code of a container with unusable settings: `EX_CONFIG` of sysexits.h.
const EXIT_CONFIGURATION: i64 = 78;

/// Most starts of a container that exits while it starts. Two, because an engine that was killed leaves exited
/// containers that would have become ready.
const STARTS_LIMIT: u32 = 2;

/// How often in a row a sandbox may end by itself, or fail to start, before it is given up for a while.
const FAILURES_LIMIT: u32 = 5;

/// How long a sandbox with a volume waits for an engine that is away, or for a missing image. A newcomer is told sooner.
const ENGINE_PATIENCE: Duration = Duration::from_mins(10);

/// The pauses before a sandbox that ended by itself is started over. There is none the first time.
const RESTART_PAUSES: Backoff = Backoff {
    first: Duration::from_secs(10),
    longest: Duration::from_mins(1),
};

/// The pauses before a failed sandbox is started again without a request.
pub(crate) const RETRY_PAUSES: Backoff = Backoff {
    first: Duration::from_mins(1),
    longest: Duration::from_hours(1),
};

/// The next step for a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing for now.
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
    /// Start it over with its volume after this pause: it was ready, and no longer is.
    StartOver(Duration),
    /// Remove what was made for it, and mark it as failed for this reason.
    GiveUp(FailureReason),
    /// Stop its container gracefully and remove it: it sleeps.
    StopContainer,
    /// Let others have its port: it sleeps, and its container is gone.
    ReleasePort,
    /// Begin to remove it for this reason: it is a spare one, so nobody needs it to be started again.
    Discard(FailureReason),
    /// Remove its container, its model key and its volume, and mark it as removed.
    Remove,
}

/// An observation of a sandbox outside its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    /// The state of its container, as the engine tells it.
    pub container: ContainerState,
    /// What its OpenClaw answers; [`Readiness::NotReady`] if it was not asked.
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

/// The next step for a sandbox.
pub fn next_step(
    hosting: Hosting,
    sandbox: &AnySandbox,
    observed: &Observed,
    timeouts: Timeouts,
    now: DateTime<Utc>,
) -> Step {
    let step = match (sandbox.status, hosting) {
        (SandboxStatus::Queued | SandboxStatus::Failed | SandboxStatus::Removed, _)
        | (SandboxStatus::Ready | SandboxStatus::Asleep, Hosting::External) => Step::None,
        (SandboxStatus::Requested, _) if is_pausing(sandbox, now) => Step::None,
        (SandboxStatus::Requested, _) => Step::Begin,
        (SandboxStatus::Starting, Hosting::External) => Step::MarkReady,
        (SandboxStatus::Starting, Hosting::Containers) => {
            when_starting(sandbox, observed, timeouts, now)
        }
        (SandboxStatus::Ready, Hosting::Containers) => when_ready(sandbox, observed),
        (SandboxStatus::Asleep, Hosting::Containers) => when_asleep(sandbox, observed.container),
        (SandboxStatus::Removing, _) => Step::Remove,
    };
    if let Step::GiveUp(reason) = step {
        give_up(sandbox, reason)
    } else {
        step
    }
}

/// The next step for a sandbox after an observation or a step failed.
pub fn step_after_failure(
    sandbox: &AnySandbox,
    retry: &RetryState,
    timeouts: Timeouts,
    now: DateTime<Utc>,
) -> Step {
    match sandbox.status {
        SandboxStatus::Requested | SandboxStatus::Starting
            if is_hopeless(sandbox, retry, timeouts, now) =>
        {
            give_up(sandbox, retry.reason)
        }
        SandboxStatus::Requested
        | SandboxStatus::Starting
        | SandboxStatus::Asleep
        | SandboxStatus::Removing => Step::Wait(retry.pause()),
        // Whether its container runs is unknown until the next observation.
        SandboxStatus::Ready
        | SandboxStatus::Queued
        | SandboxStatus::Failed
        | SandboxStatus::Removed => Step::None,
    }
}

/// Whether a step brings a start further, and makes something for it.
pub const fn is_part_of_start(step: Step) -> bool {
    match step {
        Step::Begin
        | Step::ReservePort
        | Step::MintKey
        | Step::StartContainer
        | Step::StartOver(_) => true,
        Step::None
        | Step::Wait(_)
        | Step::MarkReady
        | Step::GiveUp(_)
        | Step::StopContainer
        | Step::ReleasePort
        | Step::Discard(_)
        | Step::Remove => false,
    }
}

/// Whether a step changes anything.
pub const fn changes(step: Step) -> bool {
    !matches!(step, Step::None | Step::Wait(_))
}

/// Whether others may get the sandbox's place, or its port, after this step.
pub const fn frees_a_place(step: Step) -> bool {
    matches!(
        step,
        Step::GiveUp(_) | Step::ReleasePort | Step::Discard(_) | Step::Remove
    )
}

/// Whether a step needs a permit, because it belongs to a start, of which few may be under way at the same time. A container
/// that has been starting for half of its limit needs none: it no longer waits for the CPU, and others must not wait for it.
pub fn needs_permit(
    step: Step,
    sandbox: &AnySandbox,
    timeouts: Timeouts,
    now: DateTime<Utc>,
) -> bool {
    match step {
        Step::Begin | Step::ReservePort | Step::MintKey | Step::StartContainer => true,
        Step::Wait(_) | Step::MarkReady => {
            !has_passed(sandbox.updated_at, timeouts.start_limit / 2, now)
        }
        Step::None
        | Step::StartOver(_)
        | Step::GiveUp(_)
        | Step::StopContainer
        | Step::ReleasePort
        | Step::Discard(_)
        | Step::Remove => false,
    }
}

/// Whether a requested sandbox pauses before its next start.
pub fn is_pausing<User>(sandbox: &Sandbox<User>, now: DateTime<Utc>) -> bool {
    sandbox.retry_at.is_some_and(|at| at > now)
}

/// The pause before a sandbox that is given up now is started again without a request.
pub fn retry_pause<User>(sandbox: &Sandbox<User>) -> Duration {
    RETRY_PAUSES.delay(sandbox.failures.saturating_add(1))
}

/// An engine that is away is no fault of the sandbox, so one that may have been ready before waits longer.
fn is_hopeless(
    sandbox: &AnySandbox,
    retry: &RetryState,
    timeouts: Timeouts,
    now: DateTime<Utc>,
) -> bool {
    let is_engine = match retry.reason {
        FailureReason::Engine | FailureReason::ImageMissing => true,
        FailureReason::NoFreePort
        | FailureReason::ModelKey
        | FailureReason::Exited
        | FailureReason::StartTimeout
        | FailureReason::NotApproved => false,
    };
    if is_engine && sandbox.start > 1 {
        let patience = ENGINE_PATIENCE.max(timeouts.start_limit);
        return has_passed(retry.since, patience, now);
    }
    retry.is_permanent || has_passed(retry.since, timeouts.start_limit, now)
}

const fn give_up(sandbox: &AnySandbox, reason: FailureReason) -> Step {
    if sandbox.user.is_none() {
        Step::Discard(reason)
    } else {
        Step::GiveUp(reason)
    }
}

fn when_asleep(sandbox: &AnySandbox, container: ContainerState) -> Step {
    match container {
        ContainerState::Absent if sandbox.port.is_some() => Step::ReleasePort,
        ContainerState::Absent => Step::None,
        ContainerState::Created | ContainerState::Running | ContainerState::Exited { .. } => {
            Step::StopContainer
        }
    }
}

fn when_ready(sandbox: &AnySandbox, observed: &Observed) -> Step {
    let reason = match observed.container {
        ContainerState::Running if observed.readiness == Readiness::Silent => {
            FailureReason::StartTimeout
        }
        ContainerState::Running => return Step::None,
        ContainerState::Absent | ContainerState::Created | ContainerState::Exited { .. } => {
            FailureReason::Exited
        }
    };
    match sandbox.failures.saturating_add(1) {
        _ if sandbox.user.is_none() => Step::Discard(reason),
        FAILURES_LIMIT.. => Step::GiveUp(reason),
        1 => Step::StartOver(Duration::ZERO),
        failures => Step::StartOver(RESTART_PAUSES.delay(failures - 1)),
    }
}

fn when_starting(
    sandbox: &AnySandbox,
    observed: &Observed,
    timeouts: Timeouts,
    now: DateTime<Utc>,
) -> Step {
    if sandbox.port.is_none() {
        return Step::ReservePort;
    }
    if sandbox.model_key_hash.is_none() {
        return Step::MintKey;
    }
    match observed.container {
        ContainerState::Absent | ContainerState::Created => Step::StartContainer,
        ContainerState::Exited { code, .. } => {
            let is_misconfigured = observed.starts > 0 && code == EXIT_CONFIGURATION;
            if is_misconfigured || observed.starts >= STARTS_LIMIT {
                Step::GiveUp(FailureReason::Exited)
            } else {
                Step::StartContainer
            }
        }
        ContainerState::Running => when_running(sandbox, observed.readiness, timeouts, now),
    }
}

/// The row was last changed when the container was started.
fn when_running(
    sandbox: &AnySandbox,
    readiness: Readiness,
    timeouts: Timeouts,
    now: DateTime<Utc>,
) -> Step {
    let is_late = has_passed(sandbox.updated_at, timeouts.start_limit, now);
    match readiness {
        Readiness::Ready => Step::MarkReady,
        Readiness::Rejected => Step::GiveUp(FailureReason::NotApproved),
        Readiness::NotReady | Readiness::Silent if is_late => {
            Step::GiveUp(FailureReason::StartTimeout)
        }
        Readiness::NotApproved if is_late => Step::GiveUp(FailureReason::NotApproved),
        Readiness::NotReady | Readiness::NotApproved | Readiness::Silent => {
            Step::Wait(timeouts.poll_pause)
        }
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
    fn each_state_of_a_starting_container_has_its_step() {
        use ContainerState::{Absent, Created, Exited, Running};
        use FailureReason::{Exited as ExitedEarly, NotApproved, StartTimeout};
        use Readiness::{NotApproved as Unapproved, NotReady, Ready, Rejected};
        use Step::{GiveUp, MarkReady, StartContainer};
        let exited = |code| Exited {
            code,
            out_of_memory: false,
        };
        let wait = Step::Wait(TIMEOUTS.poll_pause);
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
            let step = next_step(
                Hosting::Containers,
                &starting(),
                &observed,
                TIMEOUTS,
                at(seconds),
            );
            assert_eq!(step, expected, "{observed:?} after {seconds} s");
        }
    }

    #[test]
    fn a_container_is_started_only_with_a_port_and_a_model_key() {
        let without_port = AnySandbox {
            port: None,
            model_key_hash: None,
            ..starting()
        };
        let without_key = AnySandbox {
            model_key_hash: None,
            ..starting()
        };

        assert_eq!(step_for(&without_port), Step::ReservePort);
        assert_eq!(step_for(&without_key), Step::MintKey);
    }

    #[test]
    fn a_ready_sandbox_starts_over_if_its_container_or_its_openclaw_is_dead() {
        use ContainerState::{Absent, Created, Exited, Running};
        use FailureReason::{Exited as Ended, StartTimeout};
        use Readiness::{NotReady, Silent};
        let exited = Exited {
            code: 137,
            out_of_memory: false,
        };
        let over_in = |seconds| Step::StartOver(Duration::from_secs(seconds));
        let cases = [
            (Running, NotReady, 0, Step::None),
            (Running, NotReady, 4, Step::None),
            (Running, Silent, 0, over_in(0)),
            (Running, Silent, 4, Step::GiveUp(StartTimeout)),
            (Absent, NotReady, 0, over_in(0)),
            (Created, NotReady, 0, over_in(0)),
            (exited, NotReady, 0, over_in(0)),
            (exited, NotReady, 1, over_in(10)),
            (exited, NotReady, 2, over_in(20)),
            (exited, NotReady, 3, over_in(40)),
            (exited, NotReady, 4, Step::GiveUp(Ended)),
            (exited, NotReady, 99, Step::GiveUp(Ended)),
        ];
        for (container, readiness, failures, expected) in cases {
            let observed = Observed {
                container,
                readiness,
                starts: 0,
            };
            let ready = AnySandbox {
                failures,
                ..in_status(SandboxStatus::Ready)
            };
            let step = next_step(Hosting::Containers, &ready, &observed, TIMEOUTS, at(0));
            assert_eq!(step, expected, "{observed:?} after {failures} failures");
        }
    }

    #[test]
    fn a_spare_sandbox_that_fails_is_removed_and_not_started_again() {
        use ContainerState::{Absent, Running};
        use Readiness::{NotReady, Ready, Rejected, Silent};
        use SandboxStatus::{Ready as IsReady, Starting};
        let spare = |status| AnySandbox {
            user: None,
            ..in_status(status)
        };
        let step = |status, container, readiness, seconds| {
            let observed = Observed {
                container,
                readiness,
                starts: 1,
            };
            let spare = spare(status);
            next_step(
                Hosting::Containers,
                &spare,
                &observed,
                TIMEOUTS,
                at(seconds),
            )
        };

        assert_eq!(step(IsReady, Running, NotReady, 0), Step::None);
        assert_eq!(
            step(IsReady, Running, Silent, 0),
            Step::Discard(FailureReason::StartTimeout)
        );
        assert_eq!(
            step(IsReady, Absent, NotReady, 0),
            Step::Discard(FailureReason::Exited)
        );
        assert_eq!(step(Starting, Running, Ready, 0), Step::MarkReady);
        assert_eq!(
            step(Starting, Running, Rejected, 0),
            Step::Discard(FailureReason::NotApproved)
        );
        let retry = RetryState::first(FailureReason::ImageMissing, true, None, at(0));
        assert_eq!(
            step_after_failure(&spare(Starting), &retry, TIMEOUTS, at(0)),
            Step::Discard(FailureReason::ImageMissing)
        );
    }

    #[test]
    fn each_state_without_a_start_has_its_step() {
        use ContainerState::{Absent, Created, Exited, Running};
        use SandboxStatus::{Asleep, Failed, Queued, Removed, Removing, Requested};
        let exited = Exited {
            code: 0,
            out_of_memory: false,
        };
        let cases = [
            (Queued, Absent, Step::None),
            (Requested, Absent, Step::Begin),
            (Asleep, Running, Step::StopContainer),
            (Asleep, Created, Step::StopContainer),
            (Asleep, exited, Step::StopContainer),
            (Asleep, Absent, Step::ReleasePort),
            (Removing, Running, Step::Remove),
            (Removing, Absent, Step::Remove),
            (Removed, Absent, Step::None),
            (Failed, Absent, Step::None),
        ];
        for (status, container, expected) in cases {
            let observed = Observed {
                container,
                ..NOTHING
            };
            let step = next_step(
                Hosting::Containers,
                &in_status(status),
                &observed,
                TIMEOUTS,
                at(0),
            );
            assert_eq!(step, expected, "{status:?}, {container:?}");
        }
        let without_port = AnySandbox {
            port: None,
            ..in_status(Asleep)
        };
        assert_eq!(step_for(&without_port), Step::None);
    }

    #[test]
    fn a_requested_sandbox_begins_when_its_pause_ends() {
        let paused = AnySandbox {
            retry_at: Some(at(10)),
            ..in_status(SandboxStatus::Requested)
        };
        let step = |seconds| {
            next_step(
                Hosting::Containers,
                &paused,
                &NOTHING,
                TIMEOUTS,
                at(seconds),
            )
        };

        assert_eq!(step(9), Step::None);
        assert_eq!(step(10), Step::Begin);
    }

    #[test]
    fn a_failed_sandbox_is_tried_again_after_pauses_of_a_minute_to_an_hour() {
        let pause = |failures| {
            let row = AnySandbox {
                failures,
                ..starting()
            };
            retry_pause(&row).as_secs()
        };

        assert_eq!(
            [0, 1, 2, 5, 6, 99].map(pause),
            [60, 120, 240, 1_920, 3_600, 3_600]
        );
    }

    #[test]
    fn an_external_sandbox_is_ready_as_soon_as_it_is_requested() {
        let step = |status| {
            next_step(
                Hosting::External,
                &in_status(status),
                &NOTHING,
                TIMEOUTS,
                at(9_999),
            )
        };

        assert_eq!(step(SandboxStatus::Requested), Step::Begin);
        assert_eq!(step(SandboxStatus::Starting), Step::MarkReady);
        assert_eq!(step(SandboxStatus::Ready), Step::None);
    }

    #[test]
    fn failures_are_retried_for_as_long_as_a_start_may_last() {
        let retry = RetryState::first(FailureReason::Engine, false, None, at(0));
        let after = |seconds| step_after_failure(&starting(), &retry, TIMEOUTS, at(seconds));

        assert_eq!(after(179), Step::Wait(retry.pause()));
        assert_eq!(after(180), Step::GiveUp(FailureReason::Engine));
    }

    #[test]
    fn a_sandbox_with_a_volume_waits_longer_for_an_engine_that_is_away_or_an_image_that_is_missing()
    {
        let later = AnySandbox {
            start: 2,
            ..starting()
        };
        for (reason, is_permanent, limit) in [
            (FailureReason::Engine, false, 600),
            (FailureReason::ImageMissing, true, 600),
            (FailureReason::ModelKey, false, 180),
        ] {
            let retry = RetryState::first(reason, is_permanent, None, at(0));
            let after = |seconds| step_after_failure(&later, &retry, TIMEOUTS, at(seconds));

            assert_eq!(after(limit - 1), Step::Wait(retry.pause()), "{reason:?}");
            assert_eq!(after(limit), Step::GiveUp(reason), "{reason:?}");
        }
    }

    #[test]
    fn stopping_and_removing_are_tried_until_they_succeed() {
        let retry = RetryState::first(FailureReason::Engine, true, None, at(0));
        for status in [SandboxStatus::Asleep, SandboxStatus::Removing] {
            let step = step_after_failure(&in_status(status), &retry, TIMEOUTS, at(99_999));

            assert_eq!(step, Step::Wait(retry.pause()), "{status:?}");
        }
    }

    #[test]
    fn a_permanent_failure_gives_the_sandbox_up_at_once_unless_it_was_ready() {
        let retry = RetryState::first(FailureReason::ImageMissing, true, None, at(0));

        assert_eq!(
            step_after_failure(&starting(), &retry, TIMEOUTS, at(0)),
            Step::GiveUp(FailureReason::ImageMissing)
        );
        assert_eq!(
            step_after_failure(&in_status(SandboxStatus::Ready), &retry, TIMEOUTS, at(999)),
            Step::None
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

    fn step_for(sandbox: &AnySandbox) -> Step {
        next_step(Hosting::Containers, sandbox, &NOTHING, TIMEOUTS, at(0))
    }

    fn starting() -> AnySandbox {
        in_status(SandboxStatus::Starting)
    }

    fn in_status(status: SandboxStatus) -> AnySandbox {
        AnySandbox {
            id: SandboxId::derived_from("s"),
            user: Some(claw_testkit::user("u")),
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
