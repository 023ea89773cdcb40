use std::sync::Arc;

use async_trait::async_trait;
use claw_bus::{Attempt, Handler, HandlerError};
use claw_events::SandboxRequested;

use crate::Provisioner;

/// Handles requests for sandboxes. A request is acknowledged once its sandbox is ready, queued or failed and this
/// was published, or its user is suspended; after a crash the request is redelivered, and the work goes on from the row.
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
        self.provisioner.request(requested).await?;
        if self.provisioner.suspensions.is_suspended(requested.user) {
            // The row is enough: after the suspension the reconciler drives it.
            return Ok(());
        }
        if self
            .provisioner
            .drive(requested.user, &attempt.stop)
            .await?
        {
            Ok(())
        } else {
            Err(HandlerError::retry(anyhow::anyhow!(
                "stopped before the sandbox was ready"
            )))
        }
    }
}
