//! What to do next about a sandbox. Pure: the row, what was seen outside, and the time go in.

use std::time::Duration;

use chrono::{DateTime, Utc};
use claw_docker::ContainerState;
use claw_domain::{FailureReason, SandboxStatus};
use claw_store::Sandbox;

use crate::{door::Door, trouble::Trouble};

/// The exit code of a container that was given settings it cannot use (sysexits.h).
const EXIT_CONFIGURATION: i64 = 78;

/// How often a container that exits while it starts is started, in all. A second time, because an
/// engine that was killed leaves containers exited that would have come up.
const STARTS_LIMIT: u32 = 2;

/// The next thing to do about a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing but saying what it came to: it waits for room, answers, failed or was removed.
    Rest,
    /// Write down that things are about to be made for it.
    Begin,
    /// Give it a port of this host.
    ReservePort,
    /// Make its model key.
    MintKey,
    /// Make and start its container, or start it again.
    StartContainer,
    /// Look again after this pause.
    Wait(Duration),
    /// Write down that it answers.
    MarkReady,
    /// It answered once and its container is gone: start over, keeping what it knows.
    StartOver,
    /// Take down what was made for it, and write down why.
    GiveUp(FailureReason),
}

impl Step {
    /// The name used in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Begin => "begin",
            Self::ReservePort => "reserve_port",
            Self::MintKey => "mint_key",
            Self::StartContainer => "start_container",
            Self::Wait(_) => "wait",
            Self::MarkReady => "mark_ready",
            Self::StartOver => "start_over",
            Self::GiveUp(_) => "give_up",
        }
    }
}

/// What was seen of a sandbox outside its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observed {
    /// Its container.
    pub container: ContainerState,
    /// Its gateway; [`Door::Silent`] while the container does not run.
    pub door: Door,
    /// How often its container was started since somebody took it up.
    pub starts: u32,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From a container's start until it lets us in; and how long trouble may last.
    pub start_limit: Duration,
    /// Between two looks at a container that is starting.
    pub poll_pause: Duration,
}

/// Where sandboxes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hosting {
    /// We make their containers and keys.
    Containers,
    /// Somebody else runs them, always.
    Elsewhere,
}

/// Decides what to do next.
pub fn next_step(
    hosting: Hosting,
    sandbox: &Sandbox,
    observed: &Observed,
    patience: Patience,
    now: DateTime<Utc>,
) -> Step {
    match (sandbox.status, hosting) {
        (SandboxStatus::Queued | SandboxStatus::Failed | SandboxStatus::Removed, _)
        | (SandboxStatus::Ready, Hosting::Elsewhere) => Step::Rest,
        (SandboxStatus::Requested, _) => Step::Begin,
        (SandboxStatus::Starting, Hosting::Elsewhere) => Step::MarkReady,
        (SandboxStatus::Starting, Hosting::Containers) => {
            when_starting(sandbox, observed, patience, now)
        }
        (SandboxStatus::Ready, Hosting::Containers) => when_ready(observed.container),
    }
}

/// Decides what to do after a step, or a look, did not work.
pub fn after_trouble(
    sandbox: &Sandbox,
    trouble: &Trouble,
    patience: Patience,
    now: DateTime<Utc>,
) -> Step {
    let is_over = trouble.is_permanent || has_passed(trouble.since, patience.start_limit, now);
    match sandbox.status {
        SandboxStatus::Requested | SandboxStatus::Starting if is_over => {
            Step::GiveUp(trouble.reason)
        }
        SandboxStatus::Requested | SandboxStatus::Starting => Step::Wait(trouble.pause()),
        // Whether its container runs is not known. The next look will tell.
        SandboxStatus::Ready
        | SandboxStatus::Queued
        | SandboxStatus::Failed
        | SandboxStatus::Removed => Step::Rest,
    }
}

fn when_ready(container: ContainerState) -> Step {
    match container {
        ContainerState::Running => Step::Rest,
        ContainerState::Absent | ContainerState::Created | ContainerState::Exited { .. } => {
            Step::StartOver
        }
    }
}

fn when_starting(
    sandbox: &Sandbox,
    observed: &Observed,
    patience: Patience,
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
        ContainerState::Running => when_running(sandbox, observed.door, patience, now),
    }
}

/// The row was last written when the container was started.
fn when_running(sandbox: &Sandbox, door: Door, patience: Patience, now: DateTime<Utc>) -> Step {
    let is_late = has_passed(sandbox.updated_at, patience.start_limit, now);
    match door {
        Door::Open => Step::MarkReady,
        Door::Barred => Step::GiveUp(FailureReason::NotApproved),
        Door::Silent if is_late => Step::GiveUp(FailureReason::StartTimeout),
        Door::Unapproved if is_late => Step::GiveUp(FailureReason::NotApproved),
        Door::Silent | Door::Unapproved => Step::Wait(patience.poll_pause),
    }
}

