use claw_domain::{SandboxId, UserId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, sea_query::Expr};
use secrecy::{ExposeSecret, SecretBox, SecretString};
use uuid::Uuid;

use super::{SandboxStart, Sandboxes, keys::ENABLED, states::with_place};
use crate::{
    Keyring, KeyringError, StoreError,
    entity::{
        sandbox,
        sandbox_secrets::{Column, Entity, Model},
    },
    keyring::SealedCell,
};

pub(super) const GATEWAY_TOKEN: &str = "gateway_token";
pub(super) const DEVICE_SEED: &str = "device_seed";
const MODEL_KEY: &str = "model_key";

/// The secrets shared with a sandbox.
#[derive(Debug)]
pub struct SandboxSecrets {
    /// The token that clients of its OpenClaw gateway must present.
    pub gateway_token: SecretString,
    /// The seed of the Ed25519 key with which we authenticate to it as a device.
    pub device_seed: SecretBox<[u8; 32]>,
    /// Its model key; `None` until the key is made.
    pub model_key: Option<SecretString>,
}

/// The secrets with which a client connects to a sandbox.
#[derive(Debug)]
pub struct ConnectionSecrets {
    /// The token that clients of its OpenClaw gateway must present.
    pub gateway_token: SecretString,
    /// The seed of the Ed25519 key with which we authenticate to it as a device.
    pub device_seed: SecretBox<[u8; 32]>,
}

impl Sandboxes {
    /// The secrets with which one connects to a user's sandbox; `None` if the sandbox does not belong to the user. Does not
    /// read the model key, to which the gateway has no right.
    pub async fn connection_secrets_of(
        &self,
        user: UserId,
        sandbox: SandboxId,
        keyring: &Keyring,
    ) -> Result<Option<ConnectionSecrets>, StoreError> {
        let id = sandbox.as_uuid();
        let query = Entity::find_by_id(id)
            .filter(Column::UserId.eq(user.as_uuid()))
            .select_only()
            .columns([Column::GatewayTokenSealed, Column::DeviceSeedSealed])
            .into_tuple::<(String, String)>()
            .one(&self.database.pool);
        let row = self
            .database
            .run("reading the connection secrets of a sandbox", query)
            .await?;
        let Some((token, seed)) = row else {
            return Ok(None);
        };
        Ok(Some(ConnectionSecrets {
            gateway_token: open_text(keyring, id, GATEWAY_TOKEN, &token)?,
            device_seed: open_seed(keyring, id, DEVICE_SEED, &seed)?,
        }))
    }

    /// The secrets of a user's sandbox, or of a spare one; `None` if the sandbox does not belong to the user, or is not
    /// spare.
    pub async fn secrets_of(
        &self,
        user: impl Into<Option<UserId>> + Send,
        sandbox: SandboxId,
        keyring: &Keyring,
    ) -> Result<Option<SandboxSecrets>, StoreError> {
        let is_owner = match user.into() {
            Some(user) => Column::UserId.eq(user.as_uuid()),
            None => Column::UserId.is_null(),
        };
        let query = Entity::find_by_id(sandbox.as_uuid())
            .filter(is_owner)
            .one(&self.database.pool);
        let row = self
            .database
            .run("reading the secrets of a sandbox", query)
            .await?;
        Ok(row.map(|row| open(keyring, &row)).transpose()?)
    }

    /// Stores the model key that was made for this start. Returns `false` if the start is over: the caller
    /// must revoke the key.
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
            .col_expr(sandbox::Column::ModelKeyState, Expr::value(ENABLED))
            .col_expr(Column::ModelKeySealed, Expr::value(sealed))
            .filter(Column::Id.eq(start.sandbox.as_uuid()))
            .filter(Column::Start.eq(start.start.cast_signed()))
            .filter(sandbox::Column::Status.is_in(with_place()));
        self.database.execute("recording a model key", update).await
    }

    /// Seals the secrets of every row again, unless they are sealed with the keyring's first key; returns the
    /// number of rows changed. Run it and [`crate::Users::rewrap_pins`] before removing the other keys.
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
        let token = seal_text(keyring, row.id, GATEWAY_TOKEN, &secrets.gateway_token)?;
        let seed = seal_seed(keyring, row.id, DEVICE_SEED, &secrets.device_seed)?;
        let update = Entity::update_many()
            .col_expr(Column::GatewayTokenSealed, Expr::value(token))
            .col_expr(Column::DeviceSeedSealed, Expr::value(seed))
            .col_expr(Column::ModelKeySealed, Expr::value(key))
            .filter(Column::Id.eq(row.id))
            // A key recorded since the row was read must not be overwritten with the old one.
            .filter(unchanged);
        self.database.execute("sealing secrets again", update).await
    }
}

pub(super) fn seal_text(
    keyring: &Keyring,
    row: Uuid,
    column: &'static str,
    secret: &SecretString,
) -> Result<String, KeyringError> {
    keyring.seal(cell(row, column), secret.expose_secret().as_bytes())
}

pub(super) fn seal_seed(
    keyring: &Keyring,
    row: Uuid,
    column: &'static str,
    seed: &SecretBox<[u8; 32]>,
) -> Result<String, KeyringError> {
    keyring.seal(cell(row, column), seed.expose_secret())
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
    let opened = keyring.open(cell(row, column), sealed)?;
    let text = str::from_utf8(opened.expose_secret()).map_err(|_| KeyringError::NotSealed)?;
    Ok(text.into())
}

fn open_seed(
    keyring: &Keyring,
    row: Uuid,
    column: &'static str,
    sealed: &str,
) -> Result<SecretBox<[u8; 32]>, KeyringError> {
    let opened = keyring.open(cell(row, column), sealed)?;
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

fn cell(row: Uuid, column: &'static str) -> SealedCell {
    SealedCell {
        table: "sandbox",
        row,
        column,
    }
}
