use std::sync::Arc;

use anyhow::anyhow;
use async_trait::async_trait;
use claw_bus::{Attempt, Handler, HandlerError};
use claw_domain::{SandboxId, SandboxStatus};
use claw_events::SandboxRequested;

use crate::{Provisioner, start_queue::StartClass};

/// Handles requests for sandboxes. A request is acknowledged once its sandbox is ready, queued or failed and this
/// was published, or pauses after failures, or is at another engine, or its user is suspended; after a crash the request is
/// redelivered, and the work goes on from the row. A request for a sandbox that is being removed begins a new one afterwards.
pub struct HandleRequest {
    provisioner: Arc<Provisioner>,
}

impl HandleRequest {
    /// A handler that works through `provisioner`.
    pub const fn new(provisioner: Arc<Provisioner>) -> Self {
        Self { provisioner }
    }
}

#[async_trait]
impl Handler for HandleRequest {
    type Event = SandboxRequested;

    async fn handle(
        &self,
        requested: &SandboxRequested,
        attempt: &Attempt,
    ) -> Result<(), HandlerError> {
        let provisioner = &self.provisioner;
        let mut sandbox = provisioner.request(requested).await?;
        if provisioner.is_elsewhere(&sandbox).await? {
            // The gateway requests again while somebody waits. Kept, the requests for a lost engine would fill the consumer,
            // and nobody could be served.
            return Ok(());
        }
        if sandbox.status == SandboxStatus::Removing {
            drive(provisioner, sandbox.id, attempt).await?;
            sandbox = provisioner.request(requested).await?;
        }
        if provisioner.suspensions.is_suspended(requested.user) {
            // The row is enough: after the suspension the reconciler drives it.
            return Ok(());
        }
        if sandbox.start > 1 {
            provisioner.permits.raise(sandbox.id, StartClass::Awaited);
        }
        drive(provisioner, sandbox.id, attempt).await
    }

    /// The row is enough: the reconciler drives it, unless it is ready already.
    async fn given_up(&self, requested: &SandboxRequested) -> Result<(), HandlerError> {
        let sandbox = self.provisioner.request(requested).await?;
        if sandbox.status == SandboxStatus::Ready {
            self.provisioner.announce(&sandbox.into()).await?;
        }
        Ok(())
    }
}

/// Drives a sandbox until nothing is left to do for now.
pub(crate) async fn drive(
    provisioner: &Provisioner,
    sandbox: SandboxId,
    attempt: &Attempt,
) -> Result<(), HandlerError> {
    if provisioner.drive(sandbox, &attempt.stop).await? {
        Ok(())
    } else {
        Err(HandlerError::retry(anyhow!(
            "stopped before the sandbox was where it should be"
        )))
    }
}
