use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use claw_bus::{Attempt, Handler, HandlerError};
use claw_domain::{SandboxStatus, WakeReason};
use claw_events::SandboxIdle;
use claw_store::{AnySandbox, Wake};

use crate::{Backend, Provisioner, handle_request::drive};

/// How old a report may be. Since an older one, the assistant may have begun something; the gateway reports again.
const STALE_AFTER: Duration = Duration::from_mins(1);

/// Lets idle sandboxes sleep. An event is acknowledged once the container is gone and `SandboxAsleep` was published, or
/// if the sandbox must not sleep or is at another engine. External sandboxes never sleep.
pub struct HandleIdle {
    provisioner: Arc<Provisioner>,
}

impl HandleIdle {
    /// A handler that works through `provisioner`.
    pub const fn new(provisioner: Arc<Provisioner>) -> Self {
        Self { provisioner }
    }
}

#[async_trait]
impl Handler for HandleIdle {
    type Event = SandboxIdle;

    async fn handle(&self, idle: &SandboxIdle, attempt: &Attempt) -> Result<(), HandlerError> {
        let provisioner = &self.provisioner;
        if matches!(provisioner.backend, Backend::External { .. }) {
            return Ok(());
        }
        let row = provisioner.sandboxes.by_id(idle.sandbox).await?;
        let is_of_start = |row: &AnySandbox| (row.user, row.start) == (Some(idle.user), idle.start);
        let Some(sandbox) = row.filter(is_of_start) else {
            return Ok(());
        };
        if provisioner.is_elsewhere(&sandbox).await? {
            // The gateway reports again.
            return Ok(());
        }
        let (now, lead) = (provisioner.clock.now(), provisioner.settings.wake_lead);
        let is_stale = (now - idle.since)
            .to_std()
            .is_ok_and(|age| age > STALE_AFTER);
        let wake = wake_of(idle, lead);
        // A sandbox that would have to start again at once stays as it is.
        let may_sleep = !is_stale && wake.is_none_or(|wake| wake.at > now);
        let start = sandbox.current_start();
        let is_asleep = sandbox.status == SandboxStatus::Asleep
            || (may_sleep
                && provisioner
                    .sandboxes
                    .fall_asleep(start, wake, idle.since, now)
                    .await?);
        if is_asleep {
            // Somebody may wait for its place.
            provisioner.places_changed.notify_one();
            drive(provisioner, sandbox.id, attempt).await?;
        }
        Ok(())
    }
}

/// When the sandbox has to start again: so early that it is ready in time.
fn wake_of(idle: &SandboxIdle, lead: Duration) -> Option<Wake> {
    idle.needed_at.map(|needed_at| Wake {
        at: needed_at - lead,
        reason: idle.needed_for.unwrap_or(WakeReason::Job),
    })
}
