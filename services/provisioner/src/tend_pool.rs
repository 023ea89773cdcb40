//! Keeps the pool of spare sandboxes filled, and makes room when all places are taken.

use std::time::{Duration, Instant};

use claw_agent::DeviceKey;
use claw_docker::{ListedContainer, VolumeName};
use claw_domain::{FailureReason, SandboxId, SandboxStatus};
use claw_events::{OperatorEvent, SandboxOrder, SandboxOrdered};
use claw_metrics::{POOL_CLAIM_DURATION, POOL_CLAIMS, SPARE_SANDBOXES};
use claw_store::{AnySandbox, Host, NewSandbox, Sandbox, SandboxRequest, SandboxStart};
use tracing::{info, warn};
use uuid::Uuid;

use crate::{
    Backend, Fault, Provisioner,
    containers::name_of,
    pool::{PoolChange, PoolState, kept_free, pool_change},
    provision::new_token,
};

/// For how long a sandbox must have been unused before it is asked to sleep: its person may be about to write again.
const UNUSED_FOR: Duration = Duration::from_mins(1);

/// What [`Provisioner::tend_pool`] did.
#[derive(Debug, Default)]
pub(crate) struct Tended {
    /// The spare sandboxes that must now be started or removed.
    pub(crate) to_drive: Vec<AnySandbox>,
    /// The people who wait in line, and for whom nobody can be asked to sleep.
    pub(crate) queued: u32,
    /// Whether more places are wanted than are free.
    pub(crate) is_full: bool,
}

impl Provisioner {
    /// Gives a newcomer a spare sandbox, if one is ready.
    pub(crate) async fn claim(
        &self,
        request: &SandboxRequest,
        host: &Host,
    ) -> Result<Option<Sandbox>, Fault> {
        if !self.has_pool() {
            return Ok(None);
        }
        let began = Instant::now();
        let model = &self.settings.model;
        let claimed = self.sandboxes.claim(request, host, model).await?;
        if let Some(sandbox) = &claimed {
            POOL_CLAIM_DURATION.observe(began.elapsed(), []);
            POOL_CLAIMS.increment(["hit"]);
            info!(sandbox.id = %sandbox.id, "spare sandbox {} is claimed", sandbox.id);
            self.places_changed.notify_one();
        }
        Ok(claimed)
    }

    /// Counts a newcomer for whom no spare sandbox was ready.
    pub(crate) fn count_miss(&self) {
        if self.has_pool() {
            POOL_CLAIMS.increment(["miss"]);
        }
    }

    /// Makes the pool grow or shrink. If all places are taken, first asks sandboxes to sleep, the least recently used first.
    /// External sandboxes have no pool, and never sleep.
    pub(crate) async fn tend_pool(&self, host: &Host) -> Result<Tended, Fault> {
        let mut tended = Tended::default();
        if matches!(self.backend, Backend::External { .. }) {
            return Ok(tended);
        }
        let (now, places) = (self.clock.now(), self.places());
        let demand = self.sandboxes.demand(host).await?;
        SPARE_SANDBOXES.set(f64::from(demand.ready_spares), ["ready"]);
        SPARE_SANDBOXES.set(f64::from(demand.starting_spares), ["starting"]);
        let overdue = self.sandboxes.count_due(host, now).await?;
        let free = places.saturating_sub(demand.taken);
        let waiting = demand.queued + overdue;
        let wanted = waiting.saturating_sub(free);
        let asked = if wanted > 0 {
            self.ask_to_sleep(host, wanted).await?
        } else {
            0
        };
        tended.queued = demand.queued.min(wanted.saturating_sub(asked));
        tended.is_full = wanted > 0;
        let change = pool_change(&PoolState {
            size: self.settings.pool_size,
            ready: demand.ready_spares,
            starting: demand.starting_spares,
            places,
            free: free.saturating_sub(waiting),
            wanted: wanted.saturating_sub(asked),
            waiting_starts: self.waiting_starts(),
            starts_at_once: self.settings.starts_at_once,
            is_pausing: self.is_suspended(None) || self.pool_failures.lock().are_pausing(now),
        });
        match change {
            PoolChange::Keep => {}
            PoolChange::Grow(count) => {
                for _ in 0..count {
                    let new = self.new_sandbox(host.clone());
                    let kept_free = kept_free(places);
                    let sandboxes = &self.sandboxes;
                    let added = sandboxes.add_spare(&new, places, kept_free, &self.keyring, now);
                    tended.to_drive.extend(added.await?);
                }
            }
            PoolChange::Shrink(count) => {
                tended.to_drive = self.sandboxes.discard_spares(host, count, now).await?;
            }
        }
        Ok(tended)
    }

