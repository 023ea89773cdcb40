//! Brings sandboxes to where they should be: observes, decides and acts until there is nothing left to do.
//!
//! All progress is in the row. Every step stores its intent before its effect and may be repeated, so that after
//! a crash the next process observes the sandbox and goes on.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Weak},
    time::Duration,
};

use claw_bus::Publisher;
use claw_docker::ContainerState;
use claw_domain::{FailureReason, SandboxId, SandboxStatus, UserId, WakeReason};
use claw_events::{OperatorEvent, SandboxRequested};
use claw_metrics::{SANDBOX_START_DURATION, SANDBOX_STARTS, SANDBOX_STARTS_WAITING};
use claw_runtime::Clock;
use claw_store::{AnySandbox, Host, Keyring, Sandbox, SandboxRequest, Sandboxes};
use claw_suspensions::SuspensionView;
use parking_lot::Mutex;
use rand::{RngExt, rand_core::UnwrapErr, rngs::SysRng};
use secrecy::SecretString;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span, warn};

use crate::{
    backend::Backend,
    fault::Fault,
    liveness::Liveness,
    pool::PoolFailures,
    readiness::Readiness,
    retry::RetryState,
    room::AskedToSleep,
    start_permits::{StartPermit, StartPermits},
    start_queue::StartClass,
    step::{
        Hosting, Observed, Step, Timeouts, changes, is_part_of_start, needs_permit, next_step,
        step_after_failure,
    },
};

/// The settings of all sandboxes on this host.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of this host, in the rows of its sandboxes.
    pub host: String,
    /// The language model of new sandboxes.
    pub model: String,
    /// The operator's limit for the number of places on all hosts together; [`u32::MAX`] for none.
    pub cap: u32,
    /// How many spare sandboxes are kept ready for newcomers.
    pub pool_size: u32,
    /// How many sandboxes may start at the same time. A start takes about 8 CPU seconds, the first one 10.
    pub starts_at_once: usize,
    /// The time limits of a start.
    pub timeouts: Timeouts,
    /// How long before a job or heartbeat is due its sandbox is started.
    pub wake_lead: Duration,
}

/// Starts sandboxes, lets them sleep, wakes and removes them, and removes what it made for those it gives up.
pub struct Provisioner {
    pub(crate) settings: Settings,
    pub(crate) backend: Backend,
    pub(crate) sandboxes: Sandboxes,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) publisher: Publisher,
    pub(crate) suspensions: SuspensionView,
    pub(crate) liveness: Mutex<Liveness>,
    pub(crate) permits: StartPermits,
    /// Notified when rows have changed by order of an operator.
    pub(crate) rows_changed: Notify,
    /// Notified when somebody waits for a place or gives one up, or the pool may have to change.
    pub(crate) places_changed: Notify,
    pub(crate) pool_failures: Mutex<PoolFailures>,
    pub(crate) asked_to_sleep: Mutex<AskedToSleep>,
    engines_told: Mutex<HashSet<String>>,
    drive_locks: Mutex<HashMap<SandboxId, Weak<tokio::sync::Mutex<()>>>>,
}

/// The result of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The step was taken: observe the sandbox again.
    Advanced,
    /// Observe the sandbox again after this pause.
    Wait(Duration),
    /// The next step needs a start permit.
    NeedsPermit,
    /// Nothing is left to do.
    Done,
    /// Another engine has the sandbox's container and volume: it is not ours to touch.
    Elsewhere,
    /// Its user was suspended, so it does not start. It goes on afterwards.
    Suspended,
}

/// The state of one drive, which a crash may lose.
#[derive(Default)]
struct DriveState {
    starts: u32,
    retry: Option<RetryState>,
    permit: Option<StartPermit>,
    /// When it first got a permit.
    began: Option<Instant>,
}

impl Provisioner {
    /// Puts the parts together without starting any work.
    pub fn new(
        settings: Settings,
        backend: Backend,
        sandboxes: Sandboxes,
        keyring: Arc<Keyring>,
        publisher: Publisher,
        suspensions: SuspensionView,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let permits = StartPermits::new(settings.starts_at_once);
        Self {
            settings,
            backend,
            sandboxes,
            clock,
            keyring,
            publisher,
            suspensions,
            liveness: Mutex::default(),
            permits,
            rows_changed: Notify::new(),
            places_changed: Notify::new(),
            pool_failures: Mutex::default(),
            asked_to_sleep: Mutex::default(),
            engines_told: Mutex::default(),
            drive_locks: Mutex::default(),
        }
    }

