//! Takes sandboxes from wish to ready: looks, decides, acts, until there is nothing left to do.
//!
//! The row is the memory. Every step writes down what it is about to do before it does it, and may be
//! repeated; whoever wakes up next after a crash looks at the world again and goes on.

use std::{
    collections::HashMap,
    fmt::Write,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use claw_agent::DeviceKey;
use claw_bus::Publisher;
use claw_docker::{ContainerState, External, VolumeName};
use claw_domain::{FailureReason, SandboxId, SandboxStatus, UserId};
use claw_events::{SandboxFailed, SandboxQueued, SandboxReady, SandboxRequested};
use claw_runtime::Clock;
use claw_store::{Keyring, NewSandbox, Sandbox, SandboxWish, Sandboxes};
use metrics::{counter, histogram};
use rand::{RngExt, rand_core::UnwrapErr, rngs::SysRng};
use secrecy::SecretString;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, debug, info, info_span, warn};
use uuid::Uuid;

use crate::{
    containers::Containers,
    door::Door,
    step::{Hosting, Observed, Patience, Step, after_trouble, next_step},
    trouble::{Fault, Trouble},
};

/// Where sandboxes come from.
pub enum Place {
    /// Containers of this host.
    Containers(Box<Containers>),
    /// Addresses somebody else serves.
    Elsewhere {
        /// Where.
        addresses: External,
        /// What every gateway there asks of us.
        gateway_token: SecretString,
    },
}

/// What holds for every sandbox of this host.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of this host, in every row that lives here.
    pub host: String,
    /// The language model of new sandboxes.
    pub model: String,
    /// How many places there are, over all hosts.
    pub cap: u32,
    /// How many may start at the same time. A start keeps a core busy for 15 s.
    pub starts_at_once: usize,
    /// How long things may take.
    pub patience: Patience,
}

/// Makes sandboxes, and undoes what it made of those it has to give up.
pub struct Provisioner {
    pub(crate) settings: Settings,
    pub(crate) place: Place,
    pub(crate) sandboxes: Sandboxes,
    pub(crate) clock: Arc<dyn Clock>,
    keyring: Arc<Keyring>,
    publisher: Publisher,
    starts: Arc<Semaphore>,
    at_work: Mutex<HashMap<UserId, Weak<tokio::sync::Mutex<()>>>>,
}

/// What came of looking at a sandbox once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Something was done: look again.
    Moved,
    /// Look again after this pause.
    Wait(Duration),
    /// There is work, and it has to wait for its turn.
    NeedsTurn,
    /// Nothing is left to do.
    AtRest,
}

/// What is remembered of a sandbox while it is driven; nothing that may not be lost.
#[derive(Default)]
struct Memory {
    starts: u32,
    trouble: Option<Trouble>,
    turn: Option<Turn>,
}

/// The right to work, one of few at a time.
struct Turn {
    began: Instant,
    _permit: OwnedSemaphorePermit,
}

impl Provisioner {
    /// Puts the parts together; nothing happens yet.
    pub fn new(
        settings: Settings,
        place: Place,
        sandboxes: Sandboxes,
        keyring: Arc<Keyring>,
        publisher: Publisher,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let starts = Arc::new(Semaphore::new(settings.starts_at_once));
        let at_work = Mutex::default();
        Self {
            settings,
            place,
            sandboxes,
            clock,
            keyring,
            publisher,
            starts,
            at_work,
        }
    }

    /// Writes down that somebody needs a sandbox, with its secrets. May be repeated.
    pub async fn request(&self, wish: &SandboxRequested) -> Result<Sandbox, Fault> {
        let id = SandboxId::from_uuid(Uuid::new_v4());
        let new = NewSandbox {
            id,
            host: self.settings.host.clone(),
            container_name: VolumeName::of(id).to_string(),
            model: self.settings.model.clone(),
            gateway_token: match &self.place {
                Place::Containers(_) => new_token(),
                Place::Elsewhere { gateway_token, .. } => gateway_token.clone(),
            },
            device_seed: DeviceKey::generate().seed(),
        };
        let wish = SandboxWish {
            user: wish.user,
            cause: wish.cause,
            attempt: wish.attempt,
            cap: self.settings.cap,
            now: self.clock.now(),
        };
        Ok(self
            .sandboxes
            .request(&wish, &new, &self.keyring)
            .await?
            .sandbox)
    }

    /// Takes the person's sandbox as far as it goes, and says what it came to. Returns `false` when
    /// it was stopped before that. Fails only when our own database or bus does.
    pub async fn drive(&self, user: UserId, stop: &CancellationToken) -> Result<bool, Fault> {
        let lock = self.lock_of(user);
        let working = async {
            let _alone = lock.lock().await;
            self.drive_alone(user, stop).await
        };
        working
            .instrument(info_span!("provisioner.drive", user.id = %user))
            .await
    }

