use claw_domain::FailureReason;
use claw_store::Sandbox;
use tracing::{debug, info, warn};

use crate::{Fault, Place, Progress, Provisioner, Step};

/// The steps. Each writes down what it is about to do, does it, and writes down that it did.
impl Provisioner {
    /// Takes a step. May be repeated, also with a row that has moved on since.
    pub async fn act(&self, sandbox: &Sandbox, step: Step) -> Result<Progress, Fault> {
        debug!(sandbox.id = %sandbox.id, "sandbox {}: {}", sandbox.id, step.as_str());
        let (start, now) = (sandbox.current_start(), self.clock.now());
        match (step, &self.place) {
            (Step::Rest, _) => return Ok(Progress::AtRest),
            (Step::Wait(pause), _) => return Ok(Progress::Wait(pause)),
            (Step::Begin, _) => {
                self.sandboxes.mark_starting(start, now).await?;
            }
            (Step::ReservePort, Place::Containers(containers)) => {
                containers.reserve_port(sandbox).await?;
            }
            (Step::MintKey, Place::Containers(containers)) => containers.mint_key(sandbox).await?,
            (Step::StartContainer, Place::Containers(containers)) => {
                containers.start_container(sandbox).await?;
            }
            (Step::MarkReady, place) => self.mark_ready(sandbox, place).await?,
            (Step::StartOver, _) => {
                warn!(sandbox.id = %sandbox.id, "sandbox {} is gone and starts over", sandbox.id);
                self.sandboxes.start_over(start, now).await?;
            }
            (Step::GiveUp(reason), _) => self.give_up(sandbox, reason).await?,
            (Step::ReservePort | Step::MintKey | Step::StartContainer, Place::Elsewhere { .. }) => {
            }
        }
        Ok(Progress::Moved)
    }

    async fn mark_ready(&self, sandbox: &Sandbox, place: &Place) -> Result<(), Fault> {
        let endpoint = match (place, sandbox.port) {
            (Place::Elsewhere { addresses, .. }, _) => addresses.endpoint(sandbox.id, sandbox.user),
            (Place::Containers(containers), Some(port)) => containers.endpoint(port),
            (Place::Containers(_), None) => return Ok(()),
        };
        let (start, now) = (sandbox.current_start(), self.clock.now());
        if self.sandboxes.mark_ready(start, &endpoint, now).await? {
            info!(sandbox.id = %sandbox.id, "sandbox {} is ready", sandbox.id);
        }
        Ok(())
    }

    /// Takes down what was made, then writes down why. The key goes last: its name is in the row until
    /// then, and a crash in between leaves it to the reconciler rather than in a container.
    async fn give_up(&self, sandbox: &Sandbox, reason: FailureReason) -> Result<(), Fault> {
        let row = self.sandboxes.of_user(sandbox.user).await?;
        let start = sandbox.current_start();
        let Some(sandbox) = row.filter(|row| row.current_start() == start) else {
            return Ok(());
        };
        if let Place::Containers(containers) = &self.place {
            match containers.take_down(&sandbox).await {
                // The person should know; the reconciler removes what an engine that was away still has.
                Err(fault @ Fault::Outside { .. }) if reason == FailureReason::Engine => {
                    left_behind(&sandbox, "container", &fault);
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
        if let Place::Containers(containers) = &self.place
            && let Err(fault) = containers.revoke_key(&sandbox).await
        {
            left_behind(&sandbox, "key", &fault);
        }
        Ok(())
    }
}

fn left_behind(sandbox: &Sandbox, what: &'static str, fault: &Fault) {
    let error = fault as &dyn std::error::Error;
    warn!(error, sandbox.id = %sandbox.id, "the {what} of sandbox {} is left to the reconciler", sandbox.id);
}
