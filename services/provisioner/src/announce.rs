use claw_domain::{FailureReason, SandboxStatus};
use claw_events::{OperatorEvent, SandboxAsleep, SandboxFailed, SandboxQueued, SandboxReady};
use claw_store::AnySandbox;

use crate::{fault::Fault, provision::Provisioner};

impl Provisioner {
    /// Publishes that a user's sandbox is ready, failed, asleep or queued. May be repeated.
    pub(crate) async fn announce(&self, sandbox: &AnySandbox) -> Result<(), Fault> {
        let (id, start) = (sandbox.id, sandbox.start);
        let Some(user) = sandbox.user else {
            return Ok(());
        };
        match (sandbox.status, sandbox.cause) {
            (SandboxStatus::Ready, _) => {
                let ready = SandboxReady {
                    user,
                    sandbox: id,
                    start,
                };
                self.publisher.publish(&ready).await?;
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
                let event = OperatorEvent::SandboxFailed {
                    user,
                    sandbox: id,
                    reason,
                };
                self.publisher.tell_operator(&event).await;
            }
            (SandboxStatus::Asleep, _) => {
                let asleep = SandboxAsleep {
                    user,
                    sandbox: id,
                    start,
                };
                self.publisher.publish(&asleep).await?;
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
                | SandboxStatus::Removing
                | SandboxStatus::Removed,
                _,
            ) => {}
        }
        Ok(())
    }
}
