mod keys;
mod list;
mod orders;
mod request;
mod secrets;
mod sleep;
mod spares;
pub(crate) mod states;
mod transitions;

use chrono::{DateTime, Utc};
use claw_domain::{
    Endpoint, FailureReason, MessageId, SandboxId, SandboxStatus, SleepPolicy, UserId, WakeReason,
};
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, sea_query::Expr};

pub use keys::KeyChange;
pub use list::{ListedSandboxes, SandboxFilter};
pub use request::{NewSandbox, SandboxRequest};
pub use secrets::{ConnectionSecrets, SandboxSecrets};
pub use sleep::{Sleeper, Wake};
pub use spares::Demand;

use crate::{
    StoreError,
    database::Database,
    entity::sandbox::{self, Column, Entity},
};

/// The repository of sandboxes.
#[derive(Clone)]
pub struct Sandboxes {
    pub(crate) database: Database,
}

/// A user's sandbox, without its secrets; or [any](AnySandbox).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox<User = UserId> {
    /// The id, which stays the same when the sandbox restarts.
    pub id: SandboxId,
    /// The user it belongs to.
    pub user: User,
    /// The state of its life cycle.
    pub status: SandboxStatus,
    /// The address of its agent, set when it becomes ready and cleared when it fails.
    pub endpoint: Option<Endpoint>,
    /// The port reserved for it on its host.
    pub port: Option<u16>,
    /// The language model it uses.
    pub model: String,
    /// Why it failed; set in the state `Failed` only.
    pub failure: Option<FailureReason>,
    /// The number of its current start, from 1.
    pub start: u32,
    /// The provider's id of its model key.
    pub model_key_hash: Option<String>,
    /// The name of its model key, stored before the key is made.
    pub model_key_name: Option<String>,
    /// Whether its model key is enabled at the provider for certain; a suspended user's key is not.
    pub has_enabled_key: bool,
    /// The position up to which its transcript has been read.
    pub transcript: Option<TranscriptCursor>,
    /// The message that last requested it.
    pub cause: Option<MessageId>,
    /// The id of the container engine that has its container and its volume; `None` before its first start.
    pub engine: Option<String>,
    /// Whether it sleeps while nobody needs it.
    pub policy: SleepPolicy,
    /// When it wakes without a request; set in the state `Asleep` only.
    pub wake_at: Option<DateTime<Utc>>,
    /// Why it wakes, or was woken, without a request; `None` if it was last asked for.
    pub wake_for: Option<WakeReason>,
    /// How often it was woken for jobs since `job_wakes_since`.
    pub job_wakes: u32,
    /// Since when `job_wakes` counts.
    pub job_wakes_since: DateTime<Utc>,
    /// Failed starts, and starts that ended by themselves, in a row.
    pub failures: u32,
    /// When it is started after failures, without a request: of a failed one, and of a requested one that pauses before
    /// its next start.
    pub retry_at: Option<DateTime<Utc>>,
    /// When its row last changed.
    pub updated_at: DateTime<Utc>,
}

/// A user's sandbox, or a spare one, which belongs to nobody yet.
pub type AnySandbox = Sandbox<Option<UserId>>;

/// A host that runs sandboxes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The name in the rows of its sandboxes.
    pub name: String,
    /// The id of its container engine; `None` if sandboxes run elsewhere, or if the engine has not told its id yet.
    pub engine: Option<String>,
}

/// A position in a transcript. Opaque: only the agent that issued it understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptCursor {
    /// The cursor, in the agent's format.
    pub cursor: String,
    /// The id of the agent process that issued the cursor.
    pub boot_id: String,
}

/// One start of a sandbox. Every transition names its start, so that a late step of an earlier start changes
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxStart {
    /// The sandbox that is started.
    pub sandbox: SandboxId,
    /// The number of the start, from 1.
    pub start: u32,
}

/// A model key that a row refers to. The name is stored before the key is made, the hash after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownModelKey {
    /// The name under which the key was made, or may have been made.
    pub name: Option<String>,
    /// The provider's id of the key.
    pub hash: Option<String>,
}

impl<User> Sandbox<User> {
    /// The start the sandbox is in.
    pub fn current_start(&self) -> SandboxStart {
        SandboxStart {
            sandbox: self.id,
            start: self.start,
        }
    }

    /// The same sandbox as one of `user`.
    fn of<Other>(self, user: Other) -> Sandbox<Other> {
        Sandbox {
            user,
            id: self.id,
            status: self.status,
            endpoint: self.endpoint,
            port: self.port,
            model: self.model,
            failure: self.failure,
            start: self.start,
            model_key_hash: self.model_key_hash,
            model_key_name: self.model_key_name,
            has_enabled_key: self.has_enabled_key,
            transcript: self.transcript,
            cause: self.cause,
            engine: self.engine,
            policy: self.policy,
            wake_at: self.wake_at,
            wake_for: self.wake_for,
            job_wakes: self.job_wakes,
            job_wakes_since: self.job_wakes_since,
            failures: self.failures,
            retry_at: self.retry_at,
            updated_at: self.updated_at,
        }
    }
}

