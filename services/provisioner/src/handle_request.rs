//! Answers people's need for an assistant.

use std::sync::Arc;

use async_trait::async_trait;
use claw_bus::{Attempt, Handler, HandlerError};
use claw_events::SandboxRequested;

use crate::Provisioner;

/// Gives whoever asks a sandbox. Acknowledged only when it is ready, queued or failed, and that was
/// said; a crash before means that the request comes again and finds how far it got.
pub struct HandleRequest {
    provisioner: Arc<Provisioner>,
}

impl HandleRequest {
    /// Works through `provisioner`.
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
