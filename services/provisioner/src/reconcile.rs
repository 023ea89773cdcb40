//! Keeps the containers and model keys that exist equal to those that the rows want.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use claw_bus::Ownership;
use claw_docker::{ContainerName, ListedContainer, VolumeName};
use claw_domain::{SandboxId, SandboxStatus};
use claw_events::OperatorEvent;
use claw_metrics::{ORPHANS_REMOVED, SANDBOX_ROOM, SANDBOXES, SANDBOXES_OVERDUE};
use claw_store::{AnySandbox, Host, SandboxStart};
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    Backend, Fault, Provisioner,
    containers::name_of,
    orphans::{KnownKeys, UnknownKeys},
    room::Room,
    step::is_pausing,
};

/// Most ready sandboxes that are asked at the same time whether they still answer.
const LOOKS_AT_ONCE: usize = 32;

/// How often free places are looked for while somebody waits for one.
const NO_ROOM_PAUSE: Duration = Duration::from_secs(2);

/// The pause before a drive is retried after our database or bus failed.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// How often the reconciler runs.
#[derive(Debug, Clone, Copy)]
pub struct ReconcilerIntervals {
    /// Between two passes, each of which also checks that ready sandboxes answer: the longest time until a dead container is
    /// noticed.
    pub sandboxes: Duration,
    /// Between two searches for orphaned model keys, each of which lists the whole account.
    pub keys: Duration,
}

/// What the engine has told at the beginning of a pass.
struct Survey {
    host: Host,
    /// The containers of this installation; `None` if sandboxes run elsewhere.
    found: Option<Vec<ListedContainer>>,
}

/// Compares rows with containers and model keys, and resolves differences. Wakes the sandboxes that are due.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each remembers one thing that was told or is to be done, and they are independent"
)]
pub struct Reconciler {
    provisioner: Arc<Provisioner>,
    intervals: ReconcilerIntervals,
    unknown_keys: Arc<Mutex<UnknownKeys>>,
    keys_checked_at: Option<Instant>,
    has_announced: bool,
    drives: JoinSet<SandboxId>,
    driven: HashSet<SandboxId>,
    /// The task that asks the ready sandboxes whether they answer, if it runs; its result are those that are silent.
    looks: JoinSet<Vec<AnySandbox>>,
    /// The task that asks the engine for its containers, if it runs.
    surveys: JoinSet<Result<Survey, Fault>>,
    /// The task that removes orphaned containers, if it runs.
    removals: JoinSet<()>,
    /// The task that searches for orphaned model keys, if it runs.
    key_search: JoinSet<()>,
    /// When the next sandbox has to start without a request.
    next_due: Option<Instant>,
    are_any_overdue: bool,
    /// When room is looked for again, because somebody waits for a place.
    next_room: Option<Instant>,
    are_any_queued: bool,
    /// The room that was logged last.
    room: Option<Room>,
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
            unknown_keys: Arc::default(),
            keys_checked_at: None,
            has_announced: false,
            drives: JoinSet::new(),
            driven: HashSet::new(),
            looks: JoinSet::new(),
            surveys: JoinSet::new(),
            removals: JoinSet::new(),
            key_search: JoinSet::new(),
            next_due: None,
            are_any_overdue: false,
            next_room: None,
            are_any_queued: false,
            room: None,
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

