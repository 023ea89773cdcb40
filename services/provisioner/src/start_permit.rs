use claw_domain::{FailureReason, SandboxStatus};
use claw_store::Sandbox;
use metrics::{counter, histogram};
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
        counter!("claw_sandbox_starts_total", "outcome" => outcome).increment(1);
        if sandbox.status == SandboxStatus::Ready {
            histogram!("claw_sandbox_start_seconds").record(self.granted_at.elapsed());
        }
    }
}
