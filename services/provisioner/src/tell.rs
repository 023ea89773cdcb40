use claw_domain::{FailureReason, SandboxStatus};
use claw_events::{SandboxFailed, SandboxQueued, SandboxReady};
use claw_store::Sandbox;
use metrics::{counter, histogram};

use crate::{Fault, Provisioner, provision::Turn};

/// What others hear of it.
impl Provisioner {
    /// Says what the sandbox came to. Saying it again is harmless.
    pub(crate) async fn tell(&self, sandbox: &Sandbox) -> Result<(), Fault> {
        let Sandbox {
            user, id, start, ..
        } = *sandbox;
        match (sandbox.status, sandbox.cause) {
            (SandboxStatus::Ready, _) => {
                self.publisher
                    .publish(&SandboxReady {
                        user,
                        sandbox: id,
                        start,
                    })
                    .await?;
            }
            (SandboxStatus::Failed, _) => {
                let reason = sandbox.failure.unwrap_or(FailureReason::Engine);
                let failed = SandboxFailed {
                    user,
                    sandbox: id,
                    reason,
                    start,
                };
                self.publisher.publish(&failed).await?;
            }
            (SandboxStatus::Queued, Some(cause)) => {
                self.publisher
                    .publish(&SandboxQueued { user, cause })
                    .await?;
            }
            (
                SandboxStatus::Queued
                | SandboxStatus::Requested
                | SandboxStatus::Starting
                | SandboxStatus::Removed,
                _,
            ) => {}
        }
        Ok(())
    }
}

/// Counts a start that ended, if there was one.
pub(crate) fn count(sandbox: &Sandbox, turn: Option<Turn>) {
    let Some(turn) = turn else { return };
    let outcome = sandbox
        .failure
        .map_or(sandbox.status.as_str(), FailureReason::as_str);
    counter!("claw_sandbox_starts_total", "outcome" => outcome).increment(1);
    if sandbox.status == SandboxStatus::Ready {
        histogram!("claw_sandbox_start_seconds").record(turn.began.elapsed());
    }
}