    async fn drive_alone(&self, user: UserId, stop: &CancellationToken) -> Result<bool, Fault> {
        let mut memory = Memory::default();
        while !stop.is_cancelled() {
            let Some(sandbox) = self.sandboxes.of_user(user).await? else {
                return Ok(true);
            };
            match self.advance(&sandbox, &mut memory).await? {
                Progress::Moved => {}
                Progress::Wait(pause) => {
                    stop.run_until_cancelled(sleep(pause)).await;
                }
                Progress::NeedsTurn => {
                    memory.turn = stop.run_until_cancelled(self.turn()).await.flatten();
                }
                Progress::AtRest => {
                    self.tell(&sandbox).await?;
                    count(&sandbox, memory.turn);
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    async fn turn(&self) -> Option<Turn> {
        let permit = Arc::clone(&self.starts).acquire_owned().await.ok()?;
        Some(Turn {
            began: Instant::now(),
            _permit: permit,
        })
    }

    /// Looks, decides and acts, once.
    async fn advance(&self, sandbox: &Sandbox, memory: &mut Memory) -> Result<Progress, Fault> {
        match self.try_to_advance(sandbox, memory).await {
            Ok(progress) => {
                if progress == Progress::Moved {
                    memory.trouble = None;
                }
                Ok(progress)
            }
            Err(fault) => self.meet(sandbox, memory, fault).await,
        }
    }

    async fn try_to_advance(
        &self,
        sandbox: &Sandbox,
        memory: &mut Memory,
    ) -> Result<Progress, Fault> {
        let observed = self.observe(sandbox, memory.starts).await?;
        let step = self.decide(sandbox, &observed);
        if step != Step::Rest && memory.turn.is_none() {
            return Ok(Progress::NeedsTurn);
        }
        if step == Step::StartContainer {
            memory.starts += 1;
        }
        self.act(sandbox, step).await
    }

    /// What there is to see of the sandbox outside its row.
    pub async fn observe(&self, sandbox: &Sandbox, starts: u32) -> Result<Observed, Fault> {
        let is_worth_a_look = matches!(
            sandbox.status,
            SandboxStatus::Starting | SandboxStatus::Ready
        );
        match &self.place {
            Place::Containers(containers) if is_worth_a_look => {
                containers.observe(sandbox, starts).await
            }
            Place::Containers(_) | Place::Elsewhere { .. } => Ok(Observed {
                container: ContainerState::Absent,
                door: Door::Silent,
                starts,
            }),
        }
    }

    /// The next step, now.
    pub fn decide(&self, sandbox: &Sandbox, observed: &Observed) -> Step {
        let hosting = match self.place {
            Place::Containers(_) => Hosting::Containers,
            Place::Elsewhere { .. } => Hosting::Elsewhere,
        };
        next_step(
            hosting,
            sandbox,
            observed,
            self.settings.patience,
            self.clock.now(),
        )
    }

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

    /// Waits, or gives up, after something outside did not work.
    async fn meet(
        &self,
        sandbox: &Sandbox,
        memory: &mut Memory,
        fault: Fault,
    ) -> Result<Progress, Fault> {
        let Fault::Outside {
            reason,
            is_permanent,
            asked_pause,
            ..
        } = &fault
        else {
            return Err(fault);
        };
        let now = self.clock.now();
        let trouble =
            Trouble::first(*reason, *is_permanent, *asked_pause, now).after(memory.trouble);
        memory.trouble = Some(trouble);
        if trouble.is_worth_telling() {
            let error = &fault as &dyn std::error::Error;
            warn!(error, sandbox.id = %sandbox.id, "sandbox {} is in trouble: {}", sandbox.id, reason.as_str());
        }
        let step = after_trouble(sandbox, &trouble, self.settings.patience, now);
        match self.act(sandbox, step).await {
            // Undoing met trouble as well: that is waited out like any other.
            Err(Fault::Outside { .. }) => Ok(Progress::Wait(trouble.pause())),
            result => result,
        }
    }

    /// Says what the sandbox came to. Saying it again is harmless.
    async fn tell(&self, sandbox: &Sandbox) -> Result<(), Fault> {
        let Sandbox {
            user, id, start, ..
        } = *sandbox;
        match (sandbox.status, sandbox.cause) {
            (SandboxStatus::Ready, _) => {
                self.publisher
                    .publish(&SandboxReady {
                        user,
                        sandbox: id,
                        start,
                    })
                    .await?;
            }
            (SandboxStatus::Failed, _) => {
                let reason = sandbox.failure.unwrap_or(FailureReason::Engine);
                let failed = SandboxFailed {
                    user,
                    sandbox: id,
                    reason,
                    start,
                };
                self.publisher.publish(&failed).await?;
            }
            (SandboxStatus::Queued, Some(cause)) => {
                self.publisher
                    .publish(&SandboxQueued { user, cause })
                    .await?;
            }
            (
                SandboxStatus::Queued
                | SandboxStatus::Requested
                | SandboxStatus::Starting
                | SandboxStatus::Removed,
                _,
            ) => {}
        }
        Ok(())
    }

    /// The lock that keeps two from driving the same sandbox.
    fn lock_of(&self, user: UserId) -> Arc<tokio::sync::Mutex<()>> {
        let mut at_work = self.at_work.lock().unwrap_or_else(PoisonError::into_inner);
        at_work.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = at_work.get(&user).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        at_work.insert(user, Arc::downgrade(&lock));
        lock
    }
}

/// 256 bits from the operating system, in hex.
fn new_token() -> SecretString {
    let bytes: [u8; 32] = UnwrapErr(SysRng).random();
    let hex = bytes
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        });
    hex.into()
}

fn count(sandbox: &Sandbox, turn: Option<Turn>) {
    let Some(turn) = turn else { return };
    let outcome = sandbox
        .failure
        .map_or(sandbox.status.as_str(), FailureReason::as_str);
    counter!("claw_sandbox_starts_total", "outcome" => outcome).increment(1);
    if sandbox.status == SandboxStatus::Ready {
        histogram!("claw_sandbox_start_seconds").record(turn.began.elapsed());
    }
}

fn left_behind(sandbox: &Sandbox, what: &'static str, fault: &Fault) {
    let error = fault as &dyn std::error::Error;
    warn!(error, sandbox.id = %sandbox.id, "the {what} of sandbox {} is left to the reconciler", sandbox.id);
}