    /// Reconciles at once and then in intervals until `stop`; returns when the drives it began have ended. The loop waits for
    /// our database only: the engine and the model provider are asked in tasks of their own, because a wake must not wait
    /// for them.
    pub async fn run(&mut self, stop: CancellationToken) {
        let mut ticks = interval(self.intervals.sandboxes);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut suspensions = self.provisioner.suspensions.changes();
        let provisioner = Arc::clone(&self.provisioner);
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => {}
                _ = ticks.tick() => self.begin_pass(&stop),
                Ok(()) = suspensions.changed() => self.begin_pass(&stop),
                () = provisioner.rows_changed.notified() => self.begin_pass(&stop),
                Some(survey) = self.surveys.join_next() => self.end_pass(survey.ok(), &stop).await,
                () = sleep_until(self.next_due.unwrap_or_else(Instant::now)), if self.next_due.is_some() => {
                    self.give_room_and_log(&stop).await;
                }
                () = provisioner.places_changed.notified() => self.give_room_and_log(&stop).await,
                () = sleep_until(self.next_room.unwrap_or_else(Instant::now)), if self.next_room.is_some() => {
                    self.give_room_and_log(&stop).await;
                }
                Some(ended) = self.drives.join_next() => self.forget(ended.ok()),
                Some(silent) = self.looks.join_next() => self.drive_silent(silent.ok(), &stop),
                Some(_) = self.removals.join_next() => {}
                Some(_) = self.key_search.join_next() => {}
                Some(_) = self.key_alignment.join_next() => {
                    if std::mem::take(&mut self.is_to_align_again) {
                        self.align_keys(&stop);
                    }
                }
            }
        }
        self.settle().await;
    }

    /// Waits until all looks, drives, removals and changes of keys have ended. Does not drive what the looks found silent.
    pub async fn settle(&mut self) {
        self.surveys.shutdown().await;
        while self.removals.join_next().await.is_some() {}
        while self.key_search.join_next().await.is_some() {}
        while self.key_alignment.join_next().await.is_some() {}
        while self.looks.join_next().await.is_some() {}
        while let Some(ended) = self.drives.join_next().await {
            self.forget(ended.ok());
        }
    }

    /// Finds the differences and begins to resolve them; [`Reconciler::settle`] waits for the end.
    pub async fn pass(&mut self, stop: &CancellationToken) -> Result<(), Fault> {
        self.align_keys(stop);
        let survey = self.provisioner.survey().await?;
        self.resolve(survey, stop).await
    }

    /// Begins a pass, unless one waits for the engine's answer.
    fn begin_pass(&mut self, stop: &CancellationToken) {
        self.align_keys(stop);
        if self.surveys.is_empty() {
            let provisioner = Arc::clone(&self.provisioner);
            self.surveys
                .spawn(async move { provisioner.survey().await });
        }
    }

    async fn end_pass(&mut self, survey: Option<Result<Survey, Fault>>, stop: &CancellationToken) {
        let resolved = match survey {
            Some(Ok(survey)) => self.resolve(survey, stop).await,
            Some(Err(fault)) => Err(fault),
            None => return,
        };
        if let Err(fault) = resolved {
            log_interrupted(&fault, "reconciling");
            self.give_room_and_log(stop).await;
        }
    }

    /// Begins to resolve the differences between the rows and what the engine has told before.
    async fn resolve(&mut self, survey: Survey, stop: &CancellationToken) -> Result<(), Fault> {
        let Survey { host, found } = survey;
        let provisioner = Arc::clone(&self.provisioner);
        let now = provisioner.clock.now();
        self.give_room_or_log(&host, stop).await;
        if host.engine.is_some() && provisioner.sandboxes.adopt(&host, now).await? {
            info!("sandboxes of no engine belong to this one from now on");
        }
        let rows = provisioner.sandboxes.all_of_host(&host.name).await?;
        record_statuses(&rows);
        let (rows, elsewhere) = by_engine(rows, &host);
        for (engine, sandboxes) in count_by_engine(&elsewhere) {
            provisioner.tell_elsewhere(engine, sandboxes).await;
        }
        let is_silent = |start| provisioner.liveness.lock().is_silent(start);
        for sandbox in to_drive(&rows, found.as_deref(), is_silent, now) {
            self.drive_unless_suspended(sandbox, stop);
        }
        provisioner.hurry_awaited().await?;
        if !std::mem::replace(&mut self.has_announced, true) {
            // An earlier process may have died between marking a sandbox as ready and announcing it.
            rows.iter()
                .filter(|row| row.status == SandboxStatus::Ready)
                .for_each(|row| self.drive_unless_suspended(row, stop));
        }
        if let Some(found) = &found {
            self.look(&rows, found);
            for old in provisioner.discard_old_spares(&rows, found).await? {
                self.drive(old, stop);
            }
            let is_left_alone = |volume: &VolumeName| {
                let is_of = |row: &&AnySandbox| VolumeName::of(row.id) == *volume;
                elsewhere.iter().any(|row| is_of(&row))
                    || rows
                        .iter()
                        .find(is_of)
                        .is_some_and(|row| provisioner.is_driven(row.id))
            };
            let mut orphans = to_remove(&rows, found);
            // Another task may drive the sandbox, and be stopping the container gracefully.
            orphans.retain(|name| !is_left_alone(&name.volume()));
            self.remove_containers(orphans);
            self.remove_orphaned_keys_when_due(stop);
        }
        Ok(())
    }

    /// Gives free places to those who wait for one: due jobs and failed sandboxes first, then people in line, then heartbeats,
    /// then the pool. Makes room if there is none.
    async fn give_room(&mut self, host: &Host, stop: &CancellationToken) -> Result<(), Fault> {
        let provisioner = Arc::clone(&self.provisioner);
        self.tell_room();
        // The database tells the next times below, or an attempt after a pause.
        self.next_room = None;
        self.next_due = None;
        self.hand_out(host, stop).await?;
        self.start_due(host, stop).await?;
        let tended = provisioner.tend_pool(host).await?;
        if tended.is_full {
            self.next_room = Some(Instant::now() + NO_ROOM_PAUSE);
            // The pool may have given up places.
            self.hand_out(host, stop).await?;
        }
        let were_any = std::mem::replace(&mut self.are_any_queued, tended.queued > 0);
        if tended.queued > 0 && !were_any {
            let people = tended.queued;
            let no_place = OperatorEvent::NoPlaceForPeople { people };
            provisioner.publisher.tell_operator(&no_place).await;
        }
        for sandbox in &tended.to_drive {
            self.drive_unless_suspended(sandbox, stop);
        }
        Ok(())
    }

    /// Gives free places to due jobs, then to people in line.
    async fn hand_out(&mut self, host: &Host, stop: &CancellationToken) -> Result<(), Fault> {
        let provisioner = Arc::clone(&self.provisioner);
        let sandboxes = &provisioner.sandboxes;
        let (places, now) = (provisioner.places(), provisioner.clock.now());
        let woken = provisioner.wake_due(host, places, now).await?.sandboxes;
        for sandbox in woken.into_iter().map(AnySandbox::from) {
            self.drive_unless_suspended(&sandbox, stop);
        }
        let admitted = sandboxes.admit_queued(host, places, now).await?;
        for sandbox in admitted.into_iter().map(AnySandbox::from) {
            self.drive_unless_suspended(&sandbox, stop);
        }
        Ok(())
    }

    async fn give_room_and_log(&mut self, stop: &CancellationToken) {
        // Without it, nobody knows whose sandboxes these are: the next pass reads it.
        let Some(host) = self.provisioner.known_host() else {
            return;
        };
        self.give_room_or_log(&host, stop).await;
    }

    async fn give_room_or_log(&mut self, host: &Host, stop: &CancellationToken) {
        if let Err(fault) = self.give_room(host, stop).await {
            // The next pass tries again.
            self.next_room = None;
            self.next_due = None;
            log_interrupted(&fault, "making room for sandboxes");
        }
    }

    /// Logs how many sandboxes the host has room for, when that changes.
    fn tell_room(&mut self) {
        let Backend::Containers(containers) = &self.provisioner.backend else {
            return;
        };
        let room = containers.room(self.provisioner.settings.cap);
        if self.room.replace(room) == Some(room) {
            return;
        }
        let (limit, places) = room.binding();
        info!(
            places,
            "there is room for {places} sandboxes; the limit is {}",
            limit.as_str()
        );
        for (limit, places) in room.limits() {
            SANDBOX_ROOM.set(f64::from(places), [limit.as_str()]);
        }
    }

    /// Starts the sandboxes that are due, and reads when the next one is.
    async fn start_due(&mut self, host: &Host, stop: &CancellationToken) -> Result<(), Fault> {
        let provisioner = Arc::clone(&self.provisioner);
        let (cap, now) = (provisioner.places(), provisioner.clock.now());
        let sandboxes = &provisioner.sandboxes;
        let woken = provisioner.wake_due(host, cap, now).await?;
        let mut due = woken.sandboxes;
        due.extend(sandboxes.paused_until(host, now).await?);
        for sandbox in due.into_iter().map(AnySandbox::from) {
            self.drive_unless_suspended(&sandbox, stop);
        }
        let overdue = sandboxes.count_due(host, now).await?;
        SANDBOXES_OVERDUE.set(f64::from(overdue), []);
        let were_any = std::mem::replace(&mut self.are_any_overdue, overdue > 0);
        if overdue > 0 && !were_any {
            let no_place = OperatorEvent::NoPlaceToWake { sandboxes: overdue };
            provisioner.publisher.tell_operator(&no_place).await;
        }
        let retry = sandboxes.next_retry(host, now).await?;
        let next = woken.next.into_iter().chain(retry).min();
        self.next_due = next
            .and_then(|next| (next - now).to_std().ok())
            .map(|pause| Instant::now() + pause);
        Ok(())
    }

    /// Asks the ready sandboxes whose containers run whether they answer, in a task of its own; not while it runs already.
    fn look(&mut self, rows: &[AnySandbox], found: &[ListedContainer]) {
        let running = running(found);
        let ready: Vec<AnySandbox> = rows
            .iter()
            .filter(|row| row.status == SandboxStatus::Ready && running.contains(&name_of(row)))
            .cloned()
            .collect();
        let starts: Vec<SandboxStart> = ready.iter().map(AnySandbox::current_start).collect();
        self.provisioner.liveness.lock().retain(&starts);
        if !self.looks.is_empty() {
            return;
        }
        let provisioner = Arc::clone(&self.provisioner);
        self.looks.spawn(async move {
            stream::iter(ready)
                .map(async |sandbox| provisioner.look(&sandbox).await.then_some(sandbox))
                .buffer_unordered(LOOKS_AT_ONCE)
                .filter_map(std::future::ready)
                .collect()
                .await
        });
    }

    fn drive_silent(&mut self, silent: Option<Vec<AnySandbox>>, stop: &CancellationToken) {
        for sandbox in silent.unwrap_or_default() {
            self.drive_unless_suspended(&sandbox, stop);
        }
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

    /// A suspended user's sandbox goes on running if it does, but is not started: a start would make a new key. It may fall
    /// asleep and be removed.
    fn drive_unless_suspended(&mut self, sandbox: &AnySandbox, stop: &CancellationToken) {
        let may_start = match sandbox.status {
            SandboxStatus::Asleep | SandboxStatus::Removing => false,
            SandboxStatus::Queued
            | SandboxStatus::Requested
            | SandboxStatus::Starting
            | SandboxStatus::Ready
            | SandboxStatus::Failed
            | SandboxStatus::Removed => true,
        };
        if !may_start || !self.provisioner.is_suspended(sandbox.user) {
            self.drive(sandbox.id, stop);
        }
    }

    /// Drives a sandbox in a task of its own, with retries until the drive succeeds.
    fn drive(&mut self, sandbox: SandboxId, stop: &CancellationToken) {
        if !self.driven.insert(sandbox) {
            return;
        }
        let provisioner = Arc::clone(&self.provisioner);
        let stop = stop.clone();
        self.drives.spawn(async move {
            while let Err(fault) = provisioner.drive(sandbox, &stop).await {
                log_interrupted(&fault, "driving a sandbox");
                if stop.run_until_cancelled(sleep(RETRY_PAUSE)).await.is_none() {
                    break;
                }
            }
            sandbox
        });
    }

    fn forget(&mut self, ended: Option<SandboxId>) {
        match ended {
            Some(sandbox) => {
                self.driven.remove(&sandbox);
            }
            // A panic does not say whose drive it was: allow a new drive for every sandbox.
            None => self.driven.clear(),
        }
    }

    /// Removes these containers in a task of its own; not while it runs already.
    fn remove_containers(&mut self, orphans: Vec<ContainerName>) {
        if orphans.is_empty() || !self.removals.is_empty() {
            return;
        }
        let provisioner = Arc::clone(&self.provisioner);
        self.removals.spawn(async move {
            if let Err(fault) = provisioner.remove_containers(&orphans).await {
                log_interrupted(&fault, "removing containers without sandboxes");
            }
        });
    }

    /// Searches for orphaned model keys in a task of its own, now and then; not while it runs already.
    fn remove_orphaned_keys_when_due(&mut self, stop: &CancellationToken) {
        let is_due = self
            .keys_checked_at
            .is_none_or(|last| last.elapsed() >= self.intervals.keys);
        if !is_due || !self.key_search.is_empty() {
            return;
        }
        self.keys_checked_at = Some(Instant::now());
        let provisioner = Arc::clone(&self.provisioner);
        let unknown = Arc::clone(&self.unknown_keys);
        let stop = stop.clone();
        self.key_search.spawn(async move {
            let searching = provisioner.remove_orphaned_keys(&unknown);
            if let Some(Err(fault)) = stop.run_until_cancelled(searching).await {
                log_interrupted(&fault, "removing model keys without sandboxes");
            }
        });
    }
}