    /// Stores that a user needs a sandbox: a newcomer gets a spare one if one is ready, or else a new one, with its secrets.
    /// May be repeated.
    pub async fn request(&self, requested: &SandboxRequested) -> Result<Sandbox, Fault> {
        let host = self.host_if_known().await;
        let request = SandboxRequest {
            user: requested.user,
            cause: requested.cause,
            attempt: requested.attempt,
            cap: self.places(),
            now: self.clock.now(),
        };
        if let Some(claimed) = self.claim(&request, &host).await? {
            return Ok(claimed);
        }
        let new = self.new_sandbox(host);
        let requesting = self.sandboxes.request(&request, &new, &self.keyring);
        let sandbox = requesting.await?;
        if sandbox.id == new.id {
            self.count_miss();
        }
        if sandbox.status == SandboxStatus::Queued {
            self.places_changed.notify_one();
        }
        Ok(sandbox)
    }

    /// The number of places on all hosts together: what this host has room for, but not more than the operator allows.
    pub fn places(&self) -> u32 {
        match &self.backend {
            Backend::Containers(containers) => containers.room(self.settings.cap).places(),
            Backend::External { .. } => self.settings.cap,
        }
    }

    /// Whether a user is suspended or, for a spare sandbox, everybody.
    pub(crate) fn is_suspended(&self, user: Option<UserId>) -> bool {
        match user {
            Some(user) => self.suspensions.is_suspended(user),
            None => self.suspensions.current().everybody.is_some(),
        }
    }

    /// This host, with the id of its engine. Fails if the engine does not tell its id.
    pub(crate) async fn host(&self) -> Result<Host, Fault> {
        let engine = match &self.backend {
            Backend::Containers(containers) => Some(containers.engine_id().await?),
            Backend::External { .. } => None,
        };
        let name = self.settings.host.clone();
        Ok(Host { name, engine })
    }

    /// This host; `None` while its engine has not told its id.
    pub(crate) fn known_host(&self) -> Option<Host> {
        let engine = match &self.backend {
            Backend::Containers(containers) => Some(containers.known_engine_id()?),
            Backend::External { .. } => None,
        };
        let name = self.settings.host.clone();
        Some(Host { name, engine })
    }

    /// This host; without an engine if that does not tell its id. The rows of sandboxes with a volume then stay as they
    /// are.
    async fn host_if_known(&self) -> Host {
        self.host().await.unwrap_or_else(|_| Host {
            name: self.settings.host.clone(),
            engine: None,
        })
    }

    /// Whether another engine has the sandbox's container and volume. The operator is told.
    pub async fn is_elsewhere<User: Sync>(&self, sandbox: &Sandbox<User>) -> Result<bool, Fault> {
        let Some(engine) = &sandbox.engine else {
            return Ok(false);
        };
        if self.host().await?.engine.as_ref() == Some(engine) {
            return Ok(false);
        }
        self.tell_elsewhere(engine, 1).await;
        Ok(true)
    }

    /// Tells the operator once of the sandboxes of another engine.
    pub(crate) async fn tell_elsewhere(&self, engine: &str, sandboxes: u32) {
        let is_new = self.engines_told.lock().insert(engine.to_owned());
        if is_new {
            let engine = engine.to_owned();
            let elsewhere = OperatorEvent::SandboxesElsewhere { engine, sandboxes };
            self.publisher.tell_operator(&elsewhere).await;
        }
    }

    /// Acts on the sandbox until nothing is left to do for now, then publishes its state. Returns `false` if
    /// `stop` came first. Fails only if our database or bus does.
    pub async fn drive(&self, sandbox: SandboxId, stop: &CancellationToken) -> Result<bool, Fault> {
        let lock = self.lock_of(sandbox);
        let working = async {
            let _guard = lock.lock().await;
            self.drive_locked(sandbox, stop).await
        };
        working
            .instrument(info_span!("provisioner.drive", sandbox.id = %sandbox))
            .await
    }