fn has_passed(since: DateTime<Utc>, limit: Duration, now: DateTime<Utc>) -> bool {
    (now - since).to_std().is_ok_and(|passed| passed >= limit)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use claw_domain::{SandboxId, UserId};

    use super::*;

    #[test]
    fn each_state_of_a_container_has_its_next_step() {
        use ContainerState::{Absent, Created, Exited, Running};
        use FailureReason::{Exited as ExitedEarly, NotApproved, StartTimeout};
        let exited = |code| Exited {
            code,
            out_of_memory: false,
        };
        let wait = Step::Wait(PATIENCE.poll_pause);
        let cases = [
            (Absent, Door::Silent, 0, 0, Step::StartContainer),
            (Created, Door::Silent, 1, 0, Step::StartContainer),
            (exited(0), Door::Silent, 0, 0, Step::StartContainer),
            (exited(78), Door::Silent, 0, 0, Step::StartContainer),
            (exited(137), Door::Silent, 1, 0, Step::StartContainer),
            (exited(78), Door::Silent, 1, 0, Step::GiveUp(ExitedEarly)),
            (exited(137), Door::Silent, 2, 0, Step::GiveUp(ExitedEarly)),
            (Running, Door::Silent, 1, 0, wait),
            (Running, Door::Silent, 1, 179, wait),
            (Running, Door::Silent, 1, 180, Step::GiveUp(StartTimeout)),
            (Running, Door::Unapproved, 1, 0, wait),
            (Running, Door::Unapproved, 1, 180, Step::GiveUp(NotApproved)),
            (Running, Door::Barred, 1, 0, Step::GiveUp(NotApproved)),
            (Running, Door::Open, 1, 0, Step::MarkReady),
            (Running, Door::Open, 1, 9_999, Step::MarkReady),
        ];
        for (container, door, starts, seconds, expected) in cases {
            let observed = Observed {
                container,
                door,
                starts,
            };
            let step = next_step(
                Hosting::Containers,
                &starting(),
                &observed,
                PATIENCE,
                at(seconds),
            );
            assert_eq!(step, expected, "{observed:?} after {seconds} s");
        }
    }

    #[test]
    fn nothing_is_made_outside_before_port_and_key_are_there() {
        let without_port = Sandbox {
            port: None,
            model_key_hash: None,
            ..starting()
        };
        let without_key = Sandbox {
            model_key_hash: None,
            ..starting()
        };

        assert_eq!(step_of(&without_port), Step::ReservePort);
        assert_eq!(step_of(&without_key), Step::MintKey);
    }

    #[test]
    fn a_sandbox_that_was_ready_starts_over_when_its_container_is_gone() {
        let ready = in_status(SandboxStatus::Ready);
        let running = Observed {
            container: ContainerState::Running,
            ..NOTHING
        };

        assert_eq!(step_of(&ready), Step::StartOver);
        assert_eq!(
            next_step(Hosting::Containers, &ready, &running, PATIENCE, at(0)),
            Step::Rest
        );
    }

    #[test]
    fn what_waits_for_room_failed_or_was_removed_is_left_alone() {
        for status in [
            SandboxStatus::Queued,
            SandboxStatus::Failed,
            SandboxStatus::Removed,
        ] {
            assert_eq!(step_of(&in_status(status)), Step::Rest, "{status:?}");
        }
        assert_eq!(step_of(&in_status(SandboxStatus::Requested)), Step::Begin);
    }

    #[test]
    fn a_sandbox_somebody_else_runs_is_ready_as_soon_as_it_is_asked_for() {
        let step = |status| {
            next_step(
                Hosting::Elsewhere,
                &in_status(status),
                &NOTHING,
                PATIENCE,
                at(9_999),
            )
        };

        assert_eq!(step(SandboxStatus::Requested), Step::Begin);
        assert_eq!(step(SandboxStatus::Starting), Step::MarkReady);
        assert_eq!(step(SandboxStatus::Ready), Step::Rest);
    }

    #[test]
    fn trouble_is_waited_out_until_it_lasts_as_long_as_a_start_may() {
        let trouble = Trouble::first(FailureReason::Engine, false, None, at(0));
        let after = |seconds| after_trouble(&starting(), &trouble, PATIENCE, at(seconds));

        assert_eq!(after(179), Step::Wait(trouble.pause()));
        assert_eq!(after(180), Step::GiveUp(FailureReason::Engine));
    }

    #[test]
    fn permanent_trouble_is_given_up_at_once_but_never_what_was_ready() {
        let trouble = Trouble::first(FailureReason::ImageMissing, true, None, at(0));

        assert_eq!(
            after_trouble(&starting(), &trouble, PATIENCE, at(0)),
            Step::GiveUp(FailureReason::ImageMissing)
        );
        assert_eq!(
            after_trouble(
                &in_status(SandboxStatus::Ready),
                &trouble,
                PATIENCE,
                at(999)
            ),
            Step::Rest
        );
    }

    const PATIENCE: Patience = Patience {
        start_limit: Duration::from_mins(3),
        poll_pause: Duration::from_millis(500),
    };
    const NOTHING: Observed = Observed {
        container: ContainerState::Absent,
        door: Door::Silent,
        starts: 0,
    };

    fn step_of(sandbox: &Sandbox) -> Step {
        next_step(Hosting::Containers, sandbox, &NOTHING, PATIENCE, at(0))
    }

    fn starting() -> Sandbox {
        in_status(SandboxStatus::Starting)
    }

    fn in_status(status: SandboxStatus) -> Sandbox {
        Sandbox {
            id: SandboxId::derived_from("s"),
            user: UserId::derived_from("u"),
            status,
            endpoint: None,
            port: Some(30_000),
            model: "openrouter/auto".to_owned(),
            failure: None,
            start: 1,
            model_key_hash: Some("hash".to_owned()),
            model_key_name: None,
            transcript: None,
            cause: None,
            updated_at: at(0),
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }
}