impl Provisioner {
    async fn survey(&self) -> Result<Survey, Fault> {
        let Backend::Containers(containers) = &self.backend else {
            let (host, found) = (self.host().await?, None);
            return Ok(Survey { host, found });
        };
        containers.read_engine_id().await?;
        let host = self.host().await?;
        // Before the rows are read: otherwise a container made in between would seem to have no row.
        let found = Some(containers.list().await?);
        Ok(Survey { host, found })
    }

    async fn remove_containers(&self, orphans: &[ContainerName]) -> Result<(), Fault> {
        let Backend::Containers(containers) = &self.backend else {
            return Ok(());
        };
        for name in orphans {
            warn!("container {name} belongs to no sandbox and is removed");
            containers.runtime.remove(name).await?;
            ORPHANS_REMOVED.increment(["container"]);
        }
        Ok(())
    }

    /// Deletes the installation's model keys that no row has referred to for a while.
    async fn remove_orphaned_keys(&self, unknown: &Mutex<UnknownKeys>) -> Result<(), Fault> {
        let Backend::Containers(containers) = &self.backend else {
            return Ok(());
        };
        // Keys before rows: otherwise a key made in between would seem to be in no row.
        let listed = containers.keys.list().await?;
        let mut known = KnownKeys::default();
        for key in containers.sandboxes.known_model_keys().await? {
            known.hashes.extend(key.hash);
            known.names.extend(key.name);
        }
        let (owner, now) = (&containers.settings.owner, self.clock.now());
        let orphans = unknown.lock().orphans(owner, &listed, &known, now);
        for hash in orphans {
            info!(key.hash = %hash, "model key {hash} belongs to no sandbox and is deleted");
            containers.keys.revoke(&hash).await?;
            ORPHANS_REMOVED.increment(["key"]);
        }
        Ok(())
    }

