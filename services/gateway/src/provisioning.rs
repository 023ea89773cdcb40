use std::time::Duration;

use claw_chat::Notice;
use claw_domain::SandboxStatus;
use claw_store::Sandbox;
use tokio::time::Instant;

/// How long an event is waited for before the sandbox's row is read anyway: events can get lost with a
/// connection.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// How long a newcomer waits before they are told that their assistant is being set up.
const TELL_NEWCOMERS_AFTER: Duration = Duration::from_millis(600);

/// How long after a failed set-up the next one is requested.
const TRY_AGAIN_AFTER: Duration = Duration::from_mins(1);

/// The notice a user was given while they wait for their sandbox.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SetupNotice {
    pub(crate) notice: Notice,
    /// When the notice began to apply.
    pub(crate) since: Instant,
    /// When the user began to wait.
    pub(crate) waiting_since: Instant,
    /// When the user is given the notice, if it still applies.
    pub(crate) tell_at: Instant,
    /// When to read the sandbox's row again, with or without an event.
    pub(crate) look_at: Instant,
    /// The attempt under which the sandbox was last requested.
    pub(crate) requested: Option<u32>,
}

/// The next step for a sandbox that is not ready.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SetupStep {
    /// Give the user this notice.
    pub(crate) notice: Notice,
    /// Request the sandbox from the provisioner.
    pub(crate) request: Request,
}

/// When to request a sandbox from the provisioner, and under which attempt number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Request {
    /// At once. A repeated request has the same id and is ignored.
    Now(u32),
    /// After [`TRY_AGAIN_AFTER`] without an event: a set-up that just failed would fail again.
    Later(u32),
}

/// Decides from the sandbox's row what to do next; `None` if the sandbox is ready.
pub(crate) fn setup_step(sandbox: Option<&Sandbox>, is_new_here: bool) -> Option<SetupStep> {
    let waiting = |notice| SetupStep {
        notice,
        request: Request::Now(0),
    };
    let setting_up = if is_new_here {
        Notice::SettingUp
    } else {
        Notice::WakingUp
    };
    let Some(sandbox) = sandbox else {
        return Some(waiting(setting_up));
    };
    match sandbox.status {
        SandboxStatus::Ready => None,
        SandboxStatus::Requested | SandboxStatus::Starting => Some(waiting(setting_up)),
        // The provisioner starts a new sandbox when it has removed the old one.
        SandboxStatus::Asleep | SandboxStatus::Removing | SandboxStatus::Removed => {
            Some(SetupStep {
                notice: setting_up,
                request: Request::Now(sandbox.start.max(1)),
            })
        }
        SandboxStatus::Queued => Some(waiting(Notice::NoRoom)),
        SandboxStatus::Failed => Some(SetupStep {
            notice: Notice::SetupTrouble,
            request: Request::Later(sandbox.start.max(1)),
        }),
    }
}

impl SetupStep {
    /// How long the notice has to apply before the user is given it; `still_waking_after` is the operator's setting.
    pub(crate) fn tell_after(&self, still_waking_after: Duration) -> Duration {
        if self.notice == Notice::SettingUp {
            TELL_NEWCOMERS_AFTER
        } else if self.notice == Notice::WakingUp {
            still_waking_after
        } else {
            Duration::ZERO
        }
    }
}

impl Request {
    /// How long to wait for an event before the row is read again.
    pub(crate) const fn wait(self) -> Duration {
        match self {
            Self::Now(_) => LOOK_AGAIN_AFTER,
            Self::Later(_) => TRY_AGAIN_AFTER,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_without_a_sandbox_gets_a_notice_and_the_sandbox_is_requested_at_once() {
        assert_eq!(
            setup_step(None, true),
            Some(SetupStep {
                notice: Notice::SettingUp,
                request: Request::Now(0)
            })
        );
        assert_eq!(
            setup_step(None, false).map(|step| step.notice),
            Some(Notice::WakingUp)
        );
    }

    #[test]
    fn a_newcomer_is_told_within_a_second_and_a_user_whose_sandbox_wakes_only_if_that_takes_long() {
        let still_waking_after = Duration::from_secs(20);
        let told_after = |is_new_here| {
            let step = setup_step(None, is_new_here).unwrap();
            step.tell_after(still_waking_after)
        };

        assert!(told_after(true) < Duration::from_secs(1));
        assert_eq!(told_after(false), still_waking_after);
    }
}
