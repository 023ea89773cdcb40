use chrono::{DateTime, Utc};
use claw_store::{Host, Sandbox};

use crate::{
    Fault, Provisioner,
    wake_plan::{HORIZON, start_times},
};

/// Most sleepers in a plan. So many starts take longer than the plan looks ahead.
const PLANNED: u32 = 1_000;

/// What a plan of wakes led to.
pub(crate) struct Woken {
    /// The sandboxes whose next start has begun.
    pub(crate) sandboxes: Vec<Sandbox>,
    /// When to plan again.
    pub(crate) next: Option<DateTime<Utc>>,
}

impl Provisioner {
    /// Begins to start the sleepers of this host whose time has come, and the failed ones that are to be tried again, while
    /// there are places. If many sleepers are needed at about the same time, some start early, so that all are ready in
    /// time.
    pub(crate) async fn wake_due(
        &self,
        host: &Host,
        cap: u32,
        now: DateTime<Utc>,
    ) -> Result<Woken, Fault> {
        let lead = self.settings.wake_lead;
        let ahead = HORIZON.saturating_sub(lead);
        let sleepers = self.sandboxes.sleepers(host, now + ahead, PLANNED).await?;
        let latest: Vec<_> = sleepers.iter().map(|sleeper| sleeper.wake_at).collect();
        let times = start_times(&latest, self.settings.starts_at_once, lead);
        let due = times.partition_point(|time| *time <= now);
        let ids: Vec<_> = sleepers[..due].iter().map(|sleeper| sleeper.id).collect();
        let sandboxes = self.sandboxes.wake_due(host, &ids, cap, now).await?;
        let beyond = self.sandboxes.next_wake(host, now + ahead).await?;
        // A sleeper that the plan sees only then may move the others.
        let into_sight = beyond.map(|wake_at| wake_at - ahead);
        let next = times.get(due).copied().into_iter().chain(into_sight).min();
        Ok(Woken { sandboxes, next })
    }
}