    /// Asks a ready sandbox whether it answers; returns whether it has been silent for too long.
    async fn look(&self, sandbox: &AnySandbox) -> bool {
        let (Backend::Containers(containers), Some(endpoint)) = (&self.backend, &sandbox.endpoint)
        else {
            return false;
        };
        let has_answered = containers.probe.is_alive(endpoint).await;
        let (start, now) = (sandbox.current_start(), self.clock.now());
        let (is_silent, is_steady) = {
            let mut liveness = self.liveness.lock();
            liveness.record(start, has_answered, now);
            (liveness.is_silent(start), liveness.is_steady(start))
        };
        if is_steady
            && sandbox.failures > 0
            && let Err(error) = self.sandboxes.forget_failures(start, now).await
        {
            log_interrupted(&error.into(), "forgetting the failures of a sandbox");
        }
        is_silent
    }
}

/// The rows that this engine has or may have, and those that another one has.
fn by_engine(rows: Vec<AnySandbox>, host: &Host) -> (Vec<AnySandbox>, Vec<AnySandbox>) {
    rows.into_iter()
        .partition(|row| row.engine.is_none() || row.engine == host.engine)
}

fn count_by_engine(rows: &[AnySandbox]) -> HashMap<&str, u32> {
    let mut counted: HashMap<&str, u32> = HashMap::new();
    for engine in rows.iter().filter_map(|row| row.engine.as_deref()) {
        *counted.entry(engine).or_default() += 1;
    }
    counted
}

