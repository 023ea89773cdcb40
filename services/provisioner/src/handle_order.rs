use std::{sync::Arc, time::Duration};

use anyhow::anyhow;
use async_trait::async_trait;
use claw_bus::{Attempt, Handler, HandlerError};
use claw_domain::SandboxStatus;
use claw_events::{SandboxOrder, SandboxOrdered};
use claw_store::{Sandbox, SandboxStart};
use tracing::{info, warn};

use crate::{Backend, Fault, Provisioner};

/// How long an order waits that a provisioner at another engine must handle. Orders are few, and nobody repeats them.
const ELSEWHERE_PAUSE: Duration = Duration::from_secs(30);

/// Handles the orders of operators. An order is acknowledged once it is in the row; the reconciler carries it out. An order
/// that was carried out before changes nothing, even if the sandbox has started or was removed since.
pub struct HandleOrder {
    provisioner: Arc<Provisioner>,
}

impl HandleOrder {
    /// A handler that works through `provisioner`.
    pub const fn new(provisioner: Arc<Provisioner>) -> Self {
        Self { provisioner }
    }
}

#[async_trait]
impl Handler for HandleOrder {
    type Event = SandboxOrdered;

    async fn handle(&self, ordered: &SandboxOrdered, _: &Attempt) -> Result<(), HandlerError> {
        let provisioner = &self.provisioner;
        let Some(sandbox) = provisioner.sandboxes.of_user(ordered.user).await? else {
            return Ok(());
        };
        if provisioner.is_elsewhere(&sandbox).await? {
            let source = anyhow!("another container engine has the sandbox");
            return Err(HandlerError::retry_after(source, ELSEWHERE_PAUSE));
        }
        let is_changed = provisioner.carry_out(&sandbox, ordered).await?;
        if is_changed {
            info!(
                sandbox.id = %sandbox.id,
                "sandbox {}: {} by order of an operator", sandbox.id, ordered.order.as_str()
            );
            provisioner.rows_changed.notify_one();
        } else if ordered.order != SandboxOrder::Sleep {
            info!(
                sandbox.id = %sandbox.id,
                "sandbox {}: there is nothing to {} by order of an operator", sandbox.id, ordered.order.as_str()
            );
        }
        Ok(())
    }
}

impl Provisioner {
    /// Stores the order; returns whether there is anything to do.
    async fn carry_out(&self, sandbox: &Sandbox, ordered: &SandboxOrdered) -> Result<bool, Fault> {
        let (cap, now) = (self.places(), self.clock.now());
        let start = SandboxStart {
            sandbox: sandbox.id,
            start: ordered.start,
        };
        let host = self.host().await?;
        let is_changed = match ordered.order {
            SandboxOrder::Restart => return self.restart(sandbox, start).await,
            SandboxOrder::Wake => self.sandboxes.order_wake(start, &host, cap, now).await?,
            SandboxOrder::Remove => self.sandboxes.order_removal(start, &host, now).await?,
            // The gateway hears the order, and says when the sandbox is idle.
            SandboxOrder::Sleep => false,
        };
        Ok(is_changed)
    }

    /// Begins the next start. A container that runs is stopped gracefully before the next one may start.
    async fn restart(&self, sandbox: &Sandbox, start: SandboxStart) -> Result<bool, Fault> {
        let cap = self.places();
        let lock = self.lock_of(sandbox.id);
        let is_ready = sandbox.status == SandboxStatus::Ready;
        let _guard = if is_ready {
            Some(lock.lock().await)
        } else {
            None
        };
        let host = self.host().await?;
        let now = self.clock.now();
        let is_changed = self.sandboxes.order_restart(start, &host, cap, now).await?;
        if let (true, Backend::Containers(containers)) = (is_changed && is_ready, &self.backend)
            && let Err(fault) = containers.stop(sandbox).await
        {
            warn!(
                error = &fault as &dyn std::error::Error,
                sandbox.id = %sandbox.id,
                "the container of sandbox {} could not be stopped gracefully: its next start kills it", sandbox.id
            );
        }
        Ok(is_changed)
    }
}
