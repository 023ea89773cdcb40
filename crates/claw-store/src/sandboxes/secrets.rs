use claw_domain::{SandboxId, UserId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, UpdateMany, sea_query::Expr};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use uuid::Uuid;

use super::{SandboxStart, Sandboxes};
use crate::{
    Keyring, KeyringError, StoreError,
    entity::{
        sandbox,
        sandbox_secrets::{Column, Entity, Model},
    },
    keyring::Place,
};

pub(super) const GATEWAY_TOKEN: &str = "gateway_token";
pub(super) const DEVICE_SEED: &str = "device_seed";
const MODEL_KEY: &str = "model_key";

/// What a sandbox and we know and nobody else does.
#[derive(Debug)]
pub struct SandboxSecrets {
    /// What its gateway asks of us.
    pub gateway_token: SecretString,
    /// The seed of the Ed25519 key we prove ourselves with.
    pub device_seed: SecretBox<[u8; 32]>,
    /// Its key at the model provider, once made.
    pub model_key: Option<SecretString>,
}

impl Sandboxes {
    /// The secrets of a person's sandbox; `None` when it is not theirs.
    pub async fn secrets_of(
        &self,
        user: UserId,
        sandbox: SandboxId,
        keyring: &Keyring,
    ) -> Result<Option<SandboxSecrets>, StoreError> {
        let query = Entity::find_by_id(sandbox.as_uuid())
            .filter(Column::UserId.eq(user.as_uuid()))
            .one(&self.database.pool);
        let row = self
            .database
            .run("reading the secrets of a sandbox", query)
            .await?;
        Ok(row.map(|row| open(keyring, &row)).transpose()?)
    }

    /// Keeps the model key that was made for this start. `false` when the start is over: revoke the key.
    pub async fn record_model_key(
        &self,
        start: SandboxStart,
        hash: &str,
        key: &SecretString,
        keyring: &Keyring,
    ) -> Result<bool, StoreError> {
        let sealed = seal_text(keyring, start.sandbox.as_uuid(), MODEL_KEY, key)?;
        let update = Entity::update_many()
            .col_expr(sandbox::Column::ModelKeyHash, Expr::value(hash))
            .col_expr(Column::ModelKeySealed, Expr::value(sealed))
            .filter(Column::Id.eq(start.sandbox.as_uuid()))
            .filter(Column::Start.eq(start.start.cast_signed()))
            .filter(sandbox::Column::Status.is_in(super::transitions::AT_WORK));
        self.update_secrets("recording a model key", update).await
    }

    /// Seals everything again that is not sealed with the keyring's first key; gives how many rows. After
    /// that and [`crate::Users::rewrap_pins`] the other keys are not needed any more.
    pub async fn rewrap(&self, keyring: &Keyring) -> Result<u64, StoreError> {
        let query = Entity::find().all(&self.database.pool);
        let mut rewrapped = 0;
        for row in self.database.run("reading sealed secrets", query).await? {
            if is_sealed_with_first(keyring, &row) {
                continue;
            }
            rewrapped += u64::from(self.rewrap_row(keyring, &row).await?);
        }
        Ok(rewrapped)
    }

    async fn rewrap_row(&self, keyring: &Keyring, row: &Model) -> Result<bool, StoreError> {
        let secrets = open(keyring, row)?;
        let key = secrets
            .model_key
            .map(|key| seal_text(keyring, row.id, MODEL_KEY, &key))
            .transpose()?;
        let unchanged = match &row.model_key_sealed {
            Some(sealed) => Column::ModelKeySealed.eq(sealed.as_str()),
            None => Column::ModelKeySealed.is_null(),
        };
        let update = Entity::update_many()
            .col_expr(
                Column::GatewayTokenSealed,
                Expr::value(seal_text(
                    keyring,
                    row.id,
                    GATEWAY_TOKEN,
                    &secrets.gateway_token,
                )?),
            )
            .col_expr(
                Column::DeviceSeedSealed,
                Expr::value(seal_seed(
                    keyring,
                    row.id,
                    DEVICE_SEED,
                    &secrets.device_seed,
                )?),
            )
            .col_expr(Column::ModelKeySealed, Expr::value(key))
            .filter(Column::Id.eq(row.id))
            // A key recorded since the row was read must not be overwritten with the one before.
            .filter(unchanged);
        self.update_secrets("sealing secrets again", update).await
    }

    async fn update_secrets(
        &self,
        operation: &'static str,
        update: UpdateMany<Entity>,
    ) -> Result<bool, StoreError> {
        let result = self
            .database
            .run(operation, update.exec(&self.database.pool))
            .await?;
        Ok(result.rows_affected > 0)
    }
}

pub(super) fn seal_text(
    keyring: &Keyring,
    row: Uuid,
    column: &'static str,
    secret: &SecretString,
) -> Result<String, KeyringError> {
    keyring.seal(place(row, column), secret.expose_secret().as_bytes())
}

pub(super) fn seal_seed(
    keyring: &Keyring,
    row: Uuid,
    column: &'static str,
    seed: &SecretBox<[u8; 32]>,
) -> Result<String, KeyringError> {
    keyring.seal(place(row, column), seed.expose_secret())
}

fn open(keyring: &Keyring, row: &Model) -> Result<SandboxSecrets, KeyringError> {
    let key = row.model_key_sealed.as_deref();
    Ok(SandboxSecrets {
        gateway_token: open_text(keyring, row.id, GATEWAY_TOKEN, &row.gateway_token_sealed)?,
        device_seed: open_seed(keyring, row.id, DEVICE_SEED, &row.device_seed_sealed)?,
        model_key: key
            .map(|sealed| open_text(keyring, row.id, MODEL_KEY, sealed))
            .transpose()?,
    })
}

fn open_text(
    keyring: &Keyring,
    row: Uuid,
    column: &'static str,
    sealed: &str,
) -> Result<SecretString, KeyringError> {
    let opened = keyring.open(place(row, column), sealed)?;
    let text = str::from_utf8(opened.expose_secret()).map_err(|_| KeyringError::NotSealed)?;
    Ok(text.into())
}

fn open_seed(
    keyring: &Keyring,
    row: Uuid,
    column: &'static str,
    sealed: &str,
) -> Result<SecretBox<[u8; 32]>, KeyringError> {
    let opened = keyring.open(place(row, column), sealed)?;
    let seed = <[u8; 32]>::try_from(opened.expose_secret()).map_err(|_| KeyringError::NotSealed)?;
    Ok(SecretBox::new(Box::new(seed)))
}

fn is_sealed_with_first(keyring: &Keyring, row: &Model) -> bool {
    let prefix = keyring.prefix();
    [
        Some(&row.gateway_token_sealed),
        Some(&row.device_seed_sealed),
        row.model_key_sealed.as_ref(),
    ]
    .into_iter()
    .flatten()
    .all(|sealed| sealed.starts_with(&prefix))
}

fn place(row: Uuid, column: &'static str) -> Place {
    Place {
        table: "sandbox",
        row,
        column,
    }
}