/// The sandboxes that need a drive: those that are to be started or removed, ready ones whose container does not run or
/// that do not answer, and sleepers that still have a container or a port.
fn to_drive<'a>(
    rows: &'a [AnySandbox],
    found: Option<&[ListedContainer]>,
    is_silent: impl Fn(SandboxStart) -> bool,
    now: DateTime<Utc>,
) -> Vec<&'a AnySandbox> {
    let existing: HashSet<&ContainerName> = found
        .into_iter()
        .flatten()
        .map(|found| &found.name)
        .collect();
    let running = found.map(running);
    let needs_work = |sandbox: &&AnySandbox| match sandbox.status {
        SandboxStatus::Requested => !is_pausing(sandbox, now),
        SandboxStatus::Starting | SandboxStatus::Removing => true,
        SandboxStatus::Ready => {
            let is_dead = |running: &HashSet<_>| !running.contains(&name_of(sandbox));
            running.as_ref().is_some_and(is_dead) || is_silent(sandbox.current_start())
        }
        SandboxStatus::Asleep => sandbox.port.is_some() || existing.contains(&name_of(sandbox)),
        SandboxStatus::Queued | SandboxStatus::Failed | SandboxStatus::Removed => false,
    };
    rows.iter().filter(needs_work).collect()
}

fn running(found: &[ListedContainer]) -> HashSet<&ContainerName> {
    let running = found.iter().filter(|container| container.is_running);
    running.map(|container| &container.name).collect()
}

/// Our containers that no row wants. A sleeper's container is stopped gracefully by its drive.
fn to_remove(rows: &[AnySandbox], found: &[ListedContainer]) -> Vec<ContainerName> {
    let wanted: HashSet<ContainerName> = rows
        .iter()
        .filter(|row| row.status.takes_a_place() || row.status == SandboxStatus::Asleep)
        .map(name_of)
        .collect();
    found
        .iter()
        .map(|container| &container.name)
        .filter(|name| !wanted.contains(name))
        .cloned()
        .collect()
}

fn record_statuses(rows: &[AnySandbox]) {
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
