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
use claw_domain::{SandboxId, SandboxStatus, UserId};
use claw_events::SandboxRequested;
use claw_runtime::Clock;
use claw_store::{Keyring, NewSandbox, Sandbox, SandboxRequest, Sandboxes};
use rand::{RngExt, rand_core::UnwrapErr, rngs::SysRng};
use secrecy::SecretString;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, info_span, warn};
use uuid::Uuid;

use crate::{
    containers::Containers,
    door::Door,
    step::{Hosting, Observed, Patience, Step, after_trouble, next_step},
    tell,
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
    pub(crate) publisher: Publisher,
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
pub(crate) struct Turn {
    pub(crate) began: Instant,
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
        let wish = SandboxRequest {
            user: wish.user,
            cause: wish.cause,
            attempt: wish.attempt,
            cap: self.settings.cap,
            now: self.clock.now(),
        };
        Ok(self.sandboxes.request(&wish, &new, &self.keyring).await?)
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
                    tell::count(&sandbox, memory.turn);
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
