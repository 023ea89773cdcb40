use claw_domain::{SandboxId, UserId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};

use super::Sandboxes;
use crate::{
    StoreError,
    database::read,
    entity::sandbox::{Column, Entity},
};

const KEYS_TO_CHANGE: &str = include_str!("../sql/keys_to_change.sql");

/// The states of a model key.
pub(super) const ENABLED: &str = "enabled";
const CHANGING: &str = "changing";
const DISABLED: &str = "disabled";

/// A model key that is to be disabled, because its user was suspended, or to be enabled again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    /// The sandbox of the key.
    pub sandbox: SandboxId,
    /// The user of the sandbox.
    pub user: UserId,
    /// The provider's id of the key.
    pub hash: String,
    /// Whether the key is to be disabled, and not enabled.
    pub disable: bool,
}

/// Suspended users' model keys. A change is [begun](Sandboxes::begin_key_change) before the provider is told, and
/// [finished](Sandboxes::finish_key_change) afterwards; an unfinished one is listed again.
impl Sandboxes {
    /// The keys of a host that do not agree with the suspensions, or may not.
    pub async fn keys_to_change(&self, host: &str) -> Result<Vec<KeyChange>, StoreError> {
        let rows = self.database.rows(READING, KEYS_TO_CHANGE, [host.into()]);
        rows.await?
            .iter()
            .map(|row| {
                Ok(KeyChange {
                    sandbox: SandboxId::from_uuid(read(READING, row, "id")?),
                    user: UserId::from_uuid(read(READING, row, "user_id")?),
                    hash: read(READING, row, "model_key_hash")?,
                    disable: read(READING, row, "disable")?,
                })
            })
            .collect()
    }

    /// Stores that the key is about to change. Returns `false` if the sandbox has another key by now.
    pub async fn begin_key_change(&self, change: &KeyChange) -> Result<bool, StoreError> {
        self.set_key_state(change, CHANGING).await
    }

    /// Stores that the key has changed.
    pub async fn finish_key_change(&self, change: &KeyChange) -> Result<bool, StoreError> {
        let state = if change.disable { DISABLED } else { ENABLED };
        self.set_key_state(change, state).await
    }

    async fn set_key_state(
        &self,
        change: &KeyChange,
        state: &'static str,
    ) -> Result<bool, StoreError> {
        let update = Entity::update_many()
            .col_expr(Column::ModelKeyState, Expr::value(state))
            .filter(Column::Id.eq(change.sandbox.as_uuid()))
            .filter(Column::ModelKeyHash.eq(change.hash.as_str()));
        self.database
            .execute("storing the state of a model key", update)
            .await
    }
}

const READING: &str = "reading the model keys to change";
