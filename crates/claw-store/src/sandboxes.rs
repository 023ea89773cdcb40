mod request;
mod secrets;
mod transitions;

use chrono::{DateTime, Utc};
use claw_domain::{Endpoint, FailureReason, MessageId, SandboxId, SandboxStatus, UserId};
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, Select};

pub use request::{NewSandbox, Requested, SandboxRequest};
pub use secrets::SandboxSecrets;

use crate::{
    StoreError,
    database::Database,
    entity::sandbox::{self, Column, Entity},
};

/// People's assistants.
#[derive(Clone)]
pub struct Sandboxes {
    pub(crate) database: Database,
}

/// A sandbox, without its secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// Which.
    pub id: SandboxId,
    /// Whose.
    pub user: UserId,
    /// Where it is in its life.
    pub status: SandboxStatus,
    /// Where its gateway listens; there once it was ready, until it is given up.
    pub endpoint: Option<Endpoint>,
    /// The engine's id of its container.
    pub container_id: Option<String>,
    /// The name of its container, fixed from the beginning.
    pub container_name: String,
    /// The port reserved for it on `host`.
    pub port: Option<u16>,
    /// On which host it lives.
    pub host: String,
    /// The language model it uses.
    pub model: String,
    /// Why it could not be made.
    pub failure: Option<FailureReason>,
    /// Which start of it this is, from 1.
    pub start: u32,
    /// The provider's name for its model key.
    pub model_key_hash: Option<String>,
    /// The name under which its model key was, or may have been, made.
    pub model_key_name: Option<String>,
    /// How far its transcript has been read.
    pub transcript: Option<TranscriptCursor>,
    /// The message that asked for it last.
    pub cause: Option<MessageId>,
    /// When it was asked for last: its place in the queue.
    pub requested_at: DateTime<Utc>,
    /// When its row was made.
    pub created_at: DateTime<Utc>,
    /// When its row last changed.
    pub updated_at: DateTime<Utc>,
}

/// How far a transcript has been read. Opaque; worth something only to the agent that gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TranscriptCursor {
    /// The agent's cursor.
    pub cursor: String,
    /// In which run of the agent it was given.
    pub boot_id: String,
}

/// One start of one sandbox. Every step towards ready names it, so that a step left over from an earlier
/// start changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SandboxStart {
    /// Which sandbox.
    pub sandbox: SandboxId,
    /// Which start of it, from 1.
    pub start: u32,
}

/// What we know of a model key: enough to tell ours from strangers, and forgotten ones from used ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownModelKey {
    /// Whose.
    pub sandbox: SandboxId,
    /// The name it has or was to get.
    pub name: Option<String>,
    /// The provider's name for it, once it was made.
    pub hash: Option<String>,
}

impl Sandbox {
    /// The start it is in.
    pub fn current_start(&self) -> SandboxStart {
        SandboxStart {
            sandbox: self.id,
            start: self.start,
        }
    }
}

impl Sandboxes {
    /// A person's sandbox.
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

    /// What is on its way to ready on a host, oldest first.
    pub async fn unfinished(&self, host: &str) -> Result<Vec<Sandbox>, StoreError> {
        let on_the_way =
            [SandboxStatus::Requested, SandboxStatus::Starting].map(SandboxStatus::as_str);
        self.all(on_host(host).filter(Column::Status.is_in(on_the_way)))
            .await
    }

    /// Everything that has a row for a host, whatever its state, oldest first.
    pub async fn all_of_host(&self, host: &str) -> Result<Vec<Sandbox>, StoreError> {
        self.all(on_host(host)).await
    }

    /// Every model key that was made, or that may have been.
    pub async fn known_model_keys(&self) -> Result<Vec<KnownModelKey>, StoreError> {
        let with_key = Column::ModelKeyHash
            .is_not_null()
            .or(Column::ModelKeyName.is_not_null());
        let query = Entity::find().filter(with_key).all(&self.database.pool);
        let rows = self
            .database
            .run("reading the known model keys", query)
            .await?;
        let known = rows.into_iter().map(|row| KnownModelKey {
            sandbox: SandboxId::from_uuid(row.id),
            name: row.model_key_name,
            hash: row.model_key_hash,
        });
        Ok(known.collect())
    }

    async fn all(&self, query: Select<Entity>) -> Result<Vec<Sandbox>, StoreError> {
        let query = query
            .filter(Column::UserId.is_not_null())
            .order_by_asc(Column::RequestedAt);
        let rows = self
            .database
            .run("reading sandboxes", query.all(&self.database.pool))
            .await?;
        rows.into_iter().map(Sandbox::try_from).collect()
    }
}

fn on_host(host: &str) -> Select<Entity> {
    Entity::find().filter(Column::Host.eq(host))
}

impl TryFrom<sandbox::Model> for Sandbox {
    type Error = StoreError;

    fn try_from(row: sandbox::Model) -> Result<Self, StoreError> {
        let corrupt = |column| StoreError::Corrupt { column };
        let failure = row
            .error
            .map(|name| FailureReason::from_name(&name).ok_or(corrupt("sandbox.error")))
            .transpose()?;
        Ok(Self {
            id: SandboxId::from_uuid(row.id),
            user: UserId::from_uuid(row.user_id.ok_or(corrupt("sandbox.user_id"))?),
            status: SandboxStatus::from_name(&row.status).ok_or(corrupt("sandbox.status"))?,
            endpoint: row.endpoint.map(Endpoint::new),
            container_id: row.container_id,
            container_name: row.container_name,
            port: row
                .port
                .map(u16::try_from)
                .transpose()
                .map_err(|_| corrupt("sandbox.port"))?,
            host: row.host,
            model: row.model,
            failure,
            start: u32::try_from(row.start).map_err(|_| corrupt("sandbox.start"))?,
            model_key_hash: row.model_key_hash,
            model_key_name: row.model_key_name,
            transcript: row
                .transcript_cursor
                .zip(row.boot_id)
                .map(|(cursor, boot_id)| TranscriptCursor { cursor, boot_id }),
            cause: row.cause.map(MessageId::from_uuid),
            requested_at: row.requested_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}