    /// Whether a task drives the sandbox, or waits to.
    pub(crate) fn is_driven(&self, sandbox: SandboxId) -> bool {
        let locks = self.drive_locks.lock();
        locks
            .get(&sandbox)
            .is_some_and(|lock| lock.strong_count() > 0)
    }

    async fn drive_locked(
        &self,
        sandbox: SandboxId,
        stop: &CancellationToken,
    ) -> Result<bool, Fault> {
        let mut state = DriveState::default();
        while !stop.is_cancelled() {
            let Some(sandbox) = self.sandboxes.by_id(sandbox).await? else {
                return Ok(true);
            };
            match self.advance(&sandbox, &mut state).await? {
                Progress::Advanced => {}
                Progress::Wait(pause) => {
                    stop.run_until_cancelled(sleep(pause)).await;
                }
                Progress::NeedsPermit => {
                    let class = self.class_of(&sandbox).await?;
                    let permit = self.permits.acquire(sandbox.id, class);
                    state.permit = stop.run_until_cancelled(permit).await;
                    state.began.get_or_insert_with(Instant::now);
                }
                Progress::Done => {
                    self.announce(&sandbox).await?;
                    count_start(&sandbox, state.began);
                    return Ok(true);
                }
                Progress::Elsewhere | Progress::Suspended => return Ok(true),
            }
        }
        Ok(false)
    }

    /// How urgent the start of a sandbox is.
    async fn class_of(&self, sandbox: &AnySandbox) -> Result<StartClass, Fault> {
        if sandbox.user.is_none() {
            return Ok(StartClass::Pool);
        }
        if sandbox.start == 1 {
            return Ok(StartClass::Newcomer);
        }
        let host = &self.settings.host;
        let awaited = self.sandboxes.awaited(host, Some(sandbox.id)).await?;
        if !awaited.is_empty() {
            return Ok(StartClass::Awaited);
        }
        Ok(match sandbox.wake_for {
            Some(WakeReason::Job) => StartClass::Due,
            Some(WakeReason::Heartbeat) => StartClass::Heartbeat,
            None => StartClass::Restart,
        })
    }

    /// The number of starts that wait for a permit.
    pub fn waiting_starts(&self) -> usize {
        self.permits.waiting()
    }

    /// Lets the starts go first for which somebody has begun to wait.
    pub(crate) async fn hurry_awaited(&self) -> Result<(), Fault> {
        let waiting = self.waiting_starts();
        SANDBOX_STARTS_WAITING.set(f64::from(u32::try_from(waiting).unwrap_or(u32::MAX)), []);
        if waiting > 0 {
            for sandbox in self.sandboxes.awaited(&self.settings.host, None).await? {
                self.permits.raise(sandbox, StartClass::Awaited);
            }
        }
        Ok(())
    }

    /// Observes, decides and acts once.
    async fn advance(
        &self,
        sandbox: &AnySandbox,
        state: &mut DriveState,
    ) -> Result<Progress, Fault> {
        match self.try_to_advance(sandbox, state).await {
            Ok(progress) => {
                if progress == Progress::Advanced {
                    state.retry = None;
                }
                Ok(progress)
            }
            Err(fault) => self.recover(sandbox, state, fault).await,
        }
    }

    async fn try_to_advance(
        &self,
        sandbox: &AnySandbox,
        state: &mut DriveState,
    ) -> Result<Progress, Fault> {
        if self.is_elsewhere(sandbox).await? {
            return Ok(Progress::Elsewhere);
        }
        let observed = self.observe(sandbox, state.starts).await?;
        let step = self.decide(sandbox, &observed);
        if is_part_of_start(step) && self.is_suspended(sandbox.user) {
            return Ok(Progress::Suspended);
        }
        // If another engine is reached since the last pass, it has no containers of the sandbox.
        if let (true, Backend::Containers(containers)) = (changes(step), &self.backend) {
            containers.read_engine_id().await?;
            if self.is_elsewhere(sandbox).await? {
                return Ok(Progress::Elsewhere);
            }
        }
        let (timeouts, now) = (self.settings.timeouts, self.clock.now());
        if !needs_permit(step, sandbox, timeouts, now) {
            state.permit = None;
        } else if state.permit.is_none() {
            return Ok(Progress::NeedsPermit);
        }
        if step == Step::StartContainer {
            state.starts += 1;
        }
        self.act(sandbox, step).await
    }