impl From<Sandbox> for AnySandbox {
    fn from(sandbox: Sandbox) -> Self {
        let user = Some(sandbox.user);
        sandbox.of(user)
    }
}

impl Sandboxes {
    /// The sandbox of a user, in any state; `None` if the user has none.
    pub async fn of_user(&self, user: UserId) -> Result<Option<Sandbox>, StoreError> {
        let query = Entity::find()
            .filter(Column::UserId.eq(user.as_uuid()))
            .one(&self.database.pool);
        let row = self
            .database
            .run("reading the sandbox of a user", query)
            .await?;
        row.map(Sandbox::try_from).transpose()
    }

    /// A sandbox, in any state; `None` if there is none with this id.
    pub async fn by_id(&self, sandbox: SandboxId) -> Result<Option<AnySandbox>, StoreError> {
        let query = Entity::find_by_id(sandbox.as_uuid()).one(&self.database.pool);
        let row = self.database.run("reading a sandbox", query).await?;
        row.map(AnySandbox::try_from).transpose()
    }

    /// All sandboxes of a host, in every state; the oldest request first.
    pub async fn all_of_host(&self, host: &str) -> Result<Vec<AnySandbox>, StoreError> {
        let query = Entity::find()
            .filter(Column::Host.eq(host))
            .order_by_asc(Column::RequestedAt)
            .all(&self.database.pool);
        let rows = self.database.run("reading sandboxes", query).await?;
        rows.into_iter().map(AnySandbox::try_from).collect()
    }

    /// Every model key that a row refers to.
    pub async fn known_model_keys(&self) -> Result<Vec<KnownModelKey>, StoreError> {
        let has_key = Column::ModelKeyHash
            .is_not_null()
            .or(Column::ModelKeyName.is_not_null());
        let query = Entity::find().filter(has_key).all(&self.database.pool);
        let rows = self
            .database
            .run("reading the known model keys", query)
            .await?;
        let known = rows.into_iter().map(|row| KnownModelKey {
            name: row.model_key_name,
            hash: row.model_key_hash,
        });
        Ok(known.collect())
    }
}

/// Whether the engine of a host has a sandbox's volume, or no engine has one yet.
fn is_of(host: &Host) -> Expr {
    Column::Engine
        .is_null()
        .or(Column::Engine.eq(host.engine.as_deref()))
}

impl TryFrom<sandbox::Model> for Sandbox {
    type Error = StoreError;

    fn try_from(row: sandbox::Model) -> Result<Self, StoreError> {
        let sandbox = AnySandbox::try_from(row)?;
        let user = sandbox.user.ok_or(StoreError::Corrupt {
            column: "sandbox.user_id",
        })?;
        Ok(sandbox.of(user))
    }
}

impl TryFrom<sandbox::Model> for AnySandbox {
    type Error = StoreError;

    fn try_from(row: sandbox::Model) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { column };
        let failure = row
            .error
            .map(|name| name.parse().map_err(|_| corrupt("sandbox.error")))
            .transpose()?;
        Ok(Self {
            id: SandboxId::from_uuid(row.id),
            user: row.user_id.map(UserId::from_uuid),
            status: row.status.parse().map_err(|_| corrupt("sandbox.status"))?,
            endpoint: row.endpoint.map(Endpoint::new),
            port: row
                .port
                .map(u16::try_from)
                .transpose()
                .map_err(|_| corrupt("sandbox.port"))?,
            model: row.model,
            failure,
            start: u32::try_from(row.start).map_err(|_| corrupt("sandbox.start"))?,
            model_key_hash: row.model_key_hash,
            model_key_name: row.model_key_name,
            has_enabled_key: row.model_key_state == keys::ENABLED,
            transcript: row
                .transcript_cursor
                .zip(row.boot_id)
                .map(|(cursor, boot_id)| TranscriptCursor { cursor, boot_id }),
            cause: row.cause.map(MessageId::from_uuid),
            engine: row.engine,
            policy: row.policy.parse().map_err(|_| corrupt("sandbox.policy"))?,
            wake_at: row.wake_at,
            wake_for: row
                .wake_for
                .map(|name| name.parse().map_err(|_| corrupt("sandbox.wake_for")))
                .transpose()?,
            job_wakes: u32::try_from(row.job_wakes).map_err(|_| corrupt("sandbox.job_wakes"))?,
            job_wakes_since: row.job_wakes_since,
            failures: u32::try_from(row.failures).map_err(|_| corrupt("sandbox.failures"))?,
            retry_at: row.retry_at,
            updated_at: row.updated_at,
        })
    }
}
