//! Keeps what runs equal to what should run, whatever was missed, killed or left behind.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use claw_bus::Ownership;
use claw_docker::{ContainerName, Found};
use claw_domain::{SandboxStatus, UserId};
use claw_store::Sandbox;
use metrics::{counter, gauge};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    Fault, Place, Provisioner,
    containers::{Containers, name_of},
    orphans::{KnownKeys, Suspects},
};

/// Pause before a sandbox is taken up again after our own database or bus failed.
const PAUSE_AFTER_FAULT: Duration = Duration::from_secs(5);

/// How often it is looked after things.
#[derive(Debug, Clone, Copy)]
pub struct Rhythm {
    /// Rows and containers. A container that died is noticed after this long at most.
    pub sandboxes: Duration,
    /// Model keys nobody remembers: one listing of the whole account.
    pub keys: Duration,
}

/// Compares rows with the world and puts right what differs.
pub struct Reconciler {
    provisioner: Arc<Provisioner>,
    rhythm: Rhythm,
    suspects: Suspects,
    keys_looked_at: Option<Instant>,
    has_passed: bool,
    drives: JoinSet<UserId>,
    driven: HashSet<UserId>,
}

impl Reconciler {
    /// Works through `provisioner`.
    pub fn new(provisioner: Arc<Provisioner>, rhythm: Rhythm) -> Self {
        Self {
            provisioner,
            rhythm,
            suspects: Suspects::default(),
            keys_looked_at: None,
            has_passed: false,
            drives: JoinSet::new(),
            driven: HashSet::new(),
        }
    }

    /// Runs whenever `ownership` says that the work is ours, until `stop`.
    pub async fn run_while_ours(mut self, ownership: &Ownership, stop: CancellationToken) {
        let mut tenures = ownership.tenures();
        while let Some(Some(tenure)) = stop.run_until_cancelled(tenures.next()).await {
            // Whoever has it next waits until what we began has ended.
            let Some(_hold) = tenure.hold() else { continue };
            // Another may have worked meanwhile, and may have died before saying what it did.
            self.has_passed = false;
            self.run(tenure.ending()).await;
        }
    }

    /// Looks at once and then at every beat until `stop`; returns when what it began has ended.
    pub async fn run(&mut self, stop: CancellationToken) {
        let mut beat = interval(self.rhythm.sandboxes);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                _ = beat.tick() => self.pass_and_tell(&stop).await,
                Some(ended) = self.drives.join_next() => self.forget(ended.ok()),
            }
        }
        self.settle().await;
    }

    /// Waits until every drive that was begun has ended.
    pub async fn settle(&mut self) {
        while let Some(ended) = self.drives.join_next().await {
            self.forget(ended.ok());
        }
    }

    /// Finds what differs now and begins to put it right; [`Reconciler::settle`] waits for the end.
    pub async fn pass(&mut self, stop: &CancellationToken) -> Result<(), Fault> {
        let provisioner = Arc::clone(&self.provisioner);
        let (cap, now) = (provisioner.settings.cap, provisioner.clock.now());
        provisioner.sandboxes.admit_queued(cap, now).await?;
        // Containers first: one that is made after this has its row by then.
        let found = match &provisioner.place {
            Place::Containers(containers) => Some(containers.runtime.list_ours().await?),
            Place::Elsewhere { .. } => None,
        };
        let rows = provisioner
            .sandboxes
            .all_of_host(&provisioner.settings.host)
            .await?;
        gauge_rows(&rows);
        for user in to_drive(&rows, found.as_deref()) {
            self.drive(user, stop);
        }
        if !std::mem::replace(&mut self.has_passed, true) {
            // Whoever ran before us may have died between making ready and saying so.
            rows.iter()
                .filter(|row| row.status == SandboxStatus::Ready)
                .for_each(|row| self.drive(row.user, stop));
        }
        if let (Place::Containers(containers), Some(found)) = (&provisioner.place, &found) {
            for name in to_remove(&rows, found) {
                warn!("container {name} belongs to nobody and is removed");
                containers.runtime.remove(&name).await?;
                counter!("claw_orphans_removed_total", "kind" => "container").increment(1);
            }
            self.keys_when_due(containers).await?;
        }
        Ok(())
    }

    async fn pass_and_tell(&mut self, stop: &CancellationToken) {
        if let Err(fault) = self.pass(stop).await {
            tell_cut_short(&fault, "reconciling");
        }
    }

    /// Drives a sandbox beside everything else, again and again until it rests.
    fn drive(&mut self, user: UserId, stop: &CancellationToken) {
        if !self.driven.insert(user) {
            return;
        }
        let provisioner = Arc::clone(&self.provisioner);
        let stop = stop.clone();
        self.drives.spawn(async move {
            while let Err(fault) = provisioner.drive(user, &stop).await {
                tell_cut_short(&fault, "driving a sandbox");
                if stop
                    .run_until_cancelled(sleep(PAUSE_AFTER_FAULT))
                    .await
                    .is_none()
                {
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
            // A panic does not say whose drive it was: let any be taken up that is not at work.
            None => self.driven.clear(),
        }
    }

    async fn keys_when_due(&mut self, containers: &Containers) -> Result<(), Fault> {
        let is_due = self
            .keys_looked_at
            .is_none_or(|last| last.elapsed() >= self.rhythm.keys);
        if !is_due {
            return Ok(());
        }
        self.keys_looked_at = Some(Instant::now());
        self.keys(containers).await
    }

    /// Deletes keys of ours that no row has known for a while.
    async fn keys(&mut self, containers: &Containers) -> Result<(), Fault> {
        // The listing first: the name of a key that is made after this is written down by then.
        let listed = containers.keys.list().await?;
        let mut known = KnownKeys::default();
        for key in containers.sandboxes.known_model_keys().await? {
            known.hashes.extend(key.hash);
            known.names.extend(key.name);
        }
        let now = self.provisioner.clock.now();
        let owner = &containers.settings.owner;
        for hash in self.suspects.orphans(owner, &listed, &known, now) {
            info!(key.hash = %hash, "a model key nobody remembers is deleted");
            containers.keys.revoke(&hash).await?;
            counter!("claw_orphans_removed_total", "kind" => "key").increment(1);
        }
        Ok(())
    }
}

/// Whose sandboxes need somebody: those on their way, and those whose container does not run.
fn to_drive(rows: &[Sandbox], found: Option<&[Found]>) -> Vec<UserId> {
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
        SandboxStatus::Queued | SandboxStatus::Failed | SandboxStatus::Removed => false,
    };
    rows.iter()
        .filter(needs_work)
        .map(|sandbox| sandbox.user)
        .collect()
}

/// Containers of ours that are not the one their row wants.
fn to_remove(rows: &[Sandbox], found: &[Found]) -> Vec<ContainerName> {
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

fn gauge_rows(rows: &[Sandbox]) {
    let mut counted: HashMap<SandboxStatus, u32> = HashMap::new();
    for sandbox in rows {
        *counted.entry(sandbox.status).or_default() += 1;
    }
    for status in SandboxStatus::ALL {
        let count = counted.get(&status).copied().unwrap_or_default();
        gauge!("claw_sandboxes", "status" => status.as_str()).set(f64::from(count));
    }
}

fn tell_cut_short(fault: &Fault, doing: &'static str) {
    let error = fault as &dyn std::error::Error;
    warn!(error, "{doing} was cut short and is tried again");
}