    /// Begins to remove the ready spare sandboxes whose image or model differs from the current settings.
    pub(crate) async fn discard_old_spares(
        &self,
        rows: &[AnySandbox],
        found: &[ListedContainer],
    ) -> Result<Vec<SandboxId>, Fault> {
        let Backend::Containers(containers) = &self.backend else {
            return Ok(Vec::new());
        };
        let has_old_image = |row: &AnySandbox| {
            let name = name_of(row);
            let container = found.iter().find(|container| container.name == name);
            let image = container.and_then(|container| container.image.as_ref());
            image.is_some_and(|image| *image != containers.settings.image)
        };
        let mut discarded = Vec::new();
        for row in rows.iter().filter(|row| row.user.is_none()) {
            let is_old = row.model != self.settings.model || has_old_image(row);
            if row.status != SandboxStatus::Ready || !is_old {
                continue;
            }
            let (start, now) = (row.current_start(), self.clock.now());
            if self.sandboxes.discard(start, now).await? {
                info!(sandbox.id = %row.id, "spare sandbox {} is old and is replaced", row.id);
                discarded.push(row.id);
            }
        }
        Ok(discarded)
    }

    /// Begins to remove a spare sandbox that could not be started, or ended by itself.
    pub(crate) async fn discard(
        &self,
        sandbox: &AnySandbox,
        reason: FailureReason,
    ) -> Result<(), Fault> {
        let now = self.clock.now();
        if !self.sandboxes.discard(sandbox.current_start(), now).await? {
            return Ok(());
        }
        warn!(
            sandbox.id = %sandbox.id,
            "spare sandbox {} is removed: {}", sandbox.id, reason.as_str()
        );
        let is_to_tell = self.pool_failures.lock().record(now);
        if is_to_tell {
            let failing = OperatorEvent::PoolFailing { reason };
            self.publisher.tell_operator(&failing).await;
        }
        Ok(())
    }

    /// Asks the gateway to let this many sandboxes sleep, the least recently used first and each at most once a minute. The
    /// gateway does so with those that nobody needs. Returns how many were asked.
    async fn ask_to_sleep(&self, host: &Host, count: u32) -> Result<u32, Fault> {
        let now = self.clock.now();
        let asked = self.asked_to_sleep.lock().recently(now);
        let sandboxes = &self.sandboxes;
        let candidates = sandboxes.least_recently_used(host, &asked, count, now - UNUSED_FOR);
        let mut count = 0;
        for (user, SandboxStart { sandbox, start }) in candidates.await? {
            let minute = now.timestamp() / 60;
            let ordered = SandboxOrdered {
                user,
                order: SandboxOrder::Sleep,
                start,
                id: Uuid::new_v5(&sandbox.as_uuid(), &minute.to_be_bytes()),
            };
            self.publisher.publish(&ordered).await?;
            self.asked_to_sleep.lock().record(sandbox, now);
            count += 1;
        }
        Ok(count)
    }

    /// A sandbox that does not exist yet, with new secrets.
    pub(crate) fn new_sandbox(&self, host: Host) -> NewSandbox {
        let id = SandboxId::from_uuid(Uuid::new_v4());
        NewSandbox {
            id,
            host,
            container_name: VolumeName::of(id).to_string(),
            model: self.settings.model.clone(),
            gateway_token: match &self.backend {
                Backend::Containers(_) => new_token(),
                Backend::External { gateway_token, .. } => gateway_token.clone(),
            },
            device_seed: DeviceKey::generate().seed(),
        }
    }

    fn has_pool(&self) -> bool {
        self.settings.pool_size > 0 && matches!(self.backend, Backend::Containers(_))
    }
}
