use claw_domain::FailureReason;
use claw_events::{OperatorEvent, SandboxRemoved};
use claw_metrics::SANDBOX_RESTARTS;
use claw_store::{AnySandbox, Sandbox};
use tracing::{debug, info, warn};

use crate::{
    Backend, Fault, Progress, Provisioner, Step,
    containers::Containers,
    step::{frees_a_place, retry_pause},
};

impl Provisioner {
    /// Takes a step: it stores the intent, has the effect, and stores the result. May be repeated, also with
    /// a row that has changed since.
    pub async fn act(&self, sandbox: &AnySandbox, step: Step) -> Result<Progress, Fault> {
        debug!(sandbox.id = %sandbox.id, "sandbox {}: {step:?}", sandbox.id);
        let (start, now) = (sandbox.current_start(), self.clock.now());
        match (step, &self.backend) {
            (Step::None, _) => return Ok(Progress::Done),
            (Step::Wait(pause), _) => return Ok(Progress::Wait(pause)),
            (Step::Begin, _) => {
                let host = self.host().await?;
                let model = &self.settings.model;
                self.sandboxes
                    .mark_starting(start, &host, model, now)
                    .await?;
            }
            (Step::ReservePort, Backend::Containers(containers)) => {
                containers.reserve_port(sandbox).await?;
            }
            (Step::MintKey, Backend::Containers(containers)) => {
                containers.mint_key(sandbox).await?;
                self.align_new_key(containers, sandbox).await;
            }
            (Step::StartContainer, Backend::Containers(containers)) => {
                let started = containers.start_container(sandbox).await;
                self.tell_refused_ports(containers).await;
                started?;
            }
            (Step::MarkReady, backend) => self.mark_ready(sandbox, backend).await?,
            (Step::StartOver(pause), _) => {
                let cause = self.cause_of_end(sandbox);
                warn!(
                    sandbox.id = %sandbox.id,
                    "sandbox {} {cause}: it starts over in {} s", sandbox.id, pause.as_secs()
                );
                if self.sandboxes.start_over(start, now + pause, now).await? {
                    SANDBOX_RESTARTS.increment([cause]);
                }
            }
            (Step::GiveUp(reason), _) => self.give_up(sandbox, reason).await?,
            (Step::Discard(reason), _) => self.discard(sandbox, reason).await?,
            (Step::StopContainer, Backend::Containers(containers)) => {
                containers.put_to_sleep(sandbox).await?;
            }
            (Step::ReleasePort, _) => {
                if self.sandboxes.release_port(start, now).await? {
                    info!(sandbox.id = %sandbox.id, "sandbox {} sleeps", sandbox.id);
                }
            }
            (Step::Remove, backend) => self.remove(sandbox, backend).await?,
            (
                Step::ReservePort | Step::MintKey | Step::StartContainer | Step::StopContainer,
                Backend::External { .. },
            ) => {}
        }
        if frees_a_place(step) {
            self.places_changed.notify_one();
        }
        Ok(Progress::Advanced)
    }

    async fn tell_refused_ports(&self, containers: &Containers) {
        for port in containers.take_untold_ports() {
            let refused = OperatorEvent::PortRefused { port };
            self.publisher.tell_operator(&refused).await;
        }
    }

    fn cause_of_end(&self, sandbox: &AnySandbox) -> &'static str {
        let is_silent = self.liveness.lock().is_silent(sandbox.current_start());
        if is_silent { "hung" } else { "died" }
    }

    /// Removes everything that belongs to the sandbox. The row is the intent, and is changed last.
    async fn remove(&self, sandbox: &AnySandbox, backend: &Backend) -> Result<(), Fault> {
        if let Backend::Containers(containers) = backend {
            containers.remove(sandbox).await?;
        }
        let Some(user) = sandbox.user else {
            self.sandboxes.forget_spare(sandbox.id).await?;
            info!(sandbox.id = %sandbox.id, "spare sandbox {} is removed", sandbox.id);
            return Ok(());
        };
        let removed = SandboxRemoved {
            user,
            sandbox: sandbox.id,
        };
        self.publisher.publish(&removed).await?;
        let (start, now) = (sandbox.current_start(), self.clock.now());
        if self.sandboxes.mark_removed(start, now).await? {
            info!(sandbox.id = %sandbox.id, "sandbox {} is removed", sandbox.id);
        }
        Ok(())
    }

    async fn mark_ready(&self, sandbox: &AnySandbox, backend: &Backend) -> Result<(), Fault> {
        let endpoint = match (backend, sandbox.port, sandbox.user) {
            (Backend::External { addresses, .. }, _, Some(user)) => {
                addresses.endpoint(sandbox.id, user)
            }
            (Backend::Containers(containers), Some(port), _) => containers.endpoint(port),
            (Backend::Containers(_), None, _) | (Backend::External { .. }, _, None) => {
                return Ok(());
            }
        };
        let (start, now) = (sandbox.current_start(), self.clock.now());
        if self.sandboxes.mark_ready(start, &endpoint, now).await? {
            info!(sandbox.id = %sandbox.id, "sandbox {} is ready", sandbox.id);
        }
        if sandbox.user.is_none() {
            self.places_changed.notify_one();
        }
        Ok(())
    }

    /// Removes what was made, then stores the reason. The key is revoked last: the row is marked as failed only
    /// after the container is gone, and the reconciler revokes a key that a crash leaves.
    async fn give_up(&self, sandbox: &AnySandbox, reason: FailureReason) -> Result<(), Fault> {
        let row = self.sandboxes.by_id(sandbox.id).await?;
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
        let (now, pause) = (self.clock.now(), retry_pause(&sandbox));
        if !self
            .sandboxes
            .mark_failed(start, reason, now + pause, now)
            .await?
        {
            return Ok(());
        }
        warn!(
            sandbox.id = %sandbox.id,
            "sandbox {} is given up for {} s: {}", sandbox.id, pause.as_secs(), reason.as_str()
        );
        if let Backend::Containers(containers) = &self.backend
            && let Err(fault) = containers.revoke_key(&sandbox).await
        {
            log_left_behind(&sandbox, "key", &fault);
        }
        Ok(())
    }
}

fn log_left_behind<User>(sandbox: &Sandbox<User>, what: &'static str, fault: &Fault) {
    let error = fault as &dyn std::error::Error;
    warn!(
        error,
        sandbox.id = %sandbox.id,
        "the {what} of sandbox {} could not be removed: the reconciler will remove it", sandbox.id
    );
}
