use std::sync::LazyLock;

use claw_domain::SandboxId;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};

use super::Sandboxes;
use crate::{
    StoreError,
    database::read,
    entity::sandbox::{Column, Entity},
    suspensions::is_suspended,
};

static KEYS_TO_CHANGE: LazyLock<String> =
    LazyLock::new(|| for_user_of_sandbox(include_str!("../sql/keys_to_change.sql")));
static BEGIN_KEY_CHANGE: LazyLock<String> =
    LazyLock::new(|| for_user_of_sandbox(include_str!("../sql/begin_key_change.sql")));

/// The states of a model key. `changing` is written by `begin_key_change.sql`.
pub(super) const ENABLED: &str = "enabled";
const DISABLED: &str = "disabled";

/// A model key that is to be disabled, because its user was suspended, or to be enabled again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    /// The sandbox of the key.
    pub sandbox: SandboxId,
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
        let rows = self.database.rows(READING, &KEYS_TO_CHANGE, [host.into()]);
        rows.await?
            .iter()
            .map(|row| {
                Ok(KeyChange {
                    sandbox: SandboxId::from_uuid(read(READING, row, "id")?),
                    hash: read(READING, row, "model_key_hash")?,
                    disable: read(READING, row, "disable")?,
                })
            })
            .collect()
    }

    /// Stores that the key is about to change. Returns `false` if it must not: since the change was listed, the user was
    /// suspended or resumed, or the sandbox got another key.
    pub async fn begin_key_change(&self, change: &KeyChange) -> Result<bool, StoreError> {
        let values = [
            change.sandbox.as_uuid().into(),
            change.hash.as_str().into(),
            change.disable.into(),
        ];
        let operation = "beginning to change a model key";
        let rows = self.database.rows(operation, &BEGIN_KEY_CHANGE, values);
        Ok(!rows.await?.is_empty())
    }

    /// Stores that the key has changed.
    pub async fn finish_key_change(&self, change: &KeyChange) -> Result<bool, StoreError> {
        let state = if change.disable { DISABLED } else { ENABLED };
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

fn for_user_of_sandbox(sql: &str) -> String {
    sql.replace("{suspended}", &is_suspended("sandbox.user_id"))
}