    /// Observes the sandbox outside its row.
    pub async fn observe(&self, sandbox: &AnySandbox, starts: u32) -> Result<Observed, Fault> {
        let may_have_container = match sandbox.status {
            SandboxStatus::Starting | SandboxStatus::Ready | SandboxStatus::Asleep => true,
            SandboxStatus::Queued
            | SandboxStatus::Requested
            | SandboxStatus::Removing
            | SandboxStatus::Failed
            | SandboxStatus::Removed => false,
        };
        match &self.backend {
            Backend::Containers(containers) if may_have_container => {
                let observed = containers.observe(sandbox, starts).await?;
                let is_silent = self.liveness.lock().is_silent(sandbox.current_start());
                Ok(if is_silent {
                    Observed {
                        readiness: Readiness::Silent,
                        ..observed
                    }
                } else {
                    observed
                })
            }
            Backend::Containers(_) | Backend::External { .. } => Ok(Observed {
                container: ContainerState::Absent,
                readiness: Readiness::NotReady,
                starts,
            }),
        }
    }

    /// The next step at this time.
    pub fn decide(&self, sandbox: &AnySandbox, observed: &Observed) -> Step {
        let hosting = match self.backend {
            Backend::Containers(_) => Hosting::Containers,
            Backend::External { .. } => Hosting::External,
        };
        next_step(
            hosting,
            sandbox,
            observed,
            self.settings.timeouts,
            self.clock.now(),
        )
    }

    /// Waits for a retry, or gives the sandbox up, after a dependency failed.
    async fn recover(
        &self,
        sandbox: &AnySandbox,
        state: &mut DriveState,
        fault: Fault,
    ) -> Result<Progress, Fault> {
        let Fault::Dependency {
            reason,
            is_permanent,
            asked_pause,
            ..
        } = &fault
        else {
            return Err(fault);
        };
        let now = self.clock.now();
        let retry = RetryState::first(*reason, *is_permanent, *asked_pause, now).after(state.retry);
        state.retry = Some(retry);
        if retry.is_worth_logging() {
            let error = &fault as &dyn std::error::Error;
            warn!(
                error,
                sandbox.id = %sandbox.id,
                "a dependency of sandbox {} failed: {}", sandbox.id, reason.as_str()
            );
        }
        // Others go first while this one waits.
        state.permit = None;
        let mut step = step_after_failure(sandbox, &retry, self.settings.timeouts, now);
        if matches!(step, Step::GiveUp(_) | Step::Discard(_)) && !self.is_surely_here(sandbox) {
            step = Step::Wait(retry.pause());
        }
        match self.act(sandbox, step).await {
            // Giving the sandbox up failed as well: that is retried too.
            Err(Fault::Dependency { .. }) => Ok(Progress::Wait(retry.pause())),
            result => result,
        }
    }

    /// Whether no other engine can have the sandbox's volume. An engine that has never answered may be any.
    fn is_surely_here(&self, sandbox: &AnySandbox) -> bool {
        let known = match &self.backend {
            Backend::Containers(containers) => containers.known_engine_id(),
            Backend::External { .. } => None,
        };
        sandbox.engine.is_none() || sandbox.engine == known
    }

    /// The lock that lets one task at a time drive a sandbox.
    pub(crate) fn lock_of(&self, sandbox: SandboxId) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.drive_locks.lock();
        locks.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = locks.get(&sandbox).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        locks.insert(sandbox, Arc::downgrade(&lock));
        lock
    }
}

/// Counts a start that has ended, with its outcome and, if it succeeded, its duration.
fn count_start(sandbox: &AnySandbox, began: Option<Instant>) {
    let (Some(began), SandboxStatus::Ready | SandboxStatus::Failed) = (began, sandbox.status)
    else {
        return;
    };
    let outcome = sandbox
        .failure
        .map_or(sandbox.status.as_str(), FailureReason::as_str);
    SANDBOX_STARTS.increment([outcome]);
    if sandbox.status == SandboxStatus::Ready {
        SANDBOX_START_DURATION.observe(began.elapsed(), []);
    }
}

/// A random token: 256 bits from the operating system, in hex.
pub(crate) fn new_token() -> SecretString {
    let bytes: [u8; 32] = UnwrapErr(SysRng).random();
    hex::encode(bytes).into()
}
