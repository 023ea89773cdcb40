//! Keeps the containers and model keys that exist equal to those that the rows want.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use claw_bus::Ownership;
use claw_docker::{ContainerName, ListedContainer};
use claw_domain::{SandboxStatus, UserId};
use claw_metrics::{ORPHANS_REMOVED, SANDBOXES};
use claw_store::Sandbox;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    Backend, Fault, Provisioner,
    containers::{Containers, name_of},
    orphans::{KnownKeys, UnknownKeys},
};

/// The pause before a drive is retried after our database or bus failed.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// How often the reconciler runs.
#[derive(Debug, Clone, Copy)]
pub struct ReconcilerIntervals {
    /// Between two comparisons of rows and containers: the longest time until a dead container is noticed.
    pub sandboxes: Duration,
    /// Between two searches for orphaned model keys, each of which lists the whole account.
    pub keys: Duration,
}

/// Compares rows with containers and model keys, and resolves differences.
pub struct Reconciler {
    provisioner: Arc<Provisioner>,
    intervals: ReconcilerIntervals,
    unknown_keys: UnknownKeys,
    keys_checked_at: Option<Instant>,
    has_announced: bool,
    drives: JoinSet<UserId>,
    driven: HashSet<UserId>,
    /// The task that aligns model keys with suspensions, if it runs.
    key_alignment: JoinSet<()>,
    /// Suspensions may have changed since the task last read them.
    is_to_align_again: bool,
}

impl Reconciler {
    /// A reconciler that works through `provisioner`.
    pub fn new(provisioner: Arc<Provisioner>, intervals: ReconcilerIntervals) -> Self {
        Self {
            provisioner,
            intervals,
            unknown_keys: UnknownKeys::default(),
            keys_checked_at: None,
            has_announced: false,
            drives: JoinSet::new(),
            driven: HashSet::new(),
            key_alignment: JoinSet::new(),
            is_to_align_again: false,
        }
    }

    /// Runs during each tenure of `ownership`, until `stop`.
    pub async fn run_while_owned(mut self, ownership: &Ownership, stop: CancellationToken) {
        let mut tenures = ownership.tenures();
        while let Some(Some(tenure)) = stop.run_until_cancelled(tenures.next()).await {
            // The next owner waits until the drives begun here have ended.
            let Some(_hold) = tenure.hold() else { continue };
            // Since the last tenure another process may have worked, and died before it announced a result.
            self.has_announced = false;
            self.run(tenure.ending()).await;
        }
    }

