//! Brings requested sandboxes to ready: observes, decides and acts until there is nothing left to do.
//!
//! All progress is in the row. Every action stores its intent before its effect and may be repeated, so that after
//! a crash the next process observes the sandbox and goes on.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use claw_agent::DeviceKey;
use claw_bus::Publisher;
use claw_docker::{ContainerState, VolumeName};
use claw_domain::{SandboxId, SandboxStatus, UserId};
use claw_events::SandboxRequested;
use claw_runtime::Clock;
use claw_store::{Keyring, NewSandbox, Sandbox, SandboxRequest, Sandboxes};
use claw_suspensions::SuspensionView;
use parking_lot::Mutex;
use rand::{RngExt, rand_core::UnwrapErr, rngs::SysRng};
use secrecy::SecretString;
use tokio::{sync::Semaphore, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span, warn};
use uuid::Uuid;

use crate::{
    action::{Action, Hosting, Observed, Timeouts, action_after_failure, next_action},
    backend::Backend,
    fault::Fault,
    readiness::Readiness,
    retry::RetryState,
    start_permit::StartPermit,
};

/// The settings of all sandboxes on this host.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of this host, in the rows of its sandboxes.
    pub host: String,
    /// The language model of new sandboxes.
    pub model: String,
    /// The number of places on all hosts together.
    pub cap: u32,
    /// How many sandboxes may start at the same time. A start keeps a core busy for 15 s.
    pub starts_at_once: usize,
    /// The time limits of a start.
    pub timeouts: Timeouts,
}

/// Starts sandboxes, and removes what it made for those it gives up.
pub struct Provisioner {
    pub(crate) settings: Settings,
    pub(crate) backend: Backend,
    pub(crate) sandboxes: Sandboxes,
    pub(crate) clock: Arc<dyn Clock>,
    keyring: Arc<Keyring>,
    pub(crate) publisher: Publisher,
    pub(crate) suspensions: SuspensionView,
    starts: Arc<Semaphore>,
    drive_locks: Mutex<HashMap<UserId, Weak<tokio::sync::Mutex<()>>>>,
}

/// The result of one action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The action was taken: observe the sandbox again.
    Advanced,
    /// Observe the sandbox again after this pause.
    Wait(Duration),
    /// The next action needs a start permit.
    NeedsPermit,
    /// Nothing is left to do.
    Done,
}

/// The state of one drive, which a crash may lose.
#[derive(Default)]
struct DriveState {
    starts: u32,
    retry: Option<RetryState>,
    permit: Option<StartPermit>,
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
        let starts = Arc::new(Semaphore::new(settings.starts_at_once));
        Self {
            settings,
            backend,
            sandboxes,
            clock,
            keyring,
            publisher,
            suspensions,
            starts,
            drive_locks: Mutex::default(),
        }
    }

    /// Stores that a user needs a sandbox, with its secrets. May be repeated.
    pub async fn request(&self, requested: &SandboxRequested) -> Result<Sandbox, Fault> {
        let id = SandboxId::from_uuid(Uuid::new_v4());
        let new = NewSandbox {
            id,
            host: self.settings.host.clone(),
            container_name: VolumeName::of(id).to_string(),
            model: self.settings.model.clone(),
            gateway_token: match &self.backend {
                Backend::Containers(_) => new_token(),
                Backend::External { gateway_token, .. } => gateway_token.clone(),
            },
            device_seed: DeviceKey::generate().seed(),
        };
        let request = SandboxRequest {
            user: requested.user,
            cause: requested.cause,
            attempt: requested.attempt,
            cap: self.settings.cap,
            now: self.clock.now(),
        };
        Ok(self
            .sandboxes
            .request(&request, &new, &self.keyring)
            .await?)
    }

    /// Acts on the user's sandbox until nothing is left to do, then publishes its state. Returns `false` if
    /// `stop` came first. Fails only if our database or bus does.
    pub async fn drive(&self, user: UserId, stop: &CancellationToken) -> Result<bool, Fault> {
        let lock = self.lock_of(user);
        let working = async {
            let _guard = lock.lock().await;
            self.drive_locked(user, stop).await
        };
        working
            .instrument(info_span!("provisioner.drive", user.id = %user))
            .await
    }

    async fn drive_locked(&self, user: UserId, stop: &CancellationToken) -> Result<bool, Fault> {
        let mut state = DriveState::default();
        while !stop.is_cancelled() {
            let Some(sandbox) = self.sandboxes.of_user(user).await? else {
                return Ok(true);
            };
            match self.advance(&sandbox, &mut state).await? {
                Progress::Advanced => {}
                Progress::Wait(pause) => {
                    stop.run_until_cancelled(sleep(pause)).await;
                }
                Progress::NeedsPermit => {
                    state.permit = stop
                        .run_until_cancelled(self.start_permit())
                        .await
                        .flatten();
                }
                Progress::Done => {
                    self.announce(&sandbox).await?;
                    if let Some(permit) = state.permit {
                        permit.finish(&sandbox);
                    }
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn start_permit(&self) -> Option<StartPermit> {
        let permit = Arc::clone(&self.starts).acquire_owned().await.ok()?;
        Some(StartPermit::new(permit))
    }

    /// Observes, decides and acts once.
    async fn advance(&self, sandbox: &Sandbox, state: &mut DriveState) -> Result<Progress, Fault> {
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
        sandbox: &Sandbox,
        state: &mut DriveState,
    ) -> Result<Progress, Fault> {
        let observed = self.observe(sandbox, state.starts).await?;
        let action = self.decide(sandbox, &observed);
        if action != Action::None && state.permit.is_none() {
            return Ok(Progress::NeedsPermit);
        }
        if action == Action::StartContainer {
            state.starts += 1;
        }
        self.act(sandbox, action).await
    }

    /// Observes the sandbox outside its row.
    pub async fn observe(&self, sandbox: &Sandbox, starts: u32) -> Result<Observed, Fault> {
        let may_have_container = match sandbox.status {
            SandboxStatus::Starting | SandboxStatus::Ready => true,
            SandboxStatus::Queued
            | SandboxStatus::Requested
            | SandboxStatus::Asleep
            | SandboxStatus::Removing
            | SandboxStatus::Failed
            | SandboxStatus::Removed => false,
        };
        match &self.backend {
            Backend::Containers(containers) if may_have_container => {
                containers.observe(sandbox, starts).await
            }
            Backend::Containers(_) | Backend::External { .. } => Ok(Observed {
                container: ContainerState::Absent,
                readiness: Readiness::NotReady,
                starts,
            }),
        }
    }

    /// The next action at this time.
    pub fn decide(&self, sandbox: &Sandbox, observed: &Observed) -> Action {
        let hosting = match self.backend {
            Backend::Containers(_) => Hosting::Containers,
            Backend::External { .. } => Hosting::External,
        };
        next_action(
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
        sandbox: &Sandbox,
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
        let action = action_after_failure(sandbox, &retry, self.settings.timeouts, now);
        match self.act(sandbox, action).await {
            // Giving the sandbox up failed as well: that is retried too.
            Err(Fault::Dependency { .. }) => Ok(Progress::Wait(retry.pause())),
            result => result,
        }
    }

    /// The lock that lets one task at a time drive a user's sandbox.
    fn lock_of(&self, user: UserId) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.drive_locks.lock();
        locks.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = locks.get(&user).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        locks.insert(user, Arc::downgrade(&lock));
        lock
    }
}

/// A random token: 256 bits from the operating system, in hex.
fn new_token() -> SecretString {
    let bytes: [u8; 32] = UnwrapErr(SysRng).random();
    hex::encode(bytes).into()
}
