use std::time::Duration;

use anyhow::anyhow;
use claw_bus::{Attempt, HandlerError, Publisher};
use claw_domain::{MessageId, SandboxStatus, UserId};
use claw_events::SandboxRequested;
use claw_store::{Sandbox, Store};
use tokio::time::sleep;

use crate::{nudges::Nudges, tell::Teller, words::Notice};

/// How long news is waited for before looking anyway: news can get lost with a connection.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// How long after a failed set-up the next one is asked for.
const TRY_AGAIN_AFTER: Duration = Duration::from_mins(1);

/// Waits with a message until its person's sandbox is ready.
pub(crate) struct Setup<'a> {
    pub(crate) store: &'a Store,
    pub(crate) publisher: &'a Publisher,
    pub(crate) nudges: &'a Nudges,
}

/// What a look at a sandbox's row asks for.
#[derive(Debug, PartialEq, Eq)]
struct Need {
    /// Tell the person.
    tell: Notice,
    /// Ask the provisioner.
    ask: Ask,
}

/// When, and as which attempt, to ask the provisioner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    /// At once; repetitions are found out by their id.
    Now(u32),
    /// When nothing was heard for a while: what just failed would fail again.
    Later(u32),
}

/// Decides by the row alone; `None` when it is ready.
fn need(sandbox: Option<&Sandbox>, is_new_here: bool) -> Option<Need> {
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

impl Setup<'_> {
    /// Returns the sandbox once it is ready. `seen` is what the database said a moment ago.
    pub(crate) async fn ready_sandbox(
        &self,
        (user, cause): (UserId, MessageId),
        (seen, is_new_here): (Option<Sandbox>, bool),
        attempt: &Attempt,
        teller: &Teller<'_>,
    ) -> Result<Sandbox, HandlerError> {
        let listener = self.nudges.listen(user);
        let mut sandbox = seen;
        let mut told = None;
        loop {
            let Some(need) = need(sandbox.as_ref(), is_new_here) else {
                return sandbox.ok_or_else(|| HandlerError::reject(anyhow!("ready without a row")));
            };
            if told != Some(need.tell) {
                teller.tell(need.tell).await?;
                told = Some(need.tell);
            }
            if let Ask::Now(number) = need.ask {
                self.ask(user, cause, number).await?;
            }
            tokio::select! {
                () = listener.news() => {}
                () = sleep(need.ask.patience()) => if let Ask::Later(number) = need.ask {
                    self.ask(user, cause, number).await?;
                },
                () = attempt.stop.cancelled() => {
                    return Err(HandlerError::retry(anyhow!("stopping while a sandbox is set up")));
                }
            }
            sandbox = self.store.sandboxes().of_user(user).await?;
        }
    }

    async fn ask(&self, user: UserId, cause: MessageId, attempt: u32) -> Result<(), HandlerError> {
        let request = SandboxRequested {
            user,
            cause,
            attempt,
        };
        self.publisher.publish(&request).await?;
        Ok(())
    }
}

impl Ask {
    fn patience(self) -> Duration {
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