    /// Reconciles at once and then in intervals until `stop`; returns when the drives it began have ended.
    pub async fn run(&mut self, stop: CancellationToken) {
        let mut ticks = interval(self.intervals.sandboxes);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut suspensions = self.provisioner.suspensions.changes();
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                _ = ticks.tick() => self.pass_and_log(&stop).await,
                Ok(()) = suspensions.changed() => self.pass_and_log(&stop).await,
                Some(ended) = self.drives.join_next() => self.forget(ended.ok()),
                Some(_) = self.key_alignment.join_next() => {
                    if std::mem::take(&mut self.is_to_align_again) {
                        self.align_keys(&stop);
                    }
                }
            }
        }
        self.settle().await;
    }

    /// Waits until all drives and changes of keys have ended.
    pub async fn settle(&mut self) {
        while self.key_alignment.join_next().await.is_some() {}
        while let Some(ended) = self.drives.join_next().await {
            self.forget(ended.ok());
        }
    }

    /// Finds the differences and begins to resolve them; [`Reconciler::settle`] waits for the end.
    pub async fn pass(&mut self, stop: &CancellationToken) -> Result<(), Fault> {
        let provisioner = Arc::clone(&self.provisioner);
        self.align_keys(stop);
        let (cap, now) = (provisioner.settings.cap, provisioner.clock.now());
        provisioner.sandboxes.admit_queued(cap, now).await?;
        // Containers before rows: otherwise a container made in between would seem to have no row.
        let found = match &provisioner.backend {
            Backend::Containers(containers) => Some(containers.runtime.list_ours().await?),
            Backend::External { .. } => None,
        };
        let rows = provisioner
            .sandboxes
            .all_of_host(&provisioner.settings.host)
            .await?;
        record_statuses(&rows);
        for user in to_drive(&rows, found.as_deref()) {
            self.drive_unless_suspended(user, stop);
        }
        if !std::mem::replace(&mut self.has_announced, true) {
            // An earlier process may have died between marking a sandbox as ready and announcing it.
            rows.iter()
                .filter(|row| row.status == SandboxStatus::Ready)
                .for_each(|row| self.drive_unless_suspended(row.user, stop));
        }
        if let (Backend::Containers(containers), Some(found)) = (&provisioner.backend, &found) {
            for name in to_remove(&rows, found) {
                warn!("container {name} belongs to no sandbox and is removed");
                containers.runtime.remove(&name).await?;
                ORPHANS_REMOVED.increment(["container"]);
            }
            self.remove_orphaned_keys_when_due(containers).await?;
        }
        Ok(())
    }

    /// Aligns model keys with suspensions in a task of its own; again if it runs already.
    fn align_keys(&mut self, stop: &CancellationToken) {
        if !self.key_alignment.is_empty() {
            self.is_to_align_again = true;
            return;
        }
        let (provisioner, stop) = (Arc::clone(&self.provisioner), stop.clone());
        self.key_alignment.spawn(async move {
            if let Err(fault) = provisioner.align_keys(&stop).await {
                log_interrupted(&fault, "aligning model keys with suspensions");
            }
        });
    }

    async fn pass_and_log(&mut self, stop: &CancellationToken) {
        if let Err(fault) = self.pass(stop).await {
            log_interrupted(&fault, "reconciling");
        }
    }

    /// A suspended user's sandbox goes on running if it does, but is not started: a start would make a new key.
    fn drive_unless_suspended(&mut self, user: UserId, stop: &CancellationToken) {
        if !self.provisioner.suspensions.is_suspended(user) {
            self.drive(user, stop);
        }
    }

    /// Drives a sandbox in a task of its own, with retries until the drive succeeds.
    fn drive(&mut self, user: UserId, stop: &CancellationToken) {
        if !self.driven.insert(user) {
            return;
        }
        let provisioner = Arc::clone(&self.provisioner);
        let stop = stop.clone();
        self.drives.spawn(async move {
            while let Err(fault) = provisioner.drive(user, &stop).await {
                log_interrupted(&fault, "driving a sandbox");
                if stop.run_until_cancelled(sleep(RETRY_PAUSE)).await.is_none() {
                    break;
                }
            }
            user
        });
    }

    fn forget(&mut self, ended: Option<UserId>) {
        match ended {
            Some(user) => {
                self.driven.remove(&user);
            }
            // A panic does not say whose drive it was: allow a new drive for every user.
            None => self.driven.clear(),
        }
    }

    async fn remove_orphaned_keys_when_due(
        &mut self,
        containers: &Containers,
    ) -> Result<(), Fault> {
        let is_due = self
            .keys_checked_at
            .is_none_or(|last| last.elapsed() >= self.intervals.keys);
        if !is_due {
            return Ok(());
        }
        self.keys_checked_at = Some(Instant::now());
        self.remove_orphaned_keys(containers).await
    }

    /// Deletes the installation's model keys that no row has referred to for a while.
    async fn remove_orphaned_keys(&mut self, containers: &Containers) -> Result<(), Fault> {
        // Keys before rows: otherwise a key made in between would seem to be in no row.
        let listed = containers.keys.list().await?;
        let mut known = KnownKeys::default();
        for key in containers.sandboxes.known_model_keys().await? {
            known.hashes.extend(key.hash);
            known.names.extend(key.name);
        }
        let now = self.provisioner.clock.now();
        let owner = &containers.settings.owner;
        for hash in self.unknown_keys.orphans(owner, &listed, &known, now) {
            info!(key.hash = %hash, "model key {hash} belongs to no sandbox and is deleted");
            containers.keys.revoke(&hash).await?;
            ORPHANS_REMOVED.increment(["key"]);
        }
        Ok(())
    }
}

/// The users whose sandboxes need a drive: those that are starting, and ready ones whose container does not run.
fn to_drive(rows: &[Sandbox], found: Option<&[ListedContainer]>) -> Vec<UserId> {
    let running: Option<HashSet<&ContainerName>> = found.map(|found| {
        found
            .iter()
            .filter(|container| container.is_running)
            .map(|found| &found.name)
            .collect()
    });
    let needs_work = |sandbox: &&Sandbox| match sandbox.status {
        SandboxStatus::Requested | SandboxStatus::Starting => true,
        SandboxStatus::Ready => running
            .as_ref()
            .is_some_and(|running| !running.contains(&name_of(sandbox))),
        SandboxStatus::Queued
        | SandboxStatus::Asleep
        | SandboxStatus::Removing
        | SandboxStatus::Failed
        | SandboxStatus::Removed => false,
    };
    rows.iter()
        .filter(needs_work)
        .map(|sandbox| sandbox.user)
        .collect()
}

/// Our containers that no row wants.
fn to_remove(rows: &[Sandbox], found: &[ListedContainer]) -> Vec<ContainerName> {
    let wanted: HashSet<ContainerName> = rows
        .iter()
        .filter(|sandbox| sandbox.status.takes_a_place())
        .map(name_of)
        .collect();
    found
        .iter()
        .map(|container| &container.name)
        .filter(|name| !wanted.contains(name))
        .cloned()
        .collect()
}

fn record_statuses(rows: &[Sandbox]) {
    let mut counted: HashMap<SandboxStatus, u32> = HashMap::new();
    for sandbox in rows {
        *counted.entry(sandbox.status).or_default() += 1;
    }
    for status in SandboxStatus::ALL {
        let count = counted.get(status).copied().unwrap_or_default();
        SANDBOXES.set(f64::from(count), [status.as_str()]);
    }
}

fn log_interrupted(fault: &Fault, doing: &'static str) {
    let error = fault as &dyn std::error::Error;
    warn!(error, "{doing} failed and will be retried");
}
