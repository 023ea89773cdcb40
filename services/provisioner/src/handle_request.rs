use std::sync::Arc;

use async_trait::async_trait;
use claw_bus::{Attempt, Handler, HandlerError};
use claw_events::SandboxRequested;

use crate::Provisioner;

/// Handles requests for sandboxes. A request is acknowledged once its sandbox is ready, queued or failed and this
/// was published; after a crash the request is redelivered, and the work goes on from the row.
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
