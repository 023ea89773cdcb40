use std::time::Duration;

use claw_domain::SandboxStatus;
use claw_store::Sandbox;
use tokio::time::Instant;

use crate::words::Notice;

/// How long news is waited for before looking anyway: news can get lost with a connection.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// How long after a failed set-up the next one is asked for.
const TRY_AGAIN_AFTER: Duration = Duration::from_mins(1);

/// What a person was told about their sandbox while they wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told {
    pub(crate) notice: Notice,
    /// Since when that is so.
    pub(crate) since: Instant,
    /// When to look at its row again, news or not.
    pub(crate) look_at: Instant,
}

/// What a look at a sandbox's row asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Need {
    /// Tell the person.
    pub(crate) tell: Notice,
    /// Ask the provisioner.
    pub(crate) ask: Ask,
}

/// When, and as which attempt, to ask the provisioner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    /// At once; repetitions are found out by their id.
    Now(u32),
    /// When nothing was heard for a while: what just failed would fail again.
    Later(u32),
}

/// Decides by the row alone; `None` when it is ready.
pub(crate) fn need(sandbox: Option<&Sandbox>, is_new_here: bool) -> Option<Need> {
    let waiting = |tell| Need {
        tell,
        ask: Ask::Now(0),
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
        SandboxStatus::Removed => Some(Need {
            tell: setting_up,
            ask: Ask::Now(sandbox.start.max(1)),
        }),
        SandboxStatus::Queued => Some(waiting(Notice::NoRoom)),
        SandboxStatus::Failed => Some(Need {
            tell: Notice::SetupTrouble,
            ask: Ask::Later(sandbox.start.max(1)),
        }),
    }
}

impl Ask {
    /// How long to wait for news.
    pub(crate) const fn patience(self) -> Duration {
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
    fn somebody_without_a_sandbox_is_told_once_and_asked_for_at_once() {
        assert_eq!(
            need(None, true),
            Some(Need {
                tell: Notice::SettingUp,
                ask: Ask::Now(0)
            })
        );
        assert_eq!(
            need(None, false).map(|need| need.tell),
            Some(Notice::WakingUp)
        );
    }
}
