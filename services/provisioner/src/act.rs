use claw_domain::FailureReason;
use claw_store::Sandbox;
use tracing::{debug, info, warn};

use crate::{Action, Backend, Fault, Progress, Provisioner};

impl Provisioner {
    /// Takes an action: it stores the intent, has the effect, and stores the result. May be repeated, also with
    /// a row that has changed since.
    pub async fn act(&self, sandbox: &Sandbox, action: Action) -> Result<Progress, Fault> {
        debug!(sandbox.id = %sandbox.id, "sandbox {}: {action:?}", sandbox.id);
        let (start, now) = (sandbox.current_start(), self.clock.now());
        match (action, &self.backend) {
            (Action::None, _) => return Ok(Progress::Done),
            (Action::Wait(pause), _) => return Ok(Progress::Wait(pause)),
            (Action::Begin, _) => {
                self.sandboxes.mark_starting(start, now).await?;
            }
            (Action::ReservePort, Backend::Containers(containers)) => {
                containers.reserve_port(sandbox).await?;
            }
            (Action::MintKey, Backend::Containers(containers)) => {
                containers.mint_key(sandbox).await?;
                self.align_new_key(containers, sandbox).await;
            }
            (Action::StartContainer, Backend::Containers(containers)) => {
                containers.start_container(sandbox).await?;
            }
            (Action::MarkReady, backend) => self.mark_ready(sandbox, backend).await?,
            (Action::StartOver, _) => {
                warn!(
                    sandbox.id = %sandbox.id,
                    "the container of sandbox {} does not run: the sandbox starts over", sandbox.id
                );
                self.sandboxes.start_over(start, now).await?;
            }
            (Action::GiveUp(reason), _) => self.give_up(sandbox, reason).await?,
            (
                Action::ReservePort | Action::MintKey | Action::StartContainer,
                Backend::External { .. },
            ) => {}
        }
        Ok(Progress::Advanced)
    }

    async fn mark_ready(&self, sandbox: &Sandbox, backend: &Backend) -> Result<(), Fault> {
        let endpoint = match (backend, sandbox.port) {
            (Backend::External { addresses, .. }, _) => {
                addresses.endpoint(sandbox.id, sandbox.user)
            }
            (Backend::Containers(containers), Some(port)) => containers.endpoint(port),
            (Backend::Containers(_), None) => return Ok(()),
        };
        let (start, now) = (sandbox.current_start(), self.clock.now());
        if self.sandboxes.mark_ready(start, &endpoint, now).await? {
            info!(sandbox.id = %sandbox.id, "sandbox {} is ready", sandbox.id);
        }
        Ok(())
    }

    /// Removes what was made, then stores the reason. The key is revoked last: the row is marked as failed only
    /// after the container is gone, and the reconciler revokes a key that a crash leaves.
    async fn give_up(&self, sandbox: &Sandbox, reason: FailureReason) -> Result<(), Fault> {
        let row = self.sandboxes.of_user(sandbox.user).await?;
        let start = sandbox.current_start();
        let Some(sandbox) = row.filter(|row| row.current_start() == start) else {
            return Ok(());
        };
        if let Backend::Containers(containers) = &self.backend {
            match containers.take_down(&sandbox).await {
                // The user is told now; the reconciler removes the container once the engine is back.
                Err(fault @ Fault::Dependency { .. }) if reason == FailureReason::Engine => {
                    log_left_behind(&sandbox, "container", &fault);
                }
                taken_down => taken_down?,
            }
        }
        if !self
            .sandboxes
            .mark_failed(start, reason, self.clock.now())
            .await?
        {
            return Ok(());
        }
        warn!(sandbox.id = %sandbox.id, "sandbox {} is given up: {}", sandbox.id, reason.as_str());
        if let Backend::Containers(containers) = &self.backend
            && let Err(fault) = containers.revoke_key(&sandbox).await
        {
            log_left_behind(&sandbox, "key", &fault);
        }
        Ok(())
    }
}

fn log_left_behind(sandbox: &Sandbox, what: &'static str, fault: &Fault) {
    let error = fault as &dyn std::error::Error;
    warn!(
        error,
        sandbox.id = %sandbox.id,
        "the {what} of sandbox {} could not be removed: the reconciler will remove it", sandbox.id
    );
}
