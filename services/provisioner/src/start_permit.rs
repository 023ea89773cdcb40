use claw_domain::{FailureReason, SandboxStatus};
use claw_metrics::{SANDBOX_START_DURATION, SANDBOX_STARTS};
use claw_store::Sandbox;
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

/// The right to start a sandbox, of which there are few at a time. It lasts until it is dropped.
pub(crate) struct StartPermit {
    granted_at: Instant,
    _permit: OwnedSemaphorePermit,
}

impl StartPermit {
    pub(crate) fn new(permit: OwnedSemaphorePermit) -> Self {
        Self {
            granted_at: Instant::now(),
            _permit: permit,
        }
    }

    /// Returns the permit, and counts the start with its outcome and its duration.
    pub(crate) fn finish(self, sandbox: &Sandbox) {
        let outcome = sandbox
            .failure
            .map_or(sandbox.status.as_str(), FailureReason::as_str);
        SANDBOX_STARTS.increment([outcome]);
        if sandbox.status == SandboxStatus::Ready {
            SANDBOX_START_DURATION.observe(self.granted_at.elapsed(), []);
        }
    }
}
